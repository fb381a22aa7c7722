//! `filters.md` and `filters.json`.

use std::fmt::Write;
use std::path::Path;

use super::measure::Figures;
use crate::Error;
use crate::data::manifest::write_json;

/// One condition.
#[derive(Debug, serde::Serialize)]
pub(super) struct Line {
    /// Which.
    pub(super) condition: String,
    /// Share of the rows that satisfy it.
    pub(super) selectivity: f64,
    /// castmatch's index, whatever the planner thinks of it.
    pub(super) filtered: Figures,
    /// What the planner chooses.
    pub(super) chosen: Figures,
    /// A btree and a sort, or the whole table.
    pub(super) exact: Figures,
    /// pgvector's index.
    pub(super) pgvector: Option<Figures>,
}

impl Line {
    /// In one line, for whoever waits.
    pub(super) fn in_words(&self) -> String {
        let pgvector = self.pgvector.as_ref().map_or_else(String::new, |figures| {
            format!(", pgvector {:.0} at {:.3}", figures.qps, figures.recall)
        });
        format!(
            "{:<18} {:>8.3} %: {:.0} queries/s, recall {:.4}, {} short; chosen {:.0}, exact {:.0}{pgvector}",
            self.condition,
            100.0 * self.selectivity,
            self.filtered.qps,
            self.filtered.recall,
            self.filtered.short,
            self.chosen.qps,
            self.exact.qps
        )
    }
}

/// A data set.
#[derive(Debug, serde::Serialize)]
pub(super) struct Table {
    /// Its name.
    pub(super) data: String,
    /// Rows.
    pub(super) rows: usize,
    /// Queries.
    pub(super) queries: usize,
    /// Without a condition.
    pub(super) unfiltered: Figures,
    /// With each.
    pub(super) lines: Vec<Line>,
}

/// Writes both files.
pub(super) fn write(folder: &Path, tables: &[Table]) -> Result<(), Error> {
    write_json(&folder.join("filters.json"), &tables)?;
    Ok(std::fs::write(folder.join("filters.md"), markdown(tables)?)?)
}

fn markdown(tables: &[Table]) -> Result<String, std::fmt::Error> {
    let mut out = String::from("# Conditions beside the order\n");
    for table in tables {
        writeln!(
            out,
            "\n## {}: {} rows, {} queries, one client\n\nWithout a condition: {:.0} queries/s, recall {:.4} at ef_search {}.\n",
            table.data,
            table.rows,
            table.queries,
            table.unfiltered.qps,
            table.unfiltered.recall,
            table.unfiltered.effort.unwrap_or(0)
        )?;
        out.push_str(
            "| condition | rows | recall | short | queries/s | of unfiltered | planner\'s choice | by | exact plan | of exact | pgvector | its recall | of pgvector |\n\
             |---|---:|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|\n",
        );
        for line in &table.lines {
            writeln!(
                out,
                "| {} | {:.3} % | {:.4} | {} | {:.0} | {:.2} | {:.0} | {} | {:.0} | {:.2} | {} |",
                line.condition,
                100.0 * line.selectivity,
                line.filtered.recall,
                line.filtered.short,
                line.filtered.qps,
                ratio(line.filtered.qps, table.unfiltered.qps),
                line.chosen.qps,
                line.chosen.plan,
                line.exact.qps,
                ratio(line.chosen.qps, line.exact.qps),
                line.pgvector.as_ref().map_or_else(
                    || "| |".to_owned(),
                    |figures| format!(
                        "{:.0} | {:.4} | {:.1}",
                        figures.qps,
                        figures.recall,
                        ratio(line.filtered.qps, figures.qps)
                    )
                ),
            )?;
        }
    }
    Ok(out)
}

fn ratio(a: f64, b: f64) -> f64 {
    a / b.max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Figures, Line, Table, markdown};

    fn figures(qps: f64, plan: &str) -> Figures {
        Figures {
            effort: Some(40),
            scan_tuples: None,
            qps,
            recall: 0.97,
            short: 0,
            plan: plan.to_owned(),
        }
    }

    #[test]
    fn a_table_has_a_line_for_each_condition() {
        let line = |pgvector| Line {
            condition: "part < 10".to_owned(),
            selectivity: 0.001,
            filtered: figures(500.0, "Index Scan using a"),
            chosen: figures(600.0, "Bitmap Heap Scan on t"),
            exact: figures(400.0, "Bitmap Heap Scan on t"),
            pgvector,
        };
        let table = Table {
            data: "wordnet-384".to_owned(),
            rows: 1000,
            queries: 10,
            unfiltered: figures(1000.0, "Index Scan using a"),
            lines: vec![line(Some(figures(50.0, "Index Scan using b"))), line(None)],
        };
        let text = markdown(&[table]).unwrap();
        assert!(text.contains(
            "| part < 10 | 0.100 % | 0.9700 | 0 | 500 | 0.50 | 600 | Bitmap Heap Scan on t | 400 | 1.50 | 50 | 0.9700 | 10.0 |"
        ));
        assert!(text.contains("| 1.50 | | | |"));
    }
}
