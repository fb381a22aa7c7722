//! What was measured, a record per measurement, kept in `results.jsonl` as soon as it is known.
//!
//! A later run of the same work folder reads them and measures only what is missing.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;

/// Which measurement a record is of: two records of the same key are of the same thing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Key {
    /// Name of the data set.
    pub(crate) data: String,
    /// Rows of the table.
    pub(crate) rows: usize,
    /// Name of the method.
    pub(crate) method: String,
    /// Round, from 1.
    pub(crate) round: usize,
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Record {
    /// Where and with what the following were measured.
    Settings {
        /// Names and values.
        values: Vec<(String, String)>,
    },
    /// A `CREATE INDEX`.
    Build {
        /// Of what.
        #[serde(flatten)]
        key: Key,
        /// max_parallel_maintenance_workers; of a library its threads beside the first.
        workers: usize,
        /// Time it took.
        seconds: f64,
        /// CPU time of all processes and threads.
        cpu_seconds: Option<f64>,
        /// Memory at the peak, MiB.
        peak_mib: Option<f64>,
        /// Size of the index, MiB.
        index_mib: f64,
        /// Size of what it keeps in memory besides, MiB.
        cache_mib: Option<f64>,
    },
    /// All queries at one setting.
    Search {
        /// Of what.
        #[serde(flatten)]
        key: Key,
        /// ef_search or probes.
        effort: u32,
        /// Clients at once.
        clients: usize,
        /// Queries of all clients.
        queries: usize,
        /// Queries per second of all clients.
        qps: f64,
        /// Mean recall@10.
        recall: f64,
        /// Median time of a query, milliseconds.
        p50_ms: f64,
        /// 95 of 100 queries took at most this.
        p95_ms: f64,
        /// 99 of 100 queries took at most this.
        p99_ms: f64,
        /// Mean CPU time of a query in the server, milliseconds.
        server_cpu_ms: Option<f64>,
    },
    /// Single-row inserts into a table with an index.
    Insert {
        /// Of what; `rows` are those of the full table.
        #[serde(flatten)]
        key: Key,
        /// Rows in the table before.
        before: usize,
        /// Rows inserted.
        inserted: usize,
        /// Time it took.
        seconds: f64,
        /// CPU time of the backend.
        cpu_seconds: Option<f64>,
    },
    /// VACUUM after a delete.
    Vacuum {
        /// Of what; `rows` are those before the delete.
        #[serde(flatten)]
        key: Key,
        /// Rows deleted.
        deleted: usize,
        /// Time it took.
        seconds: f64,
        /// CPU time of the backend.
        cpu_seconds: Option<f64>,
        /// Recall@10 afterwards, and the effort it was measured at.
        recall: f64,
        /// See recall.
        effort: u32,
    },
    /// A table that has grown ten times by inserts, and was vacuumed.
    Growth {
        /// Of what; `rows` are those in the end.
        #[serde(flatten)]
        key: Key,
        /// Search parameter of the recalls; 0 is the method's own choice.
        effort: u32,
        /// Recall@10 after the inserts, after a vacuum, and of an index built anew.
        inserted: f64,
        /// See inserted.
        vacuumed: f64,
        /// See inserted.
        anew: f64,
        /// Time of the vacuum.
        vacuum_seconds: f64,
    },
    /// What could not be measured, and why.
    Note {
        /// In words.
        text: String,
    },
}

impl Record {
    /// What it is of; settings and notes are of nothing.
    pub(crate) fn key(&self) -> Option<&Key> {
        match self {
            Self::Build { key, .. }
            | Self::Search { key, .. }
            | Self::Insert { key, .. }
            | Self::Vacuum { key, .. }
            | Self::Growth { key, .. } => Some(key),
            Self::Settings { .. } | Self::Note { .. } => None,
        }
    }

    /// The stage that makes such records.
    pub(crate) fn stage(&self) -> Option<super::Stage> {
        match self {
            Self::Build { .. } => Some(super::Stage::Build),
            Self::Search { .. } => Some(super::Stage::Search),
            Self::Insert { .. } => Some(super::Stage::Insert),
            Self::Vacuum { .. } => Some(super::Stage::Vacuum),
            Self::Growth { .. } => Some(super::Stage::Growth),
            Self::Settings { .. } | Self::Note { .. } => None,
        }
    }
}

/// The records of a work folder.
#[derive(Debug)]
pub(crate) struct Results {
    path: PathBuf,
    records: Vec<Record>,
}

impl Results {
    /// Reads what is there.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("results.jsonl");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("{}: {error}", path.display()).into()),
        };
        let complete = text.rfind('\n').map_or(0, |end| end + 1);
        let mut records = Vec::new();
        for (number, line) in text.get(..complete).unwrap_or_default().lines().enumerate() {
            let record = serde_json::from_str(line)
                .map_err(|error| format!("{}:{}: {error}", path.display(), number + 1))?;
            records.push(record);
        }
        let results = Self { path, records };
        // A stop may have cut the last line.
        if complete < text.len() {
            results.rewrite()?;
        }
        Ok(results)
    }

    /// All records, oldest first.
    pub(crate) fn all(&self) -> &[Record] {
        &self.records
    }

    /// Adds a record, in the file too.
    pub(crate) fn push(&mut self, record: Record) -> Result<(), Error> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.write_all((serde_json::to_string(&record)? + "\n").as_bytes())?;
        file.sync_data()?;
        self.records.push(record);
        Ok(())
    }

    /// Forgets the records for which `which` is true.
    pub(crate) fn forget(&mut self, which: impl Fn(&Record) -> bool) -> Result<(), Error> {
        self.records.retain(|record| !which(record));
        self.rewrite()
    }

    fn rewrite(&self) -> Result<(), Error> {
        let new = self.path.with_extension("jsonl.new");
        let mut file = File::create(&new)?;
        for record in &self.records {
            writeln!(file, "{}", serde_json::to_string(record)?)?;
        }
        file.sync_data()?;
        Ok(std::fs::rename(&new, &self.path)?)
    }

    /// Whether there is a record for which `which` is true.
    pub(crate) fn has(&self, which: impl Fn(&Record) -> bool) -> bool {
        self.records.iter().any(which)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Key, Record, Results};
    use crate::scratch::Folder;

    fn record(method: &str, round: usize) -> Record {
        Record::Insert {
            key: Key {
                data: "wordnet-384".to_owned(),
                rows: 10,
                method: method.to_owned(),
                round,
            },
            before: 5,
            inserted: 2,
            seconds: 0.5,
            cpu_seconds: Some(0.25),
        }
    }

    #[test]
    fn records_outlive_the_run_and_a_cut_line_does_not() {
        let folder = Folder::new("records");
        let mut results = Results::open(folder.path()).unwrap();
        results.push(record("a", 1)).unwrap();
        results.push(record("b", 1)).unwrap();
        let file = folder.path().join("results.jsonl");
        let mut text = std::fs::read_to_string(&file).unwrap();
        text.push_str("{\"kind\":\"ins");
        std::fs::write(&file, text).unwrap();
        let mut results = Results::open(folder.path()).unwrap();
        assert_eq!(results.all(), [record("a", 1), record("b", 1)]);
        results.push(record("c", 2)).unwrap();
        results
            .forget(|record| record.key().is_some_and(|key| key.method == "a"))
            .unwrap();
        let results = Results::open(folder.path()).unwrap();
        assert_eq!(results.all(), [record("b", 1), record("c", 2)]);
        assert!(results.has(|record| record.key().is_some_and(|key| key.round == 2)));
    }

    #[test]
    fn a_line_that_is_no_record_is_an_error() {
        let folder = Folder::new("no-record");
        std::fs::write(folder.path().join("results.jsonl"), "{}\n").unwrap();
        assert!(
            Results::open(folder.path())
                .unwrap_err()
                .to_string()
                .contains("results.jsonl:1")
        );
    }
}
