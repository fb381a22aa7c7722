//! The companion against castmatch itself: health, metrics, end.

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::http::{Response, get};
use castmatch_e2e::place::required;
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::run;

use crate::setting::{SOON, attached_talents};

const MATCHES: &str = "castmatch_requests_total{operation=\"match\",outcome=\"ok\"}";

/// A companion of a database of the cluster, on a free port.
pub struct Companion {
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
}

impl Companion {
    pub fn start(cluster: &Cluster, database: &str) -> Self {
        Self::start_with(cluster, &cluster.url(database), &[])
    }

    /// With that URL, and with further arguments.
    pub fn start_with(cluster: &Cluster, url: &str, arguments: &[&str]) -> Self {
        let log = cluster.new_folder("companion").join("log");
        let child = Command::new(required("CASTMATCH_COMPANION"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("DATABASE_URL", url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let announced = || {
            let text = fs::read_to_string(&log).unwrap();
            text.lines()
                .find_map(|line| line.split_once("listening on ")?.1.parse().ok())
        };
        let (address, _) = eventually(SOON, "the companion listens", announced);
        Self { child, address, log }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn promtool_accepts(text: &str) {
    let program = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    let promtool = Command::new(&program)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool =
        promtool.unwrap_or_else(|error| panic!("this test needs {program} (PROMTOOL): {error}"));
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let out = promtool.wait_with_output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    assert!(
        out.status.success() && said.is_empty(),
        "{}\n{text}",
        String::from_utf8_lossy(&said)
    );
}

fn metrics_where(companion: &Companion, what: &str, accept: impl Fn(&Response) -> bool) -> Response {
    eventually(SOON, what, || {
        Some(get(companion.address, "/metrics")).filter(&accept)
    })
    .0
}

#[test]
fn companion_serves_health_and_metrics_of_castmatch() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("observed");
    attached_talents(client);
    let mut companion = Companion::start(&cluster, "observed");
    let healthy = || Some(get(companion.address, "/health")).filter(|answer| answer.status == 200);
    let (health, _) = eventually(SOON, "/health 200", healthy);
    let castmatch = &health.json()["castmatch"];
    assert_eq!(
        (&castmatch["status"], &castmatch["embedder"]["state"]),
        (&"ok".into(), &"ready".into()),
        "{castmatch}"
    );
    assert_eq!(
        (&castmatch["preloaded"], &castmatch["failed"]),
        (&true.into(), &0.into()),
        "{castmatch}"
    );

    let first = metrics_where(&companion, "metrics", |answer| {
        answer.sample("castmatch_up") == Some(1.0)
    });
    promtool_accepts(&first.body);
    let before = first.sample(MATCHES).unwrap();
    for series in [
        "castmatch_queue_oldest_age_seconds",
        "castmatch_embedder_resident_memory_bytes",
        "castmatch_worker_last_heartbeat_timestamp_seconds{worker=\"embedder\"}",
        "castmatch_index_rows{index=\"public.talents_castmatch_embedding\"}",
        "castmatch_prune_last_success_timestamp_seconds",
        "castmatch_degraded_total{part=\"reply\"}",
    ] {
        assert!(
            first.sample(series).is_some(),
            "{series} is missing:\n{}",
            first.body
        );
    }
    assert!(
        first.sample("castmatch_rows_embedded_total").unwrap() >= 5.0,
        "{}",
        first.body
    );
    for _ in 0..3 {
        run(client, "SELECT * FROM castmatch.match('talents', 'a dancer')");
    }
    let later = metrics_where(&companion, "three more matches", |answer| {
        answer.sample(MATCHES) == Some(before + 3.0)
    });
    promtool_accepts(&later.body);
    let count = "castmatch_request_duration_seconds_count{operation=\"match\"}";
    assert_eq!(later.sample(count), Some(before + 3.0), "{}", later.body);

    signal("TERM", &[companion.child.id()]);
    let (status, _) = eventually(Duration::from_secs(10), "its end", || {
        companion.child.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(0));
}

#[test]
fn companion_serves_the_performance_of_castmatch() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("observed");
    attached_talents(client);
    let companion = Companion::start(&cluster, "observed");
    let performance = |what: &str, accept: &dyn Fn(&serde_json::Value) -> bool| {
        let attempt = || Some(get(companion.address, "/performance").json()).filter(|body| accept(body));
        eventually(SOON, what, attempt).0
    };
    assert_eq!(get(companion.address, "/").status, 200);
    let first = performance("values", &|body| body["castmatch"].is_object());
    let matches = |body: &serde_json::Value| {
        body["castmatch"]["operations"]["match"]["requests"]
            .as_u64()
            .unwrap()
    };
    let before = matches(&first);
    for number in 0..20 {
        run(
            client,
            &format!("SELECT * FROM castmatch.match('talents', 'a dancer {number}')"),
        );
    }
    let later = performance("twenty more matches", &|body| matches(body) == before + 20);
    let recent = &later["recent"]["operations"]["match"];
    assert_eq!(recent["requests"], 20, "{recent}");
    let of = |key: &str| recent[key].as_f64().unwrap();
    assert!(
        0.0 < of("p50_ms") && of("p50_ms") <= of("p95_ms") && of("p95_ms") <= of("p99_ms"),
        "{recent}"
    );
    assert_eq!(later["castmatch"]["embedder"]["state"], "ready");
    assert_eq!(
        later["castmatch"]["indexes"][0]["rows"].as_u64(),
        first["castmatch"]["indexes"][0]["rows"].as_u64()
    );
    assert!(later["castmatch"]["operations"]["match"].get("buckets").is_none());
    assert_eq!(
        later["health"]["castmatch"]["status"], "ok",
        "{}",
        later["health"]
    );
}
