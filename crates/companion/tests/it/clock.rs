//! A clock that is set a day forward, then two days back, while the companion runs: libfaketime changes what it
//! reads as the time of day, and leaves the monotonic clock alone, as the kernel does.

use std::fs;
use std::time::Duration;

use castmatch_e2e::http::get;
use castmatch_e2e::poll::eventually;
use serde_json::Value;

use crate::cluster::{STAND_IN, bare_cluster, performance_function};
use crate::program::Program;
use crate::source::performance;

const SOON: Duration = Duration::from_secs(15);

/// `FAKETIME_LIBRARY`, or where Debian's package puts it.
fn library() -> String {
    std::env::var("FAKETIME_LIBRARY")
        .ok()
        .or_else(|| {
            let folders = fs::read_dir("/usr/lib").unwrap();
            let mut places = folders.map(|folder| folder.unwrap().path().join("faketime/libfaketimeMT.so.1"));
            places.find(|path| path.is_file()).map(|path| path.display().to_string())
        })
        .expect("this test needs libfaketime (Debian package faketime; set FAKETIME_LIBRARY to libfaketimeMT.so.1)")
}

/// Days since 1970 of a time in a body.
fn day(text: &Value) -> i64 {
    let text = text.as_str().unwrap();
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap();
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    // Days from the civil date, with March as the first month.
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day
}

#[test]
fn clock_that_is_set_changes_the_times_shown_and_nothing_else() {
    let cluster = bare_cluster();
    cluster.psql(STAND_IN);
    cluster.psql(&performance_function(&performance(100)));
    let setting = std::env::temp_dir().join(format!("castmatch-clock-{}", std::process::id()));
    let set = |offset: &str| fs::write(&setting, offset).unwrap();
    set("+0d");
    let library = library();
    let variables = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", setting.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let mut program = Program::start_under(&cluster.url("postgres"), &variables);
    eventually(SOON, "ready", || {
        (get(program.address, "/health").status == 200).then_some(())
    });
    let points = |least: usize| {
        let attempt = || {
            let body = get(program.address, "/performance").json();
            (body["history"].as_array().unwrap().len() >= least).then_some(body)
        };
        eventually(SOON, "points of the history", attempt).0
    };
    let today = day(&points(1)["at"]);
    for (number, (offset, days)) in [("+1d", 1), ("-1d", -1), ("+0d", 0)].into_iter().enumerate() {
        set(offset);
        let seen = || {
            let health = get(program.address, "/health");
            assert_eq!(health.status, 200, "{}", program.log());
            // Midnight may pass meanwhile.
            [0, 1]
                .contains(&(day(&health.json()["checked_at"]) - today - days))
                .then_some(())
        };
        eventually(SOON, "a health check by the new clock", seen);
        // Scrapes are fresh, and the history goes on and is shown by the clock of now.
        let fresh = || {
            let metrics = get(program.address, "/metrics");
            let read = metrics
                .sample("castmatch_last_scrape_success_timestamp_seconds")
                .unwrap();
            assert_eq!(metrics.sample("castmatch_up"), Some(1.0));
            ((read / 86400.0).floor() as i64 - days - unix_day())
                .abs()
                .le(&1)
                .then_some(())
        };
        eventually(SOON, "a fresh scrape", fresh);
        let body = points(number + 2);
        let history = body["history"].as_array().unwrap();
        let times: Vec<&str> = history
            .iter()
            .map(|point| point["at"].as_str().unwrap())
            .collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
        for point in history {
            assert!([0, 1].contains(&(day(&body["at"]) - day(&point["at"]))), "{body}");
        }
        assert!(
            body["companion"]["uptime_seconds"].as_u64() < Some(3600),
            "{body}"
        );
    }
    assert_eq!(program.exit_code(), None);
    fs::remove_file(&setting).unwrap();
}

fn unix_day() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    (now.as_secs() / 86400) as i64
}
