//! What clients see in each state of the database.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use castmatch_companion::monitor::MIN_READ_INTERVAL;
use serde_json::{Value, json};

use crate::source::{Reply, Script, Service, hits, report, timing};
use castmatch_e2e::http::{Response, get, request};
use castmatch_e2e::poll::eventually;

const SOON: Duration = Duration::from_secs(5);
const HITS: &str = "castmatch_cache_hits_total{cache=\"reply\"}";

fn health_when(service: &Service, accept: impl Fn(&Value) -> bool) -> Response {
    let attempt = || Some(get(service.address, "/health")).filter(|answer| accept(&answer.json()));
    eventually(SOON, "expected health", attempt).0
}

/// Whether the last questions for health and for the metrics were answered.
fn collectors(answer: &Response) -> [Option<f64>; 2] {
    ["health", "metrics"].map(|collector| {
        let series = format!("castmatch_scrape_collector_success{{collector=\"{collector}\"}}");
        answer.sample(&series)
    })
}

#[test]
fn healthy_and_degraded_are_200_with_the_report_of_the_extension() {
    for status in ["ok", "degraded"] {
        let script = Script::new(Reply::Now(report(status)), Reply::Now(vec![]));
        let service = Service::start(&script, timing());
        let answer = health_when(&service, |body| body["status"] == status);
        assert_eq!(answer.status, 200);
        let body = answer.json();
        assert_eq!(
            (&body["database"], &body["castmatch"]),
            (&json!("up"), &report(status))
        );
        assert!(body["checked_at"].as_str().unwrap().ends_with('Z'), "{body}");
        assert_eq!(body.as_object().unwrap().len(), 4, "{body}");
        for path in ["/healthz", "/readyz"] {
            let other = get(service.address, path);
            assert_eq!(
                (other.status, &other.json()["status"]),
                (200, &json!(status)),
                "{path}"
            );
        }
        assert!(
            answer.head.contains("content-type: application/json"),
            "{}",
            answer.head
        );
        assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
    }
}

#[test]
fn unavailable_states_are_503_while_livez_stays_200() {
    let cases = [
        (Reply::Unreachable, "down", Value::Null, None),
        (Reply::Hang(Duration::from_millis(50)), "down", Value::Null, None),
        (
            Reply::NotInstalled,
            "up",
            json!("not installed"),
            Some("CREATE EXTENSION"),
        ),
        (
            Reply::Rejected("42501"),
            "up",
            Value::Null,
            Some("may not execute"),
        ),
        (Reply::Rejected("XX000"), "up", Value::Null, Some("XX000")),
        (
            Reply::Now(report("on fire")),
            "up",
            Value::Null,
            Some("does not know"),
        ),
        (Reply::Now(json!([1])), "up", Value::Null, Some("does not know")),
    ];
    for (reply, database, castmatch, hint) in cases {
        let script = Script::new(reply, Reply::NotInstalled);
        let service = Service::start(&script, timing());
        let answer = health_when(&service, |body| !body["checked_at"].is_null());
        let body = answer.json();
        assert_eq!(answer.status, 503, "{body}");
        assert_eq!(body["status"], "unavailable");
        assert_eq!(
            (&body["database"], &body["castmatch"]),
            (&json!(database), &castmatch)
        );
        match hint {
            Some(part) => assert!(body["hint"].as_str().unwrap().contains(part), "{body}"),
            None => assert!(body.get("hint").is_none(), "{body}"),
        }
        assert!(!answer.body.contains("secret detail"), "{body}");
        assert_eq!(get(service.address, "/readyz").status, 503);
        assert_eq!(get(service.address, "/livez").status, 200);
    }
}

#[test]
fn metrics_hold_the_rows_of_the_database_and_the_companions_own() {
    let mut bad = hits(1.0);
    bad.name = Some("not a name".to_owned());
    let script = Script::new(Reply::Now(report("ok")), Reply::Now(vec![hits(7.0), bad]));
    let service = Service::start(&script, timing());
    let up =
        || Some(get(service.address, "/metrics")).filter(|answer| answer.sample("castmatch_up") == Some(1.0));
    let (answer, _) = eventually(SOON, "castmatch_up 1", up);
    assert_eq!(collectors(&answer), [Some(1.0), Some(1.0)]);
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.contains("content-type: text/plain; version=0.0.4"),
        "{}",
        answer.head
    );
    assert_eq!(answer.sample(HITS), Some(7.0));
    let version = format!(
        "castmatch_build_info{{version=\"{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(answer.sample(&version), Some(1.0), "{}", answer.body);
    assert_eq!(answer.sample("castmatch_scrape_errors_total"), Some(0.0));
    assert!(
        answer
            .sample("castmatch_companion_dropped_samples_total")
            .unwrap()
            >= 1.0
    );
    assert!(answer.sample("castmatch_scrape_duration_seconds").unwrap() >= 0.0);
    assert!(
        answer
            .sample("castmatch_last_scrape_success_timestamp_seconds")
            .unwrap()
            > 1.7e9
    );
    assert!(answer.sample("process_resident_memory_bytes").unwrap() > 0.0);
}

#[test]
fn scrape_reads_fresh_values() {
    let script = Script::healthy();
    let service = Service::start(&script, timing());
    health_when(&service, |body| body["status"] == "ok");
    *script.metrics.lock().unwrap() = Reply::Now(vec![hits(8.0)]);
    let fresh = || (get(service.address, "/metrics").sample(HITS) == Some(8.0)).then_some(());
    // The second scrape at the latest: the first may share a read that ended just before.
    eventually(SOON, "the new value", fresh);
}

#[test]
fn last_good_values_are_served_with_up_0_when_the_database_goes_away() {
    let script = Script::healthy();
    let service = Service::start(&script, timing());
    health_when(&service, |body| body["status"] == "ok");
    script.set(Reply::Unreachable, Reply::Unreachable);
    health_when(&service, |body| body["database"] == "down");
    let answer = get(service.address, "/metrics");
    assert_eq!((answer.status, answer.sample("castmatch_up")), (200, Some(0.0)));
    assert_eq!(collectors(&answer), [Some(0.0), Some(0.0)]);
    assert_eq!(answer.sample(HITS), Some(7.0));
    script.set(Reply::Now(report("ok")), Reply::Now(vec![hits(9.0)]));
    let back = || {
        let answer = get(service.address, "/metrics");
        (answer.sample("castmatch_up") == Some(1.0) && answer.sample(HITS) == Some(9.0)).then_some(())
    };
    eventually(SOON, "values after the return", back);
}

#[test]
fn values_go_when_the_extension_goes() {
    let script = Script::healthy();
    let service = Service::start(&script, timing());
    health_when(&service, |body| body["status"] == "ok");
    script.set(Reply::NotInstalled, Reply::NotInstalled);
    health_when(&service, |body| body["castmatch"] == "not installed");
    let answer = get(service.address, "/metrics");
    assert_eq!(
        (answer.sample("castmatch_up"), answer.sample(HITS)),
        (Some(0.0), None)
    );
}

#[test]
fn failing_metrics_are_counted_and_leave_the_health_alone() {
    let script = Script::healthy();
    let service = Service::start(&script, timing());
    health_when(&service, |body| body["status"] == "ok");
    *script.metrics.lock().unwrap() = Reply::Rejected("57014");
    let failed = || {
        let answer = get(service.address, "/metrics");
        (answer.sample("castmatch_up") == Some(0.0)).then_some(answer)
    };
    let (answer, _) = eventually(SOON, "castmatch_up 0", failed);
    assert_eq!(collectors(&answer), [Some(1.0), Some(0.0)]);
    let answer = get(service.address, "/metrics");
    assert!(answer.sample("castmatch_scrape_errors_total").unwrap() >= 1.0);
    let (before, start) = (script.reads.load(Ordering::SeqCst), Instant::now());
    for _ in 0..50 {
        get(service.address, "/metrics");
    }
    let most = start.elapsed().as_millis() / MIN_READ_INTERVAL.as_millis() + 2;
    let reads = script.reads.load(Ordering::SeqCst) - before;
    assert!(reads as u128 <= most, "{reads} reads, {most} allowed");
    assert_eq!(answer.sample(HITS), Some(7.0));
    assert_eq!(get(service.address, "/health").status, 200);
}

#[test]
fn slow_database_does_not_hold_up_a_scrape() {
    let script = Script::healthy();
    let service = Service::start(&script, timing());
    let warm = || get(service.address, "/metrics").sample(HITS);
    eventually(SOON, "first values", warm);
    *script.metrics.lock().unwrap() = Reply::After(Duration::from_millis(900), vec![hits(8.0)]);
    let before = script.reads.load(Ordering::SeqCst);
    let joined = || {
        let start = Instant::now();
        let answer = get(service.address, "/metrics");
        // 45 ms and what a busy test machine adds.
        assert!(
            start.elapsed() < Duration::from_millis(600),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(answer.sample("castmatch_up"), Some(1.0));
        (answer.sample(HITS) == Some(8.0)).then_some(())
    };
    // The read that the first scrape started ends in the background and serves a later one.
    eventually(SOON, "the slow value", joined);
    assert!(script.reads.load(Ordering::SeqCst) > before);
}

#[test]
fn concurrent_scrapes_share_one_read() {
    let script = Script::healthy();
    let mut patient = timing();
    patient.scrape_deadline = Duration::from_secs(5);
    let service = Service::start(&script, patient);
    health_when(&service, |body| body["status"] == "ok");
    eventually(SOON, "first read", || {
        (script.reads.load(Ordering::SeqCst) > 0).then_some(())
    });
    *script.metrics.lock().unwrap() = Reply::After(Duration::from_millis(300), vec![hits(8.0)]);
    std::thread::sleep(MIN_READ_INTERVAL);
    let before = script.reads.load(Ordering::SeqCst);
    let address = service.address;
    let clients: Vec<_> = (0..40)
        .map(|_| std::thread::spawn(move || get(address, "/metrics")))
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap().sample(HITS), Some(8.0));
    }
    // One read serves all; a second is possible for clients that connect after the first has begun.
    let reads = script.reads.load(Ordering::SeqCst) - before;
    assert!((1..=2).contains(&reads), "{reads} reads for 40 scrapes");
    assert_eq!(script.most_running.load(Ordering::SeqCst), 1);
}

#[test]
fn unknown_paths_share_one_series_and_methods_are_checked() {
    let script = Script::healthy();
    let service = Service::start(&script, timing());
    for number in 0..30 {
        assert_eq!(get(service.address, &format!("/nothing/{number}")).status, 404);
    }
    assert_eq!(request(service.address, "POST", "/metrics").unwrap().status, 405);
    assert_eq!(request(service.address, "HEAD", "/health").unwrap().body, "");
    let answer = get(service.address, "/metrics");
    let series = |path: &str, status: u16| {
        answer.sample(&format!(
            "castmatch_companion_http_requests_total{{path=\"{path}\",status=\"{status}\"}}"
        ))
    };
    assert_eq!(series("other", 404), Some(30.0));
    assert_eq!(series("/metrics", 405), Some(1.0));
    assert!(!answer.body.contains("/nothing"), "{}", answer.body);
}

#[test]
fn oversized_request_head_is_refused() {
    let script = Script::healthy();
    let service = Service::start(&script, timing());
    let path = format!("/health?{}", "x".repeat(64 * 1024));
    // Refused with a status, or cut off while the client still writes.
    if let Ok(answer) = request(service.address, "GET", &path) {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    assert_eq!(get(service.address, "/livez").status, 200);
}
