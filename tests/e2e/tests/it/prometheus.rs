//! Debian's Prometheus with the shipped configuration: it scrapes the companion of a real server, its rules have values, and their
//! alerts are there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::http::{read_response, request};
use castmatch_e2e::place::required;
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::run;
use serde_json::Value;

use crate::companion::Companion;
use crate::setting::{SOON, attached_talents};

/// Two scrapes and an evaluation of the rules, each second here, on a machine with other work.
const SCRAPED: Duration = Duration::from_secs(60);
/// What is there only where the companion prunes, has its HTTP front, or a model of another server is registered or used.
const OPTIONAL: [&str; 3] = [
    "castmatch_companion_prune_",
    "castmatch_companion_api_",
    "castmatch_model_breaker_open",
];

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../extension/deploy/prometheus")
}

struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Prometheus {
    /// With the shipped configuration and rules; only addresses and intervals differ.
    fn start(folder: &Path, companion: SocketAddr) -> Self {
        fs::create_dir(folder.join("rules")).unwrap();
        let rules = "rules/castmatch.rules.yml";
        fs::copy(shipped().join(rules), folder.join(rules)).unwrap();
        let mut text = fs::read_to_string(shipped().join("prometheus.yml")).unwrap();
        for (from, to) in [
            ("127.0.0.1:9187", companion.to_string().as_str()),
            ("scrape_interval: 15s", "scrape_interval: 1s"),
            ("scrape_timeout: 5s", "scrape_timeout: 1s"),
            ("evaluation_interval: 15s", "evaluation_interval: 1s"),
        ] {
            assert!(text.contains(from), "{from} in {text}");
            text = text.replacen(from, to, 1);
        }
        let config = folder.join("prometheus.yml");
        fs::write(&config, text).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(required("PROMETHEUS"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let server = Self { child, address: port };
        eventually(SOON, "Prometheus is ready", || {
            let answer = request(port, "GET", "/-/ready").ok()?;
            (answer.status == 200).then_some(())
        });
        server
    }

    /// The answer of its HTTP interface.
    fn ask(&self, path: &str) -> Value {
        // Of HTTP/1.0, which knows no chunks.
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "GET /api/v1/{path} HTTP/1.0\r\nhost: test\r\n\r\n").unwrap();
        let answer = read_response(stream).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()["data"].clone()
    }

    /// The series of an instant query: labels and value.
    fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let escaped: String = expression.bytes().fold(String::new(), |mut text, byte| {
            if byte.is_ascii_alphanumeric() {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
            text
        });
        let result = self.ask(&format!("query?query={escaped}"));
        let series = result["result"].as_array().unwrap().iter();
        let number = |series: &Value| series["value"][1].as_str().unwrap().parse().unwrap();
        series
            .map(|series| (series["metric"].clone(), number(series)))
            .collect()
    }

    /// The one value of an expression, once there is one.
    fn value(&self, expression: &str, accept: impl Fn(f64) -> bool) -> f64 {
        let mut last = Vec::new();
        let found = || {
            last = self.query(expression);
            match last.as_slice() {
                [(_, value)] if accept(*value) => Some(*value),
                _ => None,
            }
        };
        eventually(SCRAPED, expression, found).0
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        signal("TERM", &[self.child.id()]);
        let _ = self.child.wait();
    }
}

/// Kind and labels by name, of tests/deploy/metrics.txt.
fn listed() -> BTreeMap<String, (String, Vec<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/metrics.txt");
    let text = fs::read_to_string(path).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            let name = words.next().unwrap();
            (name, (words.next().unwrap(), words.collect()))
        })
        .collect()
}

/// What is listed and is there has the kind and the labels that the rules and the dashboard go by.
fn as_listed(prometheus: &Prometheus) {
    let metadata = prometheus.ask("metadata");
    let listed = listed();
    // In OpenMetrics, which Prometheus prefers, the family of a counter has no suffix.
    let family = |name: &str| {
        let short = name.strip_suffix("_total").unwrap_or(name);
        metadata.get(name).or_else(|| metadata.get(short))
    };
    for (name, (kind, labels)) in &listed {
        let Some(found) = family(name) else {
            let may_be_absent = OPTIONAL.iter().any(|prefix| name.starts_with(prefix));
            assert!(may_be_absent, "{name} is not scraped");
            continue;
        };
        assert_eq!(found[0]["type"], *kind, "{name}");
        assert!(
            found[0]["help"].as_str().unwrap().ends_with('.'),
            "help of {name}: {found}"
        );
        let series = if kind == "histogram" {
            format!("{name}_count")
        } else {
            name.clone()
        };
        for (metric, _) in prometheus.query(&series) {
            for label in labels {
                assert!(
                    metric.get(label).is_some(),
                    "{name} without the label {label}: {metric}"
                );
            }
        }
    }
    let ours = metadata.as_object().unwrap().keys();
    for name in ours.filter(|name| name.starts_with("castmatch_")) {
        let series = prometheus.query(&format!(
            "count({name}) or count({name}_count) or count({name}_total)"
        ));
        assert!(
            series.iter().all(|(_, count)| *count <= 50.0),
            "{name}: {series:?}"
        );
    }
}

#[test]
fn prometheus_scrapes_records_and_alerts_with_the_shipped_files() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("watched");
    attached_talents(client);
    let companion = Companion::start(&cluster, "watched");
    let prometheus = Prometheus::start(&cluster.new_folder("prometheus"), companion.address);

    prometheus.value("up{job=\"castmatch\"}", |value| value == 1.0);
    prometheus.value("castmatch_up", |value| value == 1.0);
    let scrapes = "count_over_time(castmatch_up[1m])";
    prometheus.value(scrapes, |value| value >= 2.0);
    for turn in 0..20 {
        run(
            client,
            &format!("SELECT * FROM castmatch.match('talents', 'a dancer of {turn} years')"),
        );
    }
    let calls = "castmatch_requests_total{operation=\"match\",outcome=\"ok\"}";
    prometheus.value(calls, |value| value >= 20.0);

    // By hand as by the recorded series: within the bounds of the histogram, and the percentiles in order.
    let p95 = "histogram_quantile(0.95, sum by (le) (rate(castmatch_request_duration_seconds_bucket{operation=\"match\"}[1m])))";
    let by_hand = prometheus.value(p95, |value| value > 0.0);
    assert!(by_hand < 10.0, "{by_hand}");
    let recorded =
        |name: &str| prometheus.value(&format!("{name}{{operation=\"match\"}}"), |value| value > 0.0);
    let p50 = recorded("instance_operation:castmatch_request_duration_seconds:p50_5m");
    let p95 = recorded("instance_operation:castmatch_request_duration_seconds:p95_5m");
    let p99 = recorded("instance_operation:castmatch_request_duration_seconds:p99_5m");
    assert!(p50 <= p95 && p95 <= p99 && p99 < 10.0, "{p50} {p95} {p99}");
    recorded("instance_operation:castmatch_requests:rate5m");
    let errors = "instance_operation:castmatch_request_errors:ratio_rate5m{operation=\"match\"}";
    assert_eq!(prometheus.value(errors, |value| value >= 0.0), 0.0);
    let hits = "max(instance_cache_level:castmatch_cache_hits:ratio_rate5m{cache=\"embedding\"})";
    prometheus.value(hits, |value| (0.0..=1.0).contains(&value));

    as_listed(&prometheus);
    let rules = prometheus.ask("rules");
    let groups = rules["groups"].as_array().unwrap();
    let all: Vec<&Value> = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    let alerting = all.iter().filter(|rule| rule["type"] == "alerting").count();
    let text = fs::read_to_string(shipped().join("rules/castmatch.rules.yml")).unwrap();
    assert_eq!(alerting, text.matches("- alert:").count());
    assert!(all.iter().all(|rule| rule["health"] == "ok"), "{rules}");
    let active = prometheus.ask("alerts");
    let firing = active["alerts"].as_array().unwrap().iter();
    let firing: Vec<_> = firing.filter(|alert| alert["state"] == "firing").collect();
    assert!(firing.is_empty(), "a healthy server alerts: {firing:?}");
}

#[test]
fn prometheus_learns_that_the_database_is_away() {
    let mut cluster = Cluster::start(&Options::default());
    drop(cluster.database("watched"));
    let companion = Companion::start(&cluster, "watched");
    let prometheus = Prometheus::start(&cluster.new_folder("prometheus"), companion.address);
    prometheus.value("castmatch_up", |value| value == 1.0);
    cluster.stop();
    // The companion answers on, and with the last good values.
    prometheus.value("castmatch_up", |value| value == 0.0);
    prometheus.value("up{job=\"castmatch\"}", |value| value == 1.0);
    prometheus.value("castmatch_embedder_ready", |value| value >= 0.0);
    let pending = || {
        let active = prometheus.ask("alerts");
        let mut alerts = active["alerts"].as_array().unwrap().iter();
        alerts
            .any(|alert| alert["labels"]["alertname"] == "CastmatchDown")
            .then_some(())
    };
    eventually(SCRAPED, "the alert CastmatchDown is pending", pending);
    cluster.boot();
    prometheus.value("castmatch_up", |value| value == 1.0);
}
