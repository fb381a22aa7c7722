//! Findings and how they are shown.

use serde::Serialize;

use crate::output::print;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, but not as well or as safely as it could.
    Warning,
    /// Does not work.
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// All findings, in the order of the checks.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Notes that something is as it should be.
    pub fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, Level::Ok, message.into(), None);
    }

    /// Notes what could be better.
    pub fn warning(&mut self, check: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        self.add(check, Level::Warning, message.into(), Some(remedy.into()));
    }

    /// Notes what does not work.
    pub fn error(&mut self, check: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        self.add(check, Level::Error, message.into(), Some(remedy.into()));
    }

    fn add(&mut self, check: &'static str, level: Level, message: String, remedy: Option<String>) {
        self.findings.push(Finding {
            check,
            level,
            message,
            remedy,
        });
    }

    /// The worst of them.
    #[must_use]
    pub fn level(&self) -> Level {
        let levels = self.findings.iter().map(|finding| finding.level);
        levels.max().unwrap_or(Level::Ok)
    }

    /// 0, 1 with warnings, 2 with errors.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.level() {
            Level::Ok => 0,
            Level::Warning => 1,
            Level::Error => 2,
        }
    }

    /// Prints them.
    pub fn print(&self, as_json: bool) {
        print(&if as_json { self.json() } else { self.text() });
    }

    /// A line for each: level, check, finding, remedy.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let word = match finding.level {
                Level::Ok => "ok",
                Level::Warning => "warning",
                Level::Error => "error",
            };
            text.push_str(&format!("{word:<8} {:<14} {}", finding.check, finding.message));
            if let Some(remedy) = &finding.remedy {
                text.push_str(&format!("; {remedy}"));
            }
            text.push('\n');
        }
        text
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        let value = serde_json::json!({"status": self.level(), "checks": self.findings});
        format!("{value}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides_and_each_has_one_line() {
        let mut report = Report::default();
        assert_eq!(report.exit_code(), 0);
        report.ok("connection", "connected");
        report.warning("privileges", "too many", "take some");
        assert_eq!(report.exit_code(), 1);
        report.error("extension", "not there", "run CREATE EXTENSION castmatch");
        assert_eq!(report.exit_code(), 2);
        let text = report.text();
        assert_eq!(text.lines().count(), 3);
        assert!(
            text.contains("error    extension      not there; run CREATE EXTENSION castmatch"),
            "{text}"
        );
        let value: serde_json::Value = serde_json::from_str(&report.json()).unwrap_or_default();
        assert_eq!(value["status"], "error");
        assert_eq!(
            value["checks"][0],
            serde_json::json!({"check": "connection", "level": "ok", "message": "connected"})
        );
    }
}
