//! Recall, queries per second and latencies: prepared statements over the server's socket, each query timed by its
//! client, methods taking turns at every setting.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::method::{K, Method, index_name};
use super::record::Record;
use super::{Run, cpu, recall, table};
use crate::Error;
use crate::measure::Latencies;
use crate::wire::Vector;

/// Queries of each client before the measured ones.
const WARM_UP: usize = 50;

/// Which queries at which setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point<'a> {
    /// Who answers.
    pub(crate) method: Method,
    /// Of which table.
    pub(crate) table: &'a str,
    /// ef_search or probes.
    pub(crate) effort: u32,
    /// Clients at once.
    pub(crate) clients: usize,
}

/// What the queries of a point gave.
#[derive(Debug)]
pub(crate) struct Answers {
    /// Of all clients.
    pub(crate) latencies: Vec<Duration>,
    /// From the first client's start to the last one's end.
    pub(crate) wall: Duration,
    /// Of the backends, in the measured queries.
    pub(crate) cpu_seconds: Option<f64>,
    /// Row numbers for each query, as the first client got them.
    pub(crate) rows: Vec<Vec<usize>>,
}

/// Runs all queries of the data set in every client.
pub(crate) fn measure(run: &Run<'_>, point: Point<'_>) -> Result<Answers, Error> {
    let clients = point.clients.max(1);
    let barrier = Barrier::new(clients);
    let parts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|client| {
                let barrier = &barrier;
                scope.spawn(move || client_run(run, point, client * run.queries() / clients, barrier))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a client panicked".to_owned())?)
            .collect::<Result<Vec<Part>, String>>()
    })?;
    let start = parts.iter().map(|part| part.start).min();
    let end = parts.iter().map(|part| part.end).max();
    let wall = start
        .zip(end)
        .map(|(start, end)| end.duration_since(start))
        .unwrap_or_default();
    let mut answers = Answers {
        latencies: Vec::new(),
        wall,
        cpu_seconds: parts.iter().map(|part| part.cpu_seconds).sum(),
        rows: Vec::new(),
    };
    for (client, part) in parts.into_iter().enumerate() {
        answers.latencies.extend(part.latencies);
        if client == 0 {
            answers.rows = part.rows;
        }
    }
    Ok(answers)
}

/// What one client did.
struct Part {
    start: Instant,
    end: Instant,
    cpu_seconds: Option<f64>,
    latencies: Vec<Duration>,
    rows: Vec<Vec<usize>>,
}

/// Every client asks every query once; they start at different ones.
fn client_run(run: &Run<'_>, point: Point<'_>, first: usize, barrier: &Barrier) -> Result<Part, String> {
    let prepared = prepare(run, point).and_then(|(mut client, statement)| {
        let backend = table::backend(&mut client)?;
        Ok((client, statement, backend))
    });
    let prepared = prepared.map_err(|error| error.to_string());
    // All clients must come here, or those that did would wait for ever.
    barrier.wait();
    let (mut client, statement, backend) = prepared?;
    let before = cpu::of_backend(backend);
    let count = run.queries();
    let mut latencies = Vec::with_capacity(count);
    let mut rows = vec![Vec::new(); count];
    let start = Instant::now();
    for number in (first..count).chain(0..first) {
        let begun = Instant::now();
        let answer = client
            .query(&statement, &[&Vector(run.data.queries.row(number))])
            .map_err(|error| error.to_string())?;
        latencies.push(begun.elapsed());
        if let Some(slot) = rows.get_mut(number) {
            slot.extend(
                answer
                    .iter()
                    .map(|row| row.get::<_, i32>(0).unsigned_abs() as usize),
            );
        }
    }
    let end = Instant::now();
    Ok(Part {
        start,
        end,
        cpu_seconds: cpu::since(before, backend),
        latencies,
        rows,
    })
}

fn prepare(run: &Run<'_>, point: Point<'_>) -> Result<(postgres::Client, postgres::Statement), Error> {
    let mut client = run.server.connect(&point.method.search_path())?;
    // What is measured is the index, also where a small table would be read faster without.
    client.batch_execute("SET enable_seqscan = off; SET jit = off")?;
    client.batch_execute(&point.method.set_effort(point.effort))?;
    let dimensions = run.data.base.columns();
    let query = point.method.query(point.table, run.set, dimensions, point.effort);
    let statement = client.prepare(&query)?;
    let explained = client.prepare(&format!("EXPLAIN {query}"))?;
    let plan = client.query(&explained, &[&Vector(run.data.queries.row(0))])?;
    let uses = format!("using {} ", index_name(point.table));
    if !plan.iter().any(|line| line.get::<_, String>(0).contains(&uses)) {
        return Err(format!("{} does not use its index for: {query}", point.method.name()).into());
    }
    for number in 0..WARM_UP.min(run.queries()) {
        client.query(&statement, &[&Vector(run.data.queries.row(number))])?;
    }
    Ok((client, statement))
}

impl Answers {
    /// The record of a point.
    pub(crate) fn record(mut self, run: &Run<'_>, point: Point<'_>, round: usize) -> Record {
        let queries = self.latencies.len();
        let Latencies {
            p50_ms,
            p95_ms,
            p99_ms,
            ..
        } = Latencies::of(&mut self.latencies);
        Record::Search {
            key: run.key(point.method, round),
            effort: point.effort,
            clients: point.clients,
            queries,
            p50_ms,
            p95_ms,
            p99_ms,
            server_cpu_ms: self
                .cpu_seconds
                .map(|seconds| seconds * 1e3 / queries.max(1) as f64),
            qps: queries as f64 / self.wall.as_secs_f64().max(f64::MIN_POSITIVE),
            recall: mean_recall(run, &self.rows),
        }
    }
}

/// Mean recall over the answers to all queries.
pub(crate) fn mean_recall(run: &Run<'_>, answers: &[Vec<usize>]) -> f64 {
    let data = run.data;
    let sum: f64 = answers
        .iter()
        .enumerate()
        .map(|(number, answer)| {
            recall::recall(
                &data.base,
                data.queries.row(number),
                data.distances.row(number),
                run.set.metric(),
                K,
                answer,
            )
        })
        .sum();
    sum / answers.len().max(1) as f64
}
