//! The report: `report.md`, `report.json` and a plot per data set and number of clients.
//!
//! Every absolute figure stands beside its ratio to pgvector's hnsw with ef_construction 64 in the same server.

use std::fmt::Write;
use std::path::Path;

use super::figures::{Figures, Methods, Point, collect};
use super::method::{Method, Side};
use super::record::Record;
use super::svg::{self, Line};
use crate::Error;
use crate::data::DataSet;
use crate::data::manifest::write_json;

/// Recalls at which the queries per second are compared.
const WANTED: [f64; 2] = [0.95, 0.99];

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
            for wanted in WANTED {
                searches(&mut text, methods, clients, wanted);
            }
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

/// Removes the results and what was made of them.
pub(crate) fn remove(folder: &Path) -> Result<(), Error> {
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.path();
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let plot = name.ends_with(".svg") && DataSet::ALL.iter().any(|set| name.starts_with(set.name()));
        if plot || ["results.jsonl", "report.md", "report.json"].contains(&name.as_str()) {
            std::fs::remove_file(file)?;
        }
    }
    Ok(())
}

/// Methods in their usual order.
fn ordered(methods: &Methods) -> Vec<(Method, &Figures)> {
    Method::ALL
        .into_iter()
        .filter_map(|method| Some((method, methods.get(method.name())?)))
        .collect()
}

fn clients_of(methods: &Methods) -> Vec<usize> {
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

fn builds(text: &mut String, methods: &Methods) {
    let baseline = methods.get(Method::BASELINE.name());
    let mut workers: Vec<usize> = methods
        .values()
        .flat_map(|figures| figures.build_seconds.keys().copied())
        .collect();
    workers.sort_unstable();
    workers.dedup();
    let mut head = "| method |".to_owned();
    for workers in &workers {
        let _ = write!(head, " build s, {workers} workers | CPU s | peak MiB |");
    }
    head.push_str(" index MiB | cache MiB |\n|---|");
    head.push_str(&"---:|".repeat(3 * workers.len() + 2));
    let _ = writeln!(text, "{head}");
    for (method, figures) in ordered(methods) {
        let _ = write!(text, "| {} |", method.name());
        for workers in &workers {
            let seconds = |figures: &Figures| figures.build_seconds.get(workers).copied();
            let peak = |figures: &Figures| figures.build_peak_mib.get(workers).copied();
            let cpu = |figures: &Figures| figures.build_cpu_seconds.get(workers).copied();
            let _ = write!(
                text,
                " {} | {} | {} |",
                cell(seconds(figures), baseline.and_then(seconds), 1),
                cell(cpu(figures), baseline.and_then(cpu), 1),
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

fn searches(text: &mut String, methods: &Methods, clients: usize, wanted: f64) {
    let baseline = methods.get(Method::BASELINE.name());
    let base = baseline.and_then(|figures| figures.at(clients, wanted));
    let _ = writeln!(
        text,
        "| recall ≥ {wanted}, {clients} client(s) | queries/s | p50 ms | p95 ms | p99 ms | server CPU ms/query \
         | ef or probes | recall |\n|---|{}",
        "---:|".repeat(7)
    );
    for (method, figures) in ordered(methods) {
        if !figures.curve.contains_key(&clients) {
            continue;
        }
        let point = figures.at(clients, wanted);
        let figure = |of: fn(&Point) -> f64, decimals| cell(point.map(of), base.map(of), decimals);
        let cpu = |figures: &Figures| figures.cpu_at(clients, wanted);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            method.name(),
            figure(|point| point.qps, 0),
            figure(|point| point.p50_ms, 2),
            figure(|point| point.p95_ms, 2),
            figure(|point| point.p99_ms, 2),
            cell(cpu(figures), baseline.and_then(cpu), 3),
            point.map_or_else(|| "–".to_owned(), |point| point.effort.to_string()),
            cell(point.map(|point| point.recall), None, 4)
        );
    }
    text.push('\n');
}

fn upkeep(text: &mut String, methods: &Methods) {
    let measured = |figures: &Figures| {
        let measured = figures.inserts_per_second.or(figures.vacuum_seconds);
        measured.is_some() || figures.growth.is_some()
    };
    if !methods.values().any(measured) {
        return;
    }
    let baseline = methods.get(Method::BASELINE.name());
    text.push_str(
        "| method | inserts/s, half-full | per CPU s | vacuum s, 20 % deleted | CPU s | recall then | recall grown 10 times: inserted, vacuumed, built anew |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
    );
    for (method, figures) in ordered(methods) {
        if method.side() == Side::Library {
            continue;
        }
        let inserts = |figures: &Figures| figures.inserts_per_second;
        let inserts_cpu = |figures: &Figures| figures.inserts_per_cpu_second;
        let vacuum = |figures: &Figures| figures.vacuum_seconds;
        let vacuum_cpu = |figures: &Figures| figures.vacuum_cpu_seconds;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            method.name(),
            cell(inserts(figures), baseline.and_then(inserts), 0),
            cell(inserts_cpu(figures), baseline.and_then(inserts_cpu), 0),
            cell(vacuum(figures), baseline.and_then(vacuum), 2),
            cell(vacuum_cpu(figures), baseline.and_then(vacuum_cpu), 2),
            cell(figures.recall_after_vacuum, None, 4),
            figures.growth.map_or_else(String::new, |growth| growth
                .map(|recall| format!("{recall:.4}"))
                .join(", "))
        );
    }
    text.push('\n');
}

fn curves(text: &mut String, methods: &Methods) {
    if clients_of(methods).is_empty() {
        return;
    }
    text.push_str("<details><summary>All points</summary>\n\n");
    text.push_str(
        "| method | clients | ef or probes | recall@10 | queries/s | p50 ms | p95 ms | p99 ms | CPU ms |\n",
    );
    text.push_str("|---|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for (method, figures) in ordered(methods) {
        for (clients, curve) in &figures.curve {
            for point in curve {
                let _ = writeln!(
                    text,
                    "| {} | {clients} | {} | {:.4} | {:.0} | {:.2} | {:.2} | {:.2} | {} |",
                    method.name(),
                    point.effort,
                    point.recall,
                    point.qps,
                    point.p50_ms,
                    point.p95_ms,
                    point.p99_ms,
                    cell(point.server_cpu_ms, None, 3)
                );
            }
        }
    }
    text.push_str("\n</details>\n");
}

fn lines(methods: &Methods, clients: usize) -> Vec<Line> {
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
