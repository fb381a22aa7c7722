//! The best of the rounds: records in, the figures of the report out.
//!
//! Best is the least time, the most queries or inserts per second; latencies are those of the fastest round. CPU times
//! are the least of all rounds, because another program's load adds to them (caches) and never takes away.

use std::collections::BTreeMap;

use serde::Serialize;

use super::recall::fastest;
use super::record::Record;

/// A point of the curve of recall and speed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Point {
    pub(crate) effort: u32,
    pub(crate) recall: f64,
    pub(crate) qps: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) server_cpu_ms: Option<f64>,
}

impl Point {
    /// Of a search.
    fn of(record: &Record) -> Option<Self> {
        let Record::Search {
            effort,
            recall,
            qps,
            p50_ms,
            p95_ms,
            p99_ms,
            server_cpu_ms,
            ..
        } = *record
        else {
            return None;
        };
        Some(Self {
            effort,
            recall,
            qps,
            p50_ms,
            p95_ms,
            p99_ms,
            server_cpu_ms,
        })
    }

    /// Takes its place in a curve, or that of a slower round of the same effort.
    fn add_to(self, curve: &mut Vec<Self>) {
        match curve.iter_mut().find(|present| present.effort == self.effort) {
            Some(present) => {
                let mut cpu = present.server_cpu_ms;
                keep(&mut cpu, self.server_cpu_ms, f64::min);
                if present.qps < self.qps {
                    *present = self;
                }
                present.server_cpu_ms = cpu;
            }
            None => curve.push(self),
        }
        curve.sort_by_key(|point| point.effort);
    }
}

/// The best figures of a method over a data set.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// Seconds, by workers.
    pub(crate) build_seconds: BTreeMap<usize, f64>,
    /// CPU seconds, by workers.
    pub(crate) build_cpu_seconds: BTreeMap<usize, f64>,
    /// MiB, by workers.
    pub(crate) build_peak_mib: BTreeMap<usize, f64>,
    pub(crate) index_mib: Option<f64>,
    pub(crate) cache_mib: Option<f64>,
    /// By clients; ascending by effort.
    pub(crate) curve: BTreeMap<usize, Vec<Point>>,
    pub(crate) inserts_per_second: Option<f64>,
    pub(crate) inserts_per_cpu_second: Option<f64>,
    pub(crate) vacuum_seconds: Option<f64>,
    pub(crate) vacuum_cpu_seconds: Option<f64>,
    pub(crate) recall_after_vacuum: Option<f64>,
    /// Recall after a growth to ten times, after the vacuum that follows, and of an index built anew.
    pub(crate) growth: Option<[f64; 3]>,
}

/// Figures by the method's name.
pub(crate) type Methods = BTreeMap<String, Figures>;

/// Methods by data set and rows.
pub(crate) type All = BTreeMap<(String, usize), Methods>;

impl Figures {
    /// The fastest point of a recall.
    pub(crate) fn at(&self, clients: usize, wanted: f64) -> Option<&Point> {
        fastest(
            self.curve.get(&clients)?,
            wanted,
            |point| point.recall,
            |point| point.qps,
        )
    }

    /// The least CPU time of a query, milliseconds, at a recall.
    pub(crate) fn cpu_at(&self, clients: usize, wanted: f64) -> Option<f64> {
        let speed = |point: &Point| -point.server_cpu_ms.unwrap_or(f64::INFINITY);
        fastest(self.curve.get(&clients)?, wanted, |point| point.recall, speed)?.server_cpu_ms
    }

    fn add(&mut self, record: &Record) {
        match record {
            Record::Build {
                workers,
                seconds,
                cpu_seconds,
                peak_mib,
                index_mib,
                cache_mib,
                ..
            } => {
                keep_least(&mut self.build_seconds, *workers, Some(*seconds));
                keep_least(&mut self.build_cpu_seconds, *workers, *cpu_seconds);
                keep_least(&mut self.build_peak_mib, *workers, *peak_mib);
                // Of the last build: that is the index that is searched.
                self.index_mib = Some(*index_mib);
                self.cache_mib = *cache_mib;
            }
            Record::Search { clients, .. } => {
                if let Some(point) = Point::of(record) {
                    point.add_to(self.curve.entry(*clients).or_default());
                }
            }
            Record::Insert {
                inserted,
                seconds,
                cpu_seconds,
                ..
            } => {
                let rate = |seconds: f64| *inserted as f64 / seconds.max(f64::MIN_POSITIVE);
                keep(&mut self.inserts_per_second, Some(rate(*seconds)), f64::max);
                keep(&mut self.inserts_per_cpu_second, cpu_seconds.map(rate), f64::max);
            }
            Record::Vacuum {
                seconds,
                cpu_seconds,
                recall,
                ..
            } => {
                keep(&mut self.vacuum_seconds, Some(*seconds), f64::min);
                keep(&mut self.vacuum_cpu_seconds, *cpu_seconds, f64::min);
                keep(&mut self.recall_after_vacuum, Some(*recall), f64::min);
            }
            Record::Growth {
                inserted,
                vacuumed,
                anew,
                ..
            } => self.growth = Some([*inserted, *vacuumed, *anew]),
            Record::Settings { .. } | Record::Note { .. } => {}
        }
    }
}

/// Keeps the better of what is there and a further value, if there are any.
fn keep(slot: &mut Option<f64>, value: Option<f64>, better: fn(f64, f64) -> f64) {
    *slot = match (*slot, value) {
        (Some(present), Some(value)) => Some(better(present, value)),
        (present, value) => present.or(value),
    };
}

/// Keeps the least, by workers.
fn keep_least(slots: &mut BTreeMap<usize, f64>, workers: usize, value: Option<f64>) {
    if let Some(value) = value {
        let slot = slots.entry(workers).or_insert(value);
        *slot = slot.min(value);
    }
}

/// The figures of all records.
pub(crate) fn collect(records: &[Record]) -> All {
    let mut all = All::new();
    for record in records {
        if let Some(key) = record.key() {
            all.entry((key.data.clone(), key.rows))
                .or_default()
                .entry(key.method.clone())
                .or_default()
                .add(record);
        }
    }
    all
}
