//! The dashboard page in a real browser: Debian's headless Chromium, at the width of a desk and of a phone, light
//! and dark. `CASTMATCH_SCREENSHOTS` names a folder that keeps the pictures.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use castmatch_e2e::http::get;
use castmatch_e2e::poll::eventually;
use serde_json::json;

use crate::source::{Reply, Script, Service, performance, report, timing};

const SOON: Duration = Duration::from_secs(5);

/// `CHROMIUM`, or what PATH has of the browsers that take the same options.
fn browser() -> PathBuf {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return named.into();
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium-headless-shell", "chromium", "google-chrome"];
    let found = names.iter().find_map(|name| {
        std::env::split_paths(&folders)
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
    });
    found.expect("this test needs a browser (Debian package chromium-headless-shell; set CHROMIUM to one)")
}

/// What the browser prints for the page when it has been open for some seconds of its own time.
fn open(address: SocketAddr, name: &str, arguments: &[&str]) -> String {
    open_url(&format!("http://{address}/"), name, arguments)
}

fn open_url(url: &str, name: &str, arguments: &[&str]) -> String {
    let profile = std::env::temp_dir().join(format!("castmatch-browser-{}-{name}", std::process::id()));
    let out = Command::new("timeout")
        .arg("60")
        .arg(browser())
        // The sandbox needs rights that a container may not have; the page is our own.
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--virtual-time-budget=4000",
        ])
        .args(["--enable-logging=stderr", "--v=0"])
        // The pages print times of the day.
        .env("TZ", "UTC")
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(arguments)
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let _ = std::fs::remove_dir_all(&profile);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    // Refused by the policy, or a script that failed.
    assert!(!said.contains("CONSOLE") && !said.contains("Uncaught"), "{said}");
    String::from_utf8(out.stdout).unwrap()
}

fn service(script: &std::sync::Arc<Script>) -> Service {
    *script.performance.lock().unwrap() = Reply::Now(performance(100));
    let service = Service::start(script, timing());
    let point = |least: u64| {
        let body = get(service.address, "/performance").json();
        let points = body["history"].as_array().unwrap();
        (points
            .iter()
            .filter(|point| point["match_rate"].as_f64() > Some(0.0))
            .count() as u64
            >= least)
            .then_some(())
    };
    eventually(SOON, "values", || {
        get(service.address, "/performance").json()["castmatch"]
            .is_object()
            .then_some(())
    });
    for step in 1..=3 {
        *script.performance.lock().unwrap() = Reply::Now(performance(100 + 60 * step));
        eventually(SOON, "a point", || point(step));
    }
    service
}

/// The text of the document without its markup, blanks run together.
fn text(dom: &str) -> String {
    let body = dom
        .split("<body")
        .nth(1)
        .unwrap()
        .split("<script")
        .next()
        .unwrap();
    let mut text = String::new();
    let mut inside = true;
    for character in body.chars() {
        match character {
            '<' => inside = true,
            '>' => {
                inside = false;
                text.push(' ');
            }
            other if !inside => text.push(other),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn page_shows_the_values_and_runs_under_its_policy() {
    let script = Script::healthy();
    let mut degraded = report("degraded");
    degraded["problems"] = json!([{"check": "queue", "severity": "warning", "problem": "4 rows <i>failed</i>",
                                   "remedy": "SELECT castmatch.retry_failed('talents')"}]);
    script.set(Reply::Now(degraded), Reply::Now(vec![]));
    let service = service(&script);
    let page = get(service.address, "/");
    assert!(
        page.head.contains("content-type: text/html; charset=utf-8"),
        "{}",
        page.head
    );
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'; style-src 'sha256-"),
        "{}",
        page.head
    );
    assert!(
        page.head.contains("x-content-type-options: nosniff"),
        "{}",
        page.head
    );
    let dom = open(service.address, "values", &["--dump-dom"]);
    assert!(dom.contains("<body data-state=\"live\">"), "{dom}");
    let text = text(&dom);
    for expected in [
        "degraded",
        "castmatch 0.1.0 · PostgreSQL 15.20 · up 1 d 2 h",
        "warning: queue 4 rows &lt;i&gt;failed&lt;/i&gt; SELECT castmatch.retry_failed('talents')",
        "match p95 1.95 ms p99 1.99 ms",
        "Cache hits 41.7 %",
        "Queue 1,234 done in 20.1 s",
        "embedding session 50 %",
        "reply shared 25 % 25 % 280 812 4.1 MiB",
        "builtin embed local ready – 9 0 4.25 ms",
        "&lt;b&gt;big&lt;/b&gt; chat openai – half open 7 3 1.42 s",
        "talents_embedding_idx talents hnsw 1,000,000 2 GiB 3.1 % yes",
        "broken_idx jobs ivf 0 8 KiB – no",
        "conversations ≈ 12,011 messages ≈ 1,003,912 last prune 2026-11-23",
        "messages pruned 88,123",
        "state ready process 48213 memory 170 MiB CPU 1 h 2 min in all threads 2",
        "backend cache 8 MiB shared 128 MiB",
        "done in 20.1 s, 61.5 rows/s, oldest 1 min 24 s",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(
        !dom.contains("<b>big") && !dom.contains("<i>failed"),
        "markup from the database"
    );
    // Four charts with lines and a name, tables with headings for whoever does not see them.
    assert_eq!(dom.matches("<svg role=\"img\"").count(), 4, "{dom}");
    assert!(
        dom.contains("aria-label=\"Latency of match over the last 2 min; last values: p50 1.5 ms"),
        "{dom}"
    );
    assert_eq!(dom.matches("<summary>Values as a table</summary>").count(), 4);
    assert!(dom.matches("scope=\"col\"").count() > 30 && dom.contains("aria-live=\"polite\""));
    assert!(dom.contains("<path class=\"c1\" d=\"M"), "{dom}");
}

/// The page as a file, with answers put in the place of the companion's and a hand that does what a person would.
#[test]
fn charts_have_tables_and_follow_the_chosen_operation() {
    let script = Script::healthy();
    let service = service(&script);
    let mut answer = get(service.address, "/performance").json();
    let point = |second: u32, chat: Option<f64>| {
        let mut point = json!({"at": format!("2026-11-23T07:00:{second:02}Z"), "match_rate": 2.0, "match_p50_ms": 1.5,
                               "match_p95_ms": 3.0, "match_p99_ms": 4.0, "queue_pending": second});
        if let Some(chat) = chat {
            point["chat_rate"] = json!(0.2);
            point["chat_p50_ms"] = json!(chat);
        }
        point
    };
    answer["at"] = json!("2026-11-23T07:00:11Z");
    answer["history"] = json!([point(0, None), point(5, Some(612.0)), point(10, None)]);
    let before =
        format!("<script>window.fetch = async () => ({{ok: true, json: async () => ({answer})}});</script>");
    let hand = "<script>setTimeout(() => {
        document.querySelector('#latency-operation input[value=chat]').click();
        for (const one of document.querySelectorAll('details')) one.open = true;
        byId('pause').click();
    }, 1000);</script>";
    let page = get(service.address, "/").body;
    let page = page.replace(
        "<script>\"use strict\"",
        &format!("{before}<script>\"use strict\""),
    );
    assert!(page.contains(&before), "{page}");
    let file = std::env::temp_dir().join(format!("castmatch-page-{}.html", std::process::id()));
    std::fs::write(&file, page.replace("</html>", &format!("{hand}</html>"))).unwrap();
    let dom = open_url(&format!("file://{}", file.display()), "hand", &["--dump-dom"]);
    std::fs::remove_file(&file).unwrap();
    let said = text(&dom);
    // One row for the minute, with what was last known in it; two tables more have none of the values.
    for expected in [
        "time p50 p95 p99 07:00:10 612 ms – –",
        "time match chat 07:00:10 2 0",
        "time waiting 07:00:10 10",
        "Paused",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert!(
        dom.contains("aria-label=\"Latency of chat over the last 2 min; last values: p50 612 ms, p95 –"),
        "{dom}"
    );
    assert!(dom.contains("aria-pressed=\"true\""), "{dom}");
    // A point without neighbours is a dot.
    assert!(dom.contains("<circle class=\"c3\""), "{dom}");
}

#[test]
fn page_tells_of_a_database_that_is_away_and_of_a_companion_without_values() {
    let script = Script::healthy();
    let service = service(&script);
    script.set(Reply::Unreachable, Reply::Unreachable);
    *script.performance.lock().unwrap() = Reply::Unreachable;
    let down = || (get(service.address, "/performance").json()["database"]["up"] == false).then_some(());
    eventually(SOON, "down", down);
    let dom = open(service.address, "down", &["--dump-dom"]);
    let said = text(&dom);
    assert!(dom.contains("<body data-state=\"stale\">"), "{dom}");
    assert!(
        said.contains("database down") && said.contains("The database is down: values of 20"),
        "{said}"
    );
    assert!(
        said.contains("match p95 1.95 ms"),
        "the last good values stay: {said}"
    );

    let bare = Service::start(&Script::healthy(), timing());
    let hint = || {
        get(bare.address, "/performance").json()["database"]["hint"]
            .is_string()
            .then_some(())
    };
    eventually(SOON, "hint", hint);
    let said = text(&open(bare.address, "bare", &["--dump-dom"]));
    assert!(
        said.contains("this version of castmatch has no castmatch.performance()")
            && said.contains("Operations"),
        "{said}"
    );
}

#[test]
fn page_fits_desk_and_phone_in_light_and_dark() {
    let script = Script::healthy();
    let service = service(&script);
    let kept = std::env::var_os("CASTMATCH_SCREENSHOTS").map(PathBuf::from);
    let folder = kept.clone().unwrap_or_else(std::env::temp_dir);
    let mut sizes = Vec::new();
    for (width, height) in [(1280, 1800), (360, 3600)] {
        for (scheme, setting) in [("light", "1"), ("dark", "0")] {
            let name = format!("castmatch-{}-{scheme}-{width}", std::process::id());
            let picture = folder.join(format!("{name}.png"));
            let screenshot = format!("--screenshot={}", picture.display());
            let window = format!("--window-size={width},{height}");
            let scheme = format!("--blink-settings=preferredColorScheme={setting}");
            open(service.address, &name, &[&screenshot, &window, &scheme]);
            let bytes = std::fs::read(&picture).unwrap();
            // The header of a PNG holds its size; a page that did not fit would have been cut, one without
            // content is a few kilobytes.
            assert_eq!(
                bytes[16..24],
                [
                    &(width as u32).to_be_bytes()[..],
                    &(height as u32).to_be_bytes()[..]
                ]
                .concat()
            );
            assert!(bytes.len() > 40_000, "{name}: {} bytes", bytes.len());
            sizes.push(bytes.len());
            if kept.is_none() {
                std::fs::remove_file(&picture).unwrap();
            }
        }
    }
    sizes.sort_unstable();
    sizes.dedup();
    assert_eq!(sizes.len(), 4, "light and dark look alike: {sizes:?}");
}
