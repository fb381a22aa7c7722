//! Reports of figures with bars: a line each, as a Markdown table and as JSON.

use std::fmt;
use std::path::Path;

use serde::{Serialize, Serializer};

use crate::data::manifest::write_json;
use crate::{Error, place};

/// What is demanded of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    /// It may be this or less.
    AtMost(f64),
    /// It must be this or more.
    AtLeast(f64),
    /// It must be more than this.
    Above(f64),
    /// It must be this.
    Exactly(f64),
}

impl Bar {
    /// Whether a figure is as demanded.
    pub(crate) fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
            Self::Above(limit) => value > limit,
            Self::Exactly(wanted) => value == wanted,
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "≤ {limit}"),
            Self::AtLeast(limit) => write!(f, "≥ {limit}"),
            Self::Above(limit) => write!(f, "> {limit}"),
            Self::Exactly(wanted) => write!(f, "{wanted}"),
        }
    }
}

impl Serialize for Bar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    what: String,
    value: f64,
    unit: &'static str,
    bar: Option<Bar>,
    holds: Option<bool>,
}

impl Line {
    fn in_words(&self) -> String {
        let bar = self
            .bar
            .map(|bar| format!(" (bar {bar}: {})", verdict(self.holds)))
            .unwrap_or_default();
        format!("  {}: {:.3} {}{bar}", self.what, self.value, self.unit)
    }
}

/// A verdict in a table.
pub(crate) fn verdict(holds: Option<bool>) -> &'static str {
    match holds {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "–",
    }
}

/// What is measured so far.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report(Vec<Line>);

impl Report {
    /// Adds a figure, and tells it to whoever waits.
    pub(crate) fn add(&mut self, what: impl Into<String>, value: f64, unit: &'static str, bar: Option<Bar>) {
        let line = Line {
            what: what.into(),
            value,
            unit,
            bar,
            holds: bar.map(|bar| bar.holds(value)),
        };
        println!("{}", line.in_words());
        self.0.push(line);
    }

    /// As a table.
    pub(crate) fn table(&self) -> String {
        let mut text = "| what | | bar | holds |\n|---|---:|---:|---|\n".to_owned();
        for line in &self.0 {
            let bar = line.bar.map_or_else(|| "–".to_owned(), |bar| bar.to_string());
            text.push_str(&format!(
                "| {} | {:.3} {} | {bar} | {} |\n",
                line.what,
                line.value,
                line.unit,
                verdict(line.holds)
            ));
        }
        text
    }
}

/// What a report is of, as a list: the machine first.
pub(crate) fn preface(notes: &[(&str, String)]) -> String {
    let machine = format!(
        "{}, {} processors, {}",
        place::processor(),
        place::processors(),
        place::memory()
    );
    let mut text = format!("- machine: {machine}\n");
    for (name, value) in notes {
        text.push_str(&format!("- {name}: {value}\n"));
    }
    text
}

/// Writes `name.md` and `name.json` in the work folder.
pub(crate) fn write(work: &Path, name: &str, markdown: &str, json: &impl Serialize) -> Result<(), Error> {
    let file = work.join(name).with_extension("md");
    std::fs::write(&file, markdown)?;
    write_json(&file.with_extension("json"), json)?;
    println!("report: {}", file.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Bar, Report, write};
    use crate::scratch::Folder;

    #[test]
    fn a_bar_is_met_at_its_limit_or_beyond() {
        assert!(Bar::AtMost(2.0).holds(2.0) && !Bar::AtMost(2.0).holds(2.1));
        assert!(Bar::AtLeast(0.9).holds(0.9) && !Bar::AtLeast(0.9).holds(0.89));
        assert!(Bar::Above(0.0).holds(0.001) && !Bar::Above(0.0).holds(0.0));
        assert!(Bar::Exactly(1.0).holds(1.0) && !Bar::Exactly(1.0).holds(2.0));
        // What could not be measured meets nothing.
        assert!(!Bar::AtMost(2.0).holds(f64::NAN) && !Bar::Above(0.0).holds(f64::NAN));
    }

    #[test]
    fn a_report_has_a_line_for_each_figure() {
        let mut report = Report::default();
        report.add("a call", 1.5, "ms", Some(Bar::AtMost(2.0)));
        report.add("another", 3.0, "ms", Some(Bar::AtMost(2.0)));
        report.add("rows", 7.0, "", None);
        let table = report.table();
        assert!(table.contains("| a call | 1.500 ms | ≤ 2 | yes |\n"));
        assert!(table.contains("| another | 3.000 ms | ≤ 2 | **no** |\n"));
        assert!(table.ends_with("| rows | 7.000  | – | – |\n"));
        let folder = Folder::new("report");
        write(folder.path(), "figures", &table, &report).unwrap();
        let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("figures.md"), table);
        let json: serde_json::Value = serde_json::from_str(&read("figures.json")).unwrap();
        assert_eq!(json[1]["bar"], "≤ 2");
        assert_eq!(json[1]["holds"], false);
        assert_eq!(json[2]["bar"], serde_json::Value::Null);
    }
}
