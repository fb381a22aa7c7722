//! One statement over all queries: how fast, how good, and by which plan.

use std::time::{Duration, Instant};

use postgres::types::ToSql;

use super::condition::{Columns, Condition, Truth};
use crate::Error;
use crate::index::method::{K, Method, TABLES};
use crate::index::recall;
use crate::index::{Run, method};
use crate::wire::Vector;

/// A round that takes longer than this is not repeated: what disturbs it is small beside it.
const LONG_ROUND: Duration = Duration::from_secs(3);
/// A round ends after this time with the queries that were answered, if they are at least so many.
const LONGEST_ROUND: Duration = Duration::from_secs(20);
const FEWEST: usize = 10;
/// Warming up ends after this time.
const LONGEST_WARM_UP: Duration = Duration::from_secs(2);
/// Queries before the measured ones.
const WARM_UP: usize = 20;

/// What a statement gave.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Figures {
    /// ef_search; none of an exact plan.
    pub(crate) effort: Option<u32>,
    /// hnsw.max_scan_tuples, where it is not the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scan_tuples: Option<usize>,
    /// Queries per second of one client, in the best round.
    pub(crate) qps: f64,
    /// Mean recall@10 among the rows that satisfy the condition.
    pub(crate) recall: f64,
    /// Queries with fewer rows than there are, up to 10.
    pub(crate) short: usize,
    /// What reads the table.
    pub(crate) plan: String,
}

/// How a statement is run.
pub(crate) struct Statement<'a> {
    /// Whose table.
    pub(crate) method: Method,
    /// Its name.
    pub(crate) table: &'a str,
    /// What is asked beside the vector.
    pub(crate) condition: Option<Condition>,
    /// Settings of the session.
    pub(crate) settings: String,
}

/// Runs the statement for every query in each round.
pub(crate) fn measure(
    run: &Run<'_>,
    columns: &Columns,
    truth: Option<&Truth>,
    statement: &Statement<'_>,
) -> Result<Figures, Error> {
    let mut client = run.server.connect(&statement.method.search_path())?;
    client.batch_execute(&format!("SET jit = off; {}", statement.settings))?;
    let text = statement.text(run);
    let prepared = client.prepare(&text)?;
    let value = |query: usize| {
        statement
            .condition
            .and_then(|condition| columns.value(condition, query))
    };
    let mut answer = |query: usize| -> Result<Vec<usize>, Error> {
        let vector = Vector(run.data.queries.row(query));
        let value = value(query);
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&vector];
        if let Some(value) = &value {
            parameters.push(value);
        }
        let rows = client.query(&prepared, &parameters)?;
        Ok(rows
            .iter()
            .map(|row| row.get::<_, i32>(0).unsigned_abs() as usize)
            .collect())
    };
    let queries = run.queries();
    let started = Instant::now();
    for query in 0..WARM_UP.min(queries) {
        if started.elapsed() > LONGEST_WARM_UP {
            break;
        }
        answer(query)?;
    }
    let (mut qps, mut recall, mut short): (f64, f64, usize) = (0.0, 0.0, 0);
    for round in 0..run.plan.rounds.max(1) {
        let mut answers = Vec::with_capacity(queries);
        let started = Instant::now();
        for query in 0..queries {
            answers.push(answer(query)?);
            if started.elapsed() > LONGEST_ROUND && answers.len() >= FEWEST {
                break;
            }
        }
        let elapsed = started.elapsed();
        qps = qps.max(answers.len() as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE));
        if round == 0 {
            (recall, short) = judge(run, truth, &answers);
        }
        if elapsed > LONG_ROUND {
            break;
        }
    }
    let plan = statement.plan(run, value(0))?;
    Ok(Figures {
        effort: None,
        scan_tuples: None,
        qps,
        recall,
        short,
        plan,
    })
}

impl Statement<'_> {
    fn text(&self, run: &Run<'_>) -> String {
        let operator = method::operator(run.set);
        let filter = self
            .condition
            .map_or_else(String::new, |condition| format!("WHERE {} ", condition.sql()));
        format!(
            "SELECT id FROM {TABLES}.{} {filter}ORDER BY embedding {operator} $1::vector LIMIT {K}",
            self.table
        )
    }

    /// The node that reads the table, with the index it uses.
    fn plan(&self, run: &Run<'_>, value: Option<i32>) -> Result<String, Error> {
        let mut client = run.server.connect(&self.method.search_path())?;
        client.batch_execute(&self.settings)?;
        let vector: Vec<String> = run.data.queries.row(0).iter().map(f32::to_string).collect();
        let text = self
            .text(run)
            .replace("$1", &format!("'[{}]'", vector.join(",")))
            .replace("$2", &value.unwrap_or(0).to_string());
        let lines = client.query(&format!("EXPLAIN (COSTS OFF) {text}"), &[])?;
        let node = lines
            .iter()
            .map(|line| line.get::<_, String>(0))
            .find(|line| line.contains(" Scan"))
            .unwrap_or_default();
        Ok(node.trim_start_matches([' ', '-', '>']).to_owned())
    }
}

/// Mean recall, and how many answers have fewer rows than there are.
fn judge(run: &Run<'_>, truth: Option<&Truth>, answers: &[Vec<usize>]) -> (f64, usize) {
    let (mut sum, mut short) = (0.0, 0);
    for (query, answer) in answers.iter().enumerate() {
        let exact = match truth {
            Some(truth) => truth.distances.get(query).map(Vec::as_slice).unwrap_or_default(),
            None => run.data.distances.row(query),
        };
        short += usize::from(answer.len() < exact.len().min(K));
        sum += recall::recall(
            &run.data.base,
            run.data.queries.row(query),
            exact,
            run.set.metric(),
            K,
            answer,
        );
    }
    (sum / answers.len().max(1) as f64, short)
}
