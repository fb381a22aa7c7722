//! `/metrics` in the format of OpenMetrics, read by a checker that lets nothing pass which the specification
//! forbids.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use castmatch_companion::exposition::Sample;
use castmatch_e2e::http::{Response, get, read_response};
use castmatch_e2e::poll::eventually;

use crate::source::{Reply, Script, Service, hits, report, timing};

const SOON: Duration = Duration::from_secs(5);
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// The answer to `GET /metrics` of a client with this Accept header.
pub fn get_accepting(address: SocketAddr, accept: &str) -> Response {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nhost: test\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    read_response(stream).unwrap()
}

/// What is known of the family whose lines are being read.
#[derive(Default)]
struct Family {
    kind: String,
    /// By labels without `le`: bound and count of each bucket, in the order of the text.
    buckets: BTreeMap<String, Vec<(String, f64)>>,
    counts: BTreeMap<String, f64>,
    sums: BTreeSet<String>,
}

/// Panics with the line that breaks a rule; returns how many samples there are.
pub fn check(text: &str) -> usize {
    let body = text.strip_suffix("# EOF\n").expect("ends in # EOF");
    let (mut seen, mut series) = (BTreeSet::new(), BTreeSet::new());
    let (mut name, mut family) = (String::new(), Family::default());
    let mut described: BTreeSet<&str> = BTreeSet::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (word, of) = (words.next().unwrap(), words.next().expect(line));
            let value = words.next().unwrap_or_default();
            if of != name {
                finish(&name, &family);
                assert!(seen.insert(of.to_owned()), "the family comes twice: {line}");
                (name, family) = (of.to_owned(), Family::default());
                described.clear();
            }
            assert!(described.insert(word), "said twice: {line}");
            match word {
                "TYPE" => {
                    assert!(
                        ["counter", "gauge", "histogram", "unknown"].contains(&value),
                        "{line}"
                    );
                    family.kind = value.to_owned();
                }
                "UNIT" => assert!(of.ends_with(&format!("_{value}")) && !value.is_empty(), "{line}"),
                "HELP" => assert!(is_escaped(value), "{line}"),
                _ => panic!("unknown word: {line}"),
            }
            continue;
        }
        let (left, value) = line.rsplit_once(' ').expect(line);
        let value: f64 = value.parse().expect(line);
        let (sample, labels) = match left.split_once('{') {
            Some((sample, labels)) => (sample, parse_labels(labels.strip_suffix('}').expect(line))),
            None => (left, Vec::new()),
        };
        assert!(series.insert(left.to_owned()), "the series comes twice: {line}");
        let suffix = sample.strip_prefix(name.as_str()).expect(line);
        let rest: String = labels
            .iter()
            .filter(|(key, _)| key != "le")
            .map(|(key, value)| format!("{key}={value:?},"))
            .collect();
        let bound = labels
            .iter()
            .find(|(key, _)| key == "le")
            .map(|(_, bound)| bound.clone());
        match (family.kind.as_str(), suffix) {
            ("counter", "_total") => assert!(value >= 0.0 && bound.is_none(), "{line}"),
            ("gauge" | "unknown", "") => assert!(bound.is_none(), "{line}"),
            ("histogram", "_bucket") => family
                .buckets
                .entry(rest)
                .or_default()
                .push((bound.expect(line), value)),
            ("histogram", "_count") => assert!(family.counts.insert(rest, value).is_none(), "{line}"),
            ("histogram", "_sum") => assert!(family.sums.insert(rest), "{line}"),
            _ => panic!("no sample of this family: {line}"),
        }
    }
    finish(&name, &family);
    let clashes = |name: &String| {
        ["_total", "_created", "_bucket", "_count", "_sum"]
            .iter()
            .any(|suffix| {
                name.strip_suffix(suffix)
                    .is_some_and(|base| seen.contains(base) && *suffix == "_created")
            })
    };
    assert!(!seen.iter().any(clashes), "{seen:?}");
    series.len()
}

/// A histogram's series hold together.
fn finish(name: &str, family: &Family) {
    for (labels, buckets) in &family.buckets {
        let bounds: Vec<f64> = buckets.iter().map(|(bound, _)| bound.parse().unwrap()).collect();
        assert!(
            bounds.windows(2).all(|pair| pair[0] < pair[1]),
            "{name} {labels} {bounds:?}"
        );
        assert!(
            buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1),
            "{name} {labels}"
        );
        let (last, count) = buckets.last().unwrap();
        assert_eq!(
            (last.as_str(), Some(count)),
            ("+Inf", family.counts.get(labels)),
            "{name} {labels}"
        );
        assert!(family.sums.contains(labels), "{name} {labels}");
        for (bound, _) in buckets {
            assert!(
                bound == "+Inf" || bound.contains(['.', 'e']),
                "{name}: {bound} is not canonical"
            );
        }
    }
    assert_eq!(family.buckets.len(), family.counts.len(), "{name}");
}

fn parse_labels(mut text: &str) -> Vec<(String, String)> {
    let mut labels: Vec<(String, String)> = Vec::new();
    while !text.is_empty() {
        let (key, rest) = text.split_once("=\"").expect(text);
        let end = (0..rest.len()).find(|&at| {
            let slashes = rest[..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
            rest.as_bytes()[at] == b'"' && slashes % 2 == 0
        });
        let (value, after) = rest.split_at(end.expect(text));
        assert!(is_escaped(value), "{value}");
        assert!(
            key.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            "{key}"
        );
        assert!(labels.iter().all(|(other, _)| other != key), "{key}");
        labels.push((key.to_owned(), value.to_owned()));
        text = after[1..].strip_prefix(',').unwrap_or(&after[1..]);
    }
    labels
}

/// Backslashes introduce `\\`, `\n` or `\"`, and no quote stands alone.
fn is_escaped(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if matches!(bytes.next(), Some(b'\\' | b'n' | b'"')) => {}
            b'\\' | b'"' => return false,
            _ => {}
        }
    }
    true
}

fn histogram_rows() -> Vec<Sample> {
    let row = |suffix: &str, labels: &str, value: f64| Sample {
        name: Some(format!("castmatch_request_duration_seconds{suffix}")),
        kind: Some("histogram".to_owned()),
        help: Some("Duration, \"in seconds\".".to_owned()),
        labels: Some(labels.to_owned()),
        value: Some(value),
    };
    vec![
        row("_bucket", r#"{"operation":"match","le":"0.00025"}"#, 1.0),
        row("_bucket", r#"{"operation":"match","le":"10"}"#, 2.0),
        row("_bucket", r#"{"operation":"match","le":"+Inf"}"#, 3.0),
        row("_sum", r#"{"operation":"match"}"#, 12.5),
        row("_count", r#"{"operation":"match"}"#, 3.0),
        Sample {
            labels: Some(r#"{"cache":"a\"b\\c\nd"}"#.to_owned()),
            ..hits(1.0)
        },
        hits(7.0),
    ]
}

#[test]
fn prometheus_gets_valid_openmetrics_and_others_the_text_format() {
    let script = Script::new(Reply::Now(report("ok")), Reply::Now(histogram_rows()));
    let service = Service::start(&script, timing());
    let up = || (get(service.address, "/metrics").sample("castmatch_up") == Some(1.0)).then_some(());
    eventually(SOON, "castmatch_up 1", up);
    let answer = get_accepting(service.address, PROMETHEUS);
    assert!(
        answer
            .head
            .contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{}",
        answer.head
    );
    assert!(answer.head.contains("vary: accept"), "{}", answer.head);
    let samples = check(&answer.body);
    assert!(samples > 30, "{samples} samples\n{}", answer.body);
    for line in [
        "# TYPE castmatch_cache_hits counter",
        "castmatch_cache_hits_total{cache=\"reply\"} 7.0",
        "# UNIT castmatch_request_duration_seconds seconds",
        "castmatch_request_duration_seconds_bucket{operation=\"match\",le=\"10.0\"} 2.0",
        "# TYPE castmatch_scrape_errors counter",
        "# TYPE castmatch_companion_http_request_duration_seconds histogram",
        "# UNIT process_resident_memory_bytes bytes",
        "castmatch_up 1.0",
    ] {
        assert!(
            answer.body.lines().any(|found| found == line),
            "{line}\n{}",
            answer.body
        );
    }
    let plain = get_accepting(service.address, "text/plain");
    assert!(
        plain.head.contains("content-type: text/plain; version=0.0.4"),
        "{}",
        plain.head
    );
    assert!(
        !plain.body.contains("# EOF") && plain.body.contains("# TYPE castmatch_cache_hits_total counter")
    );
}

#[test]
fn openmetrics_stays_valid_without_a_database_and_with_names_that_clash() {
    let script = Script::new(Reply::Unreachable, Reply::Unreachable);
    let service = Service::start(&script, timing());
    let answer = get_accepting(service.address, PROMETHEUS);
    check(&answer.body);
    assert_eq!(answer.sample("castmatch_up"), Some(0.0));
    let gauge = |name: &str| Sample {
        name: Some(name.to_owned()),
        kind: Some("gauge".to_owned()),
        ..hits(1.0)
    };
    let mut rows = vec![
        gauge("castmatch_cache_hits"),
        gauge("castmatch_scrape_errors"),
        gauge("castmatch_request_duration_seconds_created"),
    ];
    rows.extend(histogram_rows());
    script.set(Reply::Now(report("ok")), Reply::Now(rows));
    let up = || {
        Some(get_accepting(service.address, PROMETHEUS))
            .filter(|answer| answer.sample("castmatch_up") == Some(1.0))
    };
    let (answer, _) = eventually(SOON, "castmatch_up 1", up);
    check(&answer.body);
    assert!(
        answer.body.contains("# TYPE castmatch_cache_hits_total unknown"),
        "{}",
        answer.body
    );
}

#[test]
fn durations_are_counted_by_route_with_bounded_series() {
    let script = Script::healthy();
    let service = Service::start(&script, timing());
    for path in [
        "/health",
        "/livez",
        "/performance",
        "/",
        "/nothing/1",
        "/nothing/2",
    ] {
        get(service.address, path);
    }
    let answer = get(service.address, "/metrics");
    let count = |path: &str| {
        answer.sample(&format!(
            "castmatch_companion_http_request_duration_seconds_count{{path=\"{path}\"}}"
        ))
    };
    for (path, expected) in [
        ("/health", 1.0),
        ("/livez", 1.0),
        ("/performance", 1.0),
        ("/", 1.0),
        ("other", 2.0),
    ] {
        assert_eq!(count(path), Some(expected), "{path}\n{}", answer.body);
    }
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        *names.entry(line.split(['{', ' ']).next().unwrap()).or_default() += 1;
    }
    assert!(names.values().all(|series| *series <= 50), "{names:?}");
}
