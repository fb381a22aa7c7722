//! The figures of `match` and their report: `match.md` and `match.json`.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::Error;
use crate::measure::{Latencies, nearest_rank, percentile};
use crate::report::{self, Bar, Report};

/// How much longer calls took than the bare SQL, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Overhead {
    /// Median of the calls.
    ours_ms: f64,
    /// Median of the bare SQL.
    bare_ms: f64,
    /// The first less the second.
    ms: f64,
    /// Median of the differences of each pair.
    paired_ms: f64,
}

impl Overhead {
    /// Of pairs of the same text.
    pub(super) fn of(ours: &[Duration], bare: &[Duration]) -> Self {
        let median = |times: &[Duration]| percentile(&mut times.to_vec(), 0.5).as_secs_f64() * 1e3;
        let mut differences: Vec<f64> = ours
            .iter()
            .zip(bare)
            .map(|(ours, bare)| (ours.as_secs_f64() - bare.as_secs_f64()) * 1e3)
            .collect();
        differences.sort_by(f64::total_cmp);
        let (ours_ms, bare_ms) = (median(ours), median(bare));
        Self {
            ours_ms,
            bare_ms,
            ms: ours_ms - bare_ms,
            paired_ms: nearest_rank(&differences, 0.5).unwrap_or_default(),
        }
    }
}

/// The figures of a case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figures {
    /// What is asked beside the text.
    pub(super) case: String,
    /// Hybrid, of texts whose result is cached.
    pub(super) cached: Latencies,
    /// Hybrid, of texts whose embedding is cached.
    pub(super) hybrid: Latencies,
    /// Hybrid, of new texts.
    pub(super) fresh: Latencies,
    /// Semantic, of texts whose embedding is cached.
    pub(super) semantic: Latencies,
    /// Text.
    pub(super) text: Latencies,
    /// What the semantic one stands for.
    pub(super) bare: Latencies,
    /// Of the semantic one, seen by the client.
    pub(super) overhead: Overhead,
    /// The same, seen inside the server.
    pub(super) inside: Overhead,
    /// How the bare SQL reads the table.
    pub(super) plan: String,
}

/// Writes the report; the bars are those of the first case.
pub(super) fn write(work: &Path, notes: Vec<(&str, String)>, figures: &[Figures]) -> Result<(), Error> {
    let mut bars = Report::default();
    if let Some(plain) = figures.first() {
        add_bars(&mut bars, plain);
    }
    let mut text = format!("# match\n\n{}\n{}\n", report::preface(&notes), bars.table());
    for case in figures {
        text.push_str(&section(case));
    }
    println!("\n{text}");
    let json = serde_json::json!({"bars": bars, "cases": figures});
    report::write(work, "match", &text, &json)
}

fn add_bars(bars: &mut Report, plain: &Figures) {
    for (name, latencies) in [
        ("result cached", plain.cached),
        ("embedding cached", plain.hybrid),
    ] {
        bars.add(
            format!("{name}: p50"),
            latencies.p50_ms,
            "ms",
            Some(Bar::AtMost(2.0)),
        );
        bars.add(
            format!("{name}: p95"),
            latencies.p95_ms,
            "ms",
            Some(Bar::AtMost(5.0)),
        );
    }
    bars.add("new text: p95", plain.fresh.p95_ms, "ms", Some(Bar::AtMost(25.0)));
    bars.add(
        "semantic over the bare SQL: p50",
        plain.overhead.ms,
        "ms",
        Some(Bar::AtMost(0.3)),
    );
}

fn section(figures: &Figures) -> String {
    let mut text = format!(
        "## {}\n\n| call | calls | p50 ms | p95 ms | p99 ms |\n|---|---:|---:|---:|---:|\n",
        figures.case
    );
    for (name, latencies) in [
        ("hybrid, result cached", figures.cached),
        ("hybrid, embedding cached", figures.hybrid),
        ("hybrid, new text", figures.fresh),
        ("semantic, embedding cached", figures.semantic),
        ("text", figures.text),
        ("bare SQL", figures.bare),
    ] {
        text.push_str(&format!(
            "| {name} | {} | {:.3} | {:.3} | {:.3} |\n",
            latencies.calls, latencies.p50_ms, latencies.p95_ms, latencies.p99_ms
        ));
    }
    text.push_str(
        "\n| semantic and the bare SQL | p50 ms | bare p50 ms | overhead ms | median of the pairs' differences ms |\n\
         |---|---:|---:|---:|---:|\n",
    );
    for (name, overhead) in [
        ("client", figures.overhead),
        ("inside the server", figures.inside),
    ] {
        text.push_str(&format!(
            "| {name} | {:.3} | {:.3} | {:+.3} | {:+.3} |\n",
            overhead.ours_ms, overhead.bare_ms, overhead.ms, overhead.paired_ms
        ));
    }
    text.push_str(&format!("\nThe bare SQL reads by: {}\n\n", figures.plan));
    text
}

#[cfg(test)]
mod tests {
    use super::{Figures, Overhead, add_bars, section};
    use crate::measure::Latencies;
    use crate::report::Report;
    use std::time::Duration;

    fn latencies(p50_ms: f64) -> Latencies {
        Latencies {
            calls: 10,
            p50_ms,
            p95_ms: 2.0 * p50_ms,
            p99_ms: 3.0 * p50_ms,
        }
    }

    #[test]
    fn an_overhead_is_that_of_the_medians_and_of_the_pairs() {
        let times = |micros: &[u64]| -> Vec<Duration> {
            micros.iter().map(|&us| Duration::from_micros(us)).collect()
        };
        let overhead = Overhead::of(&times(&[1000, 3000, 2000]), &times(&[900, 1000, 2500]));
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(overhead.ours_ms, 2.0) && near(overhead.bare_ms, 1.0) && near(overhead.ms, 1.0));
        assert!(near(overhead.paired_ms, 0.1));
        assert_eq!(Overhead::of(&[], &[]).ms, 0.0);
    }

    #[test]
    fn bars_and_tables_show_every_kind_of_call() {
        let overhead = Overhead::of(&[Duration::from_micros(900)], &[Duration::from_micros(500)]);
        let figures = Figures {
            case: "no conditions".to_owned(),
            cached: latencies(0.5),
            hybrid: latencies(3.0),
            fresh: latencies(9.0),
            semantic: latencies(0.9),
            text: latencies(0.3),
            bare: latencies(0.5),
            overhead,
            inside: overhead,
            plan: "Index Scan using items_vector on items t".to_owned(),
        };
        let mut bars = Report::default();
        add_bars(&mut bars, &figures);
        let table = bars.table();
        assert!(table.contains("| result cached: p95 | 1.000 ms | ≤ 5 | yes |"));
        assert!(table.contains("| embedding cached: p50 | 3.000 ms | ≤ 2 | **no** |"));
        assert!(table.contains("| new text: p95 | 18.000 ms | ≤ 25 | yes |"));
        assert!(table.contains("| semantic over the bare SQL: p50 | 0.400 ms | ≤ 0.3 | **no** |"));
        let text = section(&figures);
        assert!(text.contains("| hybrid, new text | 10 | 9.000 | 18.000 | 27.000 |"));
        assert!(text.contains("| inside the server | 0.900 | 0.500 | +0.400 | +0.400 |"));
        assert!(text.ends_with("by: Index Scan using items_vector on items t\n\n"));
    }
}
