#![allow(clippy::unwrap_used)]

use super::super::record::{Key, Record};
use super::{cell, collect, write};
use crate::scratch::Folder;

fn key(method: &str, round: usize) -> Key {
    Key {
        data: "wordnet-384".to_owned(),
        rows: 1000,
        method: method.to_owned(),
        round,
    }
}

fn search(method: &str, round: usize, effort: u32, recall: f64, qps: f64) -> Record {
    Record::Search {
        key: key(method, round),
        effort,
        clients: 1,
        queries: 10,
        qps,
        recall,
        p50_ms: 1000.0 / qps,
        p95_ms: 2000.0 / qps,
        p99_ms: 3000.0 / qps,
        server_cpu_ms: Some(800.0 / f64::from(effort) * round as f64),
    }
}

fn build(method: &str, round: usize, seconds: f64) -> Record {
    Record::Build {
        key: key(method, round),
        workers: 2,
        seconds,
        cpu_seconds: Some(2.0 * seconds),
        peak_mib: Some(100.0),
        index_mib: 20.0,
        cache_mib: None,
    }
}

#[test]
fn the_best_round_counts_and_stands_beside_its_ratio() {
    let records = [
        build("pgvector-64", 1, 8.0),
        build("pgvector-64", 2, 10.0),
        build("castmatch-64", 1, 4.0),
        search("pgvector-64", 1, 40, 0.96, 400.0),
        search("pgvector-64", 2, 40, 0.96, 500.0),
        search("pgvector-64", 1, 200, 0.995, 100.0),
        search("castmatch-64", 1, 40, 0.97, 1500.0),
        Record::Note {
            text: "hnswlib is not here".to_owned(),
        },
    ];
    let all = collect(&records);
    let methods = all.values().next().unwrap();
    let pgvector = methods.get("pgvector-64").unwrap();
    assert_eq!(pgvector.at(1, 0.95).unwrap().p50_ms, 2.0);
    assert_eq!(pgvector.at(1, 0.99).unwrap().effort, 200);
    assert_eq!(pgvector.at(2, 0.99), None);

    let folder = Folder::new("report");
    write(folder.path(), &records).unwrap();
    let text = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
    for line in [
        "| castmatch-64 | 4.0 (0.50×) | 8.0 (0.50×) | 100 (1.00×) | 20.0 (1.00×) | – |",
        "| castmatch-64 | 1500 (3.00×) | 0.67 (0.33×) | 1.33 (0.33×) | 2.00 (0.33×) | 20.000 (5.00×) | 40 | 0.9700 |",
        // Queries per second are best at ef 40, in round 2; CPU time is least at ef 200, in round 1.
        "| pgvector-64 | 500 (1.00×) | 2.00 (1.00×) | 4.00 (1.00×) | 6.00 (1.00×) | 4.000 (1.00×) | 40 | 0.9600 |",
        "| castmatch-64 | – | – | – | – | – | – | – |",
        "| pgvector-64 | 1 | 40 | 0.9600 | 500 | 2.00 | 4.00 | 6.00 | 20.000 |",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    assert!(text.contains("- hnswlib is not here"));
    assert!(folder.path().join("wordnet-384-1000-1.svg").exists());
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("report.json")).unwrap()).unwrap();
    assert_eq!(
        json["data_sets"][0]["methods"]["pgvector-64"]["build_seconds"]["2"],
        8.0
    );
}

#[test]
fn what_was_not_measured_is_a_dash() {
    assert_eq!(cell(None, Some(1.0), 1), "–");
    assert_eq!(cell(Some(2.0), None, 1), "2.0");
    assert_eq!(cell(Some(2.0), Some(0.0), 0), "2");
    assert_eq!(cell(Some(3.0), Some(2.0), 0), "3 (1.50×)");
}
