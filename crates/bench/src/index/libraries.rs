//! Libraries without a database, as references: what the same graph costs in plain memory.
//!
//! Each runs in a process of its own, so that its memory can be seen: hnswlib in Python
//! (`reference/hnswlib_bench.py`), hnsw_rs in this program again (`castmatch-bench library`, feature `hnsw_rs`). Both
//! take a job, answer with a line of JSON, and order by L2: the cosine's data sets are normalised, so the order is the same.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::method::{K, Method};
use super::record::{Record, Results};
use super::{Run, search};
use crate::Error;
use crate::data::Files;

const PYTHON: &str = include_str!("../../reference/hnswlib_bench.py");

/// A library that is not here.
#[derive(Debug)]
pub(crate) struct Missing(String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// What a library is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Matrix file of the rows, and how many of them.
    pub(crate) base: PathBuf,
    /// See base.
    pub(crate) rows: usize,
    /// Matrix file of the queries, and how many of them.
    pub(crate) queries: PathBuf,
    /// See queries.
    pub(crate) query_count: usize,
    /// Rows that a query asks for.
    pub(crate) k: usize,
    /// Links of a node.
    pub(crate) m: usize,
    /// ef of the build.
    pub(crate) ef_construction: usize,
    /// Threads of the build.
    pub(crate) threads: usize,
    /// Values of ef to search at, on one thread; none skips the search.
    pub(crate) efforts: Vec<u32>,
    /// Passes over the queries at each.
    pub(crate) rounds: usize,
}

/// What a library answers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Of the build.
    pub(crate) seconds: f64,
    /// Resident memory that the build added, MiB.
    pub(crate) peak_mib: f64,
    /// Size of the index, MiB.
    pub(crate) index_mib: f64,
    /// One per effort and round.
    pub(crate) points: Vec<Searched>,
}

/// One pass over the queries.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Searched {
    /// ef.
    pub(crate) effort: u32,
    /// From 1.
    pub(crate) round: usize,
    /// Time of each query, seconds.
    pub(crate) latencies: Vec<f64>,
    /// Row numbers for each query.
    pub(crate) ids: Vec<Vec<usize>>,
}

/// Builds and searches with a library, as far as that is not known.
pub(crate) fn measure(run: &Run<'_>, method: Method, results: &mut Results) -> Result<(), Error> {
    for &workers in &run.plan.workers {
        let key = run.key(method, 1);
        let known = |record: &Record| matches!(record, Record::Build { key: its, workers: with, .. } if *its == key && *with == workers);
        if results.has(known) {
            continue;
        }
        let searches = workers == run.plan.most_workers();
        let folder = run.plan.data_folder.join(run.set.name());
        let files = Files::of(&folder);
        let job = Job {
            base: files.base,
            rows: run.data.base.len(),
            queries: files.queries,
            query_count: run.queries(),
            k: K,
            m: 16,
            ef_construction: 64,
            threads: workers.max(1),
            efforts: if searches {
                run.plan.efforts(method)
            } else {
                Vec::new()
            },
            rounds: run.plan.rounds,
        };
        let answer = ask(method, run.plan.python.as_deref(), &job)?;
        println!(
            "  build {:<18} {} thread(s): {:.1} s, {:.0} MiB",
            method.name(),
            job.threads,
            answer.seconds,
            answer.peak_mib
        );
        for point in answer.points {
            results.push(record(run, method, point))?;
        }
        results.push(Record::Build {
            key,
            workers,
            seconds: answer.seconds,
            cpu_seconds: None,
            peak_mib: Some(answer.peak_mib),
            index_mib: answer.index_mib,
            cache_mib: None,
        })?;
    }
    Ok(())
}

fn record(run: &Run<'_>, method: Method, point: Searched) -> Record {
    let mut latencies = point.latencies;
    latencies.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let rank = (share * latencies.len() as f64).ceil() as usize;
        latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default() * 1e3
    };
    Record::Search {
        key: run.key(method, point.round),
        effort: point.effort,
        clients: 1,
        queries: latencies.len(),
        qps: latencies.len() as f64 / latencies.iter().sum::<f64>().max(f64::MIN_POSITIVE),
        recall: search::mean_recall(run, &point.ids),
        p50_ms: at(0.5),
        p95_ms: at(0.95),
        p99_ms: at(0.99),
        server_cpu_ms: None,
    }
}

fn ask(method: Method, python: Option<&Path>, job: &Job) -> Result<Answer, Error> {
    let mut command = match (method, python) {
        (Method::HnswRs, _) if cfg!(feature = "hnsw_rs") => {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("library");
            command
        }
        (Method::HnswRs, _) => {
            return Err(Missing(
                "not measured, castmatch-bench is built without its feature hnsw_rs".to_owned(),
            )
            .into());
        }
        (_, Some(python)) => {
            let mut command = Command::new(python);
            command.args(["-c", PYTHON]);
            command
        }
        (_, None) => {
            let text = "not measured, no Python interpreter with hnswlib was named (--python)";
            return Err(Missing(text.to_owned()).into());
        }
    };
    let output = command
        .arg(serde_json::to_string(job)?)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the process of {} failed ({})", method.name(), output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// `castmatch-bench library JOB`: hnsw_rs.
#[cfg(feature = "hnsw_rs")]
pub(crate) fn run(job: &str) -> Result<(), Error> {
    use std::time::Instant;

    use hnsw_rs::prelude::{DistL2, Hnsw};

    use crate::data::matrix::Matrix;
    use crate::measure::memory_kib;

    let job: Job = serde_json::from_str(job)?;
    let base = Matrix::<f32>::read_first(&job.base, job.rows)?;
    let queries = Matrix::<f32>::read_first(&job.queries, job.query_count)?;
    let resident = || memory_kib("VmRSS").unwrap_or(0);
    let before = resident();
    let started = Instant::now();
    let graph = Hnsw::<f32, DistL2>::new(job.m, base.len(), 16, job.ef_construction, DistL2 {});
    if job.threads > 1 {
        let rows: Vec<(&[f32], usize)> = base.rows().zip(0..).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(job.threads).build()?;
        pool.install(|| graph.parallel_insert_slice(&rows));
    } else {
        base.rows().zip(0..).for_each(|row| graph.insert_slice(row));
    }
    let seconds = started.elapsed().as_secs_f64();
    let added = resident().saturating_sub(before) as f64 / 1024.0;
    let mut answer = Answer {
        seconds,
        peak_mib: added,
        index_mib: added,
        points: Vec::new(),
    };
    for round in 1..=job.rounds {
        for &effort in &job.efforts {
            let mut point = Searched {
                effort,
                round,
                ..Searched::default()
            };
            for query in queries.rows() {
                let begun = Instant::now();
                let found = graph.search(query, job.k, effort as usize);
                point.latencies.push(begun.elapsed().as_secs_f64());
                point
                    .ids
                    .push(found.iter().map(|neighbour| neighbour.d_id).collect());
            }
            answer.points.push(point);
        }
    }
    println!("{}", serde_json::to_string(&answer)?);
    Ok(())
}
