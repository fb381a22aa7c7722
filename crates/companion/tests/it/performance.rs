//! `/performance` in each state of the database.

use std::time::Duration;

use castmatch_e2e::http::get;
use castmatch_e2e::poll::eventually;
use serde_json::{Value, json};

use crate::source::{Reply, Script, Service, performance, report, timing};

const SOON: Duration = Duration::from_secs(5);

fn when(service: &Service, what: &str, accept: impl Fn(&Value) -> bool) -> Value {
    let attempt = || Some(get(service.address, "/performance").json()).filter(&accept);
    eventually(SOON, what, attempt).0
}

#[test]
fn values_history_and_the_companion_are_there() {
    let script = Script::healthy();
    *script.performance.lock().unwrap() = Reply::Now(performance(100));
    let service = Service::start(&script, timing());
    when(&service, "first values", |body| body["castmatch"].is_object());
    *script.performance.lock().unwrap() = Reply::Now(performance(160));
    let body = when(&service, "a point with requests", |body| {
        body["history"]
            .as_array()
            .unwrap()
            .iter()
            .any(|point| point["match_rate"].as_f64() > Some(0.0))
    });
    assert_eq!(
        (&body["database"]["up"], &body["database"]["hint"]),
        (&json!(true), &Value::Null)
    );
    assert!(body["database"]["read_at"].as_str().unwrap().ends_with('Z'));
    let operation = &body["castmatch"]["operations"]["match"];
    assert_eq!(
        (&operation["requests"], operation.get("buckets")),
        (&json!(160), None),
        "{operation}"
    );
    assert!(body["castmatch"].get("bucket_bounds_ms").is_none());
    assert_eq!(body["castmatch"]["models"][0]["model"], "builtin");
    let recent = &body["recent"]["operations"]["match"];
    assert_eq!(
        (&recent["requests"], &recent["p50_ms"]),
        (&json!(60), &json!(1.5)),
        "{recent}"
    );
    assert_eq!(body["health"]["status"], "ok");
    let point = body["history"]
        .as_array()
        .unwrap()
        .iter()
        .find(|point| point["match_rate"].is_number())
        .unwrap();
    assert!(
        point["at"].as_str().unwrap().ends_with('Z') && point["match_p99_ms"].is_number(),
        "{point}"
    );
    let own = &body["companion"];
    assert!(
        own["resident_bytes"].as_u64() > Some(1_000_000) && own["cpu_seconds"].as_f64() > Some(0.0),
        "{own}"
    );
    assert!(
        own["threads"].as_u64() >= Some(1) && own["open_fds"].as_u64() >= Some(4),
        "{own}"
    );
    assert!(own["requests"].as_u64() >= Some(1) && own["errors"] == 0, "{own}");
}

#[test]
fn last_good_values_stay_when_the_database_goes_and_go_with_the_extension() {
    let script = Script::healthy();
    *script.performance.lock().unwrap() = Reply::Now(performance(100));
    let service = Service::start(&script, timing());
    when(&service, "first values", |body| body["castmatch"].is_object());
    script.set(Reply::Unreachable, Reply::Unreachable);
    *script.performance.lock().unwrap() = Reply::Unreachable;
    let body = when(&service, "database down", |body| body["database"]["up"] == false);
    assert_eq!(body["castmatch"]["operations"]["match"]["requests"], 100);
    assert_eq!(body["health"]["status"], "unavailable");
    script.set(Reply::NotInstalled, Reply::NotInstalled);
    let body = when(&service, "not installed", |body| body["castmatch"].is_null());
    assert_eq!(
        (&body["database"]["up"], &body["history"], &body["recent"]),
        (&json!(true), &json!([]), &Value::Null)
    );
}

#[test]
fn castmatch_without_performance_breaks_nothing() {
    let cases = [
        (Reply::NotInstalled, "ALTER EXTENSION castmatch UPDATE"),
        (Reply::Rejected("42501"), "castmatch_monitor"),
        (Reply::Rejected("57014"), "57014"),
        (Reply::Now(json!([1])), "does not know"),
    ];
    for (reply, hint) in cases {
        let script = Script::healthy();
        *script.performance.lock().unwrap() = reply;
        let service = Service::start(&script, timing());
        let body = when(&service, hint, |body| {
            body["database"]["hint"]
                .as_str()
                .is_some_and(|text| text.contains(hint))
        });
        assert_eq!(
            (&body["castmatch"], &body["database"]["up"]),
            (&Value::Null, &json!(true)),
            "{body}"
        );
        assert!(!body.to_string().contains("secret detail"), "{body}");
        assert_eq!(get(service.address, "/health").json()["castmatch"], report("ok"));
        assert_eq!(get(service.address, "/metrics").sample("castmatch_up"), Some(1.0));
        // And it is used as soon as it is there.
        *script.performance.lock().unwrap() = Reply::Now(performance(1));
        let body = when(&service, "values", |body| body["castmatch"].is_object());
        assert_eq!(body["database"]["hint"], Value::Null);
    }
}

#[test]
fn slow_performance_holds_up_neither_scrapes_nor_the_health() {
    let script = Script::healthy();
    *script.performance.lock().unwrap() = Reply::After(Duration::from_millis(300), performance(1));
    let service = Service::start(&script, timing());
    when(&service, "values", |body| body["castmatch"].is_object());
    let start = std::time::Instant::now();
    for _ in 0..10 {
        assert_eq!(get(service.address, "/metrics").sample("castmatch_up"), Some(1.0));
        assert_eq!(get(service.address, "/health").status, 200);
    }
    // Ten questions of the slow kind, one after the other, would take 3 s.
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(script.most_running.load(std::sync::atomic::Ordering::SeqCst), 1);
}
