//! The report: `report.md`, `report.json` and a plot per data set and number of clients.
//!
//! Of the rounds of a measurement the best counts (least time, most queries per second; latencies are those of that
//! round). Every absolute figure stands beside its ratio to pgvector's hnsw with ef_construction 64 in the same server.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::method::{Method, Side};
use super::recall::fastest;
use super::record::Record;
use super::svg::{self, Line};
use crate::Error;
use crate::data::manifest::write_json;

/// Recalls at which the queries per second are compared.
const WANTED: [f64; 2] = [0.95, 0.99];

/// A point of the curve of recall and speed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Point {
    effort: u32,
    recall: f64,
    qps: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
}

/// The best figures of a method over a data set.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
struct Figures {
    /// Seconds, by workers.
    build_seconds: BTreeMap<usize, f64>,
    /// MiB, by workers.
    build_peak_mib: BTreeMap<usize, f64>,
    index_mib: Option<f64>,
    cache_mib: Option<f64>,
    /// By clients.
    curve: BTreeMap<usize, Vec<Point>>,
    inserts_per_second: Option<f64>,
    vacuum_seconds: Option<f64>,
    recall_after_vacuum: Option<f64>,
}

/// Data set and rows, then the method's name.
type All = BTreeMap<(String, usize), BTreeMap<String, Figures>>;

/// Writes the report of these records.
pub(crate) fn write(folder: &Path, records: &[Record]) -> Result<(), Error> {
    let all = collect(records);
    let json: Vec<serde_json::Value> = all
        .iter()
        .map(|((data, rows), methods)| serde_json::json!({"data": data, "rows": rows, "methods": methods}))
        .collect();
    let settings = records.iter().rev().find_map(|record| match record {
        Record::Settings { values } => Some(values),
        _ => None,
    });
    write_json(
        &folder.join("report.json"),
        &serde_json::json!({"settings": settings, "data_sets": json}),
    )?;
    let mut text = String::from("# Index benchmark\n\n");
    for (name, value) in settings.into_iter().flatten() {
        let _ = writeln!(text, "- {name}: {value}");
    }
    for ((data, rows), methods) in &all {
        let _ = write!(text, "\n## {data}, {rows} rows\n\n");
        if methods.values().any(|figures| !figures.build_seconds.is_empty()) {
            builds(&mut text, methods);
        }
        for clients in clients_of(methods) {
            searches(&mut text, methods, clients);
            let file = format!("{data}-{rows}-{clients}.svg");
            let title = format!("{data}, {rows} rows, {clients} client(s)");
            std::fs::write(folder.join(&file), svg::plot(&title, &lines(methods, clients)))?;
            let _ = write!(text, "![{title}]({file})\n\n");
        }
        upkeep(&mut text, methods);
        curves(&mut text, methods);
    }
    let notes: Vec<&String> = records
        .iter()
        .filter_map(|record| match record {
            Record::Note { text } => Some(text),
            _ => None,
        })
        .collect();
    if !notes.is_empty() {
        text.push_str("\n## Notes\n\n");
        for note in notes {
            let _ = writeln!(text, "- {note}");
        }
    }
    Ok(std::fs::write(folder.join("report.md"), text)?)
}

fn least(slot: &mut Option<f64>, value: f64) {
    *slot = Some(slot.map_or(value, |present| present.min(value)));
}

fn collect(records: &[Record]) -> All {
    let mut all = All::new();
    for record in records {
        let Some(key) = record.key() else { continue };
        let figures = all
            .entry((key.data.clone(), key.rows))
            .or_default()
            .entry(key.method.clone())
            .or_default();
        match record {
            Record::Build {
                workers,
                seconds,
                peak_mib,
                index_mib,
                cache_mib,
                ..
            } => {
                let best = figures.build_seconds.entry(*workers).or_insert(*seconds);
                *best = best.min(*seconds);
                if let Some(peak) = peak_mib {
                    let best = figures.build_peak_mib.entry(*workers).or_insert(*peak);
                    *best = best.min(*peak);
                }
                // Of the last build: that is the index that is searched.
                figures.index_mib = Some(*index_mib);
                figures.cache_mib = *cache_mib;
            }
            Record::Search {
                effort,
                clients,
                qps,
                recall,
                p50_ms,
                p95_ms,
                p99_ms,
                ..
            } => {
                let point = Point {
                    effort: *effort,
                    recall: *recall,
                    qps: *qps,
                    p50_ms: *p50_ms,
                    p95_ms: *p95_ms,
                    p99_ms: *p99_ms,
                };
                let curve = figures.curve.entry(*clients).or_default();
                match curve.iter_mut().find(|present| present.effort == *effort) {
                    Some(present) if present.qps < *qps => *present = point,
                    Some(_) => {}
                    None => curve.push(point),
                }
                curve.sort_by_key(|point| point.effort);
            }
            Record::Insert {
                inserted, seconds, ..
            } => {
                let rate = *inserted as f64 / seconds.max(f64::MIN_POSITIVE);
                let best = figures.inserts_per_second.unwrap_or(0.0);
                figures.inserts_per_second = Some(best.max(rate));
            }
            Record::Vacuum { seconds, recall, .. } => {
                least(&mut figures.vacuum_seconds, *seconds);
                least(&mut figures.recall_after_vacuum, *recall);
            }
            Record::Settings { .. } | Record::Note { .. } => {}
        }
    }
    all
}

/// Methods in their usual order.
fn ordered(methods: &BTreeMap<String, Figures>) -> Vec<(Method, &Figures)> {
    Method::ALL
        .into_iter()
        .filter_map(|method| Some((method, methods.get(method.name())?)))
        .collect()
}

fn clients_of(methods: &BTreeMap<String, Figures>) -> Vec<usize> {
    let mut clients: Vec<usize> = methods
        .values()
        .flat_map(|figures| figures.curve.keys().copied())
        .collect();
    clients.sort_unstable();
    clients.dedup();
    clients
}

/// A figure with its ratio to the baseline's.
fn cell(value: Option<f64>, baseline: Option<f64>, decimals: usize) -> String {
    match (value, baseline) {
        (None, _) => "–".to_owned(),
        (Some(value), Some(baseline)) if baseline > 0.0 => {
            format!("{value:.decimals$} ({:.2}×)", value / baseline)
        }
        (Some(value), _) => format!("{value:.decimals$}"),
    }
}

fn builds(text: &mut String, methods: &BTreeMap<String, Figures>) {
    let baseline = methods.get(Method::BASELINE.name());
    let mut workers: Vec<usize> = methods
        .values()
        .flat_map(|figures| figures.build_seconds.keys().copied())
        .collect();
    workers.sort_unstable();
    workers.dedup();
    let mut head = "| method |".to_owned();
    for workers in &workers {
        let _ = write!(
            head,
            " build s, {workers} workers | peak MiB, {workers} workers |"
        );
    }
    head.push_str(" index MiB | cache MiB |\n|---|");
    head.push_str(&"---:|".repeat(2 * workers.len() + 2));
    let _ = writeln!(text, "{head}");
    for (method, figures) in ordered(methods) {
        let _ = write!(text, "| {} |", method.name());
        for workers in &workers {
            let seconds = |figures: &Figures| figures.build_seconds.get(workers).copied();
            let peak = |figures: &Figures| figures.build_peak_mib.get(workers).copied();
            let _ = write!(
                text,
                " {} | {} |",
                cell(seconds(figures), baseline.and_then(seconds), 1),
                cell(peak(figures), baseline.and_then(peak), 0)
            );
        }
        let index = |figures: &Figures| figures.index_mib;
        let _ = writeln!(
            text,
            " {} | {} |",
            cell(index(figures), baseline.and_then(index), 1),
            cell(figures.cache_mib, None, 1)
        );
    }
    text.push('\n');
}

fn at(figures: &Figures, clients: usize, wanted: f64) -> Option<&Point> {
    fastest(
        figures.curve.get(&clients)?,
        wanted,
        |point| point.recall,
        |point| point.qps,
    )
}

fn searches(text: &mut String, methods: &BTreeMap<String, Figures>, clients: usize) {
    let baseline = methods.get(Method::BASELINE.name());
    let _ = write!(text, "| method, {clients} client(s) |");
    for wanted in WANTED {
        let _ = write!(
            text,
            " queries/s at recall ≥ {wanted} | ef or probes | p50 ms | p95 ms | p99 ms |"
        );
    }
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(5 * WANTED.len()));
    for (method, figures) in ordered(methods) {
        if !figures.curve.contains_key(&clients) {
            continue;
        }
        let _ = write!(text, "| {} |", method.name());
        for wanted in WANTED {
            let (point, base) = (
                at(figures, clients, wanted),
                baseline.and_then(|figures| at(figures, clients, wanted)),
            );
            let figure = |of: fn(&Point) -> f64, decimals| cell(point.map(of), base.map(of), decimals);
            let effort = point.map_or_else(|| "–".to_owned(), |point| point.effort.to_string());
            let _ = write!(
                text,
                " {} | {effort} | {} | {} | {} |",
                figure(|point| point.qps, 0),
                figure(|point| point.p50_ms, 2),
                figure(|point| point.p95_ms, 2),
                figure(|point| point.p99_ms, 2)
            );
        }
        text.push('\n');
    }
    text.push('\n');
}

fn upkeep(text: &mut String, methods: &BTreeMap<String, Figures>) {
    let measured = |figures: &Figures| figures.inserts_per_second.or(figures.vacuum_seconds).is_some();
    if !methods.values().any(measured) {
        return;
    }
    let baseline = methods.get(Method::BASELINE.name());
    text.push_str(
        "| method | inserts/s, half-full | vacuum s, 20 % deleted | recall then |\n|---|---:|---:|---:|\n",
    );
    for (method, figures) in ordered(methods) {
        if method.side() == Side::Library {
            continue;
        }
        let inserts = |figures: &Figures| figures.inserts_per_second;
        let vacuum = |figures: &Figures| figures.vacuum_seconds;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            method.name(),
            cell(inserts(figures), baseline.and_then(inserts), 0),
            cell(vacuum(figures), baseline.and_then(vacuum), 2),
            cell(figures.recall_after_vacuum, None, 4)
        );
    }
    text.push('\n');
}

fn curves(text: &mut String, methods: &BTreeMap<String, Figures>) {
    if clients_of(methods).is_empty() {
        return;
    }
    text.push_str("<details><summary>All points</summary>\n\n");
    text.push_str("| method | clients | ef or probes | recall@10 | queries/s | p50 ms | p95 ms | p99 ms |\n");
    text.push_str("|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for (method, figures) in ordered(methods) {
        for (clients, curve) in &figures.curve {
            for point in curve {
                let _ = writeln!(
                    text,
                    "| {} | {clients} | {} | {:.4} | {:.0} | {:.2} | {:.2} | {:.2} |",
                    method.name(),
                    point.effort,
                    point.recall,
                    point.qps,
                    point.p50_ms,
                    point.p95_ms,
                    point.p99_ms
                );
            }
        }
    }
    text.push_str("\n</details>\n");
}

fn lines(methods: &BTreeMap<String, Figures>, clients: usize) -> Vec<Line> {
    let colour = |method: Method| Method::ALL.into_iter().position(|other| other == method);
    ordered(methods)
        .into_iter()
        .filter_map(|(method, figures)| {
            let mut points: Vec<(f64, f64)> = figures
                .curve
                .get(&clients)?
                .iter()
                .map(|point| (point.recall, point.qps))
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            Some(Line {
                name: method.name().to_owned(),
                colour: colour(method).unwrap_or(0),
                points,
            })
        })
        .collect()
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
