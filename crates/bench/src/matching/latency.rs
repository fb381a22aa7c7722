//! `castmatch-bench match`: how long a `match` takes, by what the caches know of its text, and how much longer than the bare SQL that it
//! stands for. All kinds of calls take turns in one run, from one client; docs/benchmark.md says what the figures mean.

use std::time::{Duration, Instant};

use postgres::types::ToSql;
use postgres::{Client, Statement};

use super::cases::{Case, FILTERS, Texts};
use super::latency_report::{self, Figures, Overhead};
use super::{Attached, Common, table};
use crate::Error;
use crate::data::items::{Items, embed_texts};
use crate::measure::Latencies;
use crate::server::Server;
use crate::wire::Vector;

/// Calls of each kind before the measured ones.
const WARM_UP: usize = 100;
/// Texts whose results are cached.
const CACHED_TEXTS: usize = 100;
/// Arguments of `match`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Rows, evenly spread over WordNet.
    #[arg(long, default_value_t = 100_000)]
    rows: usize,
    /// Calls of each kind.
    #[arg(long, default_value_t = 2000)]
    calls: usize,
    /// Rows that a call asks for.
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// Rows that the bare SQL asks for: as many as match takes from a leg for its k.
    #[arg(long, default_value_t = 100)]
    candidates: usize,
}

/// Measures, and writes `match.md` and `match.json`.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let work = options.common.work()?;
    let inputs = &options.common.inputs;
    let calls = options.calls.max(1);
    let items = Items::read(inputs, Some(options.rows))?;
    let cases = Case::all(&items.items);
    // Of all synsets, also where the table has few of them.
    let sources = Items::read(inputs, None)?;
    let (pool, fresh) = Texts::draw(&sources.items, calls, cases.len() * (calls + WARM_UP))?;
    drop(sources);
    let model = inputs.load_model(inputs.threads())?;
    let mut texts = Texts {
        vectors: embed_texts(&model, &pool)?,
        pool,
        fresh: fresh.into_iter(),
    };
    let Attached { server, notes } = options.common.attached(&items, &model, FILTERS)?;
    drop((model, items));
    let mut sessions = Sessions::new(&server, options)?;
    sessions.cache_embeddings(&texts.pool)?;
    let mut figures = Vec::new();
    for case in &cases {
        println!("{}", case.name);
        figures.push(sessions.measure(case, options, calls, &mut texts)?);
    }
    latency_report::write(&work, notes, &figures)
}

/// Connections, of which one is used at a time.
struct Sessions {
    /// Has its results cached.
    cached: Client,
    /// Has only embeddings cached, and runs the bare SQL.
    embedded: Client,
    /// Asks for what is new.
    fresh: Client,
}

/// The statements of a case.
struct Statements {
    cached: Statement,
    fresh: Statement,
    hybrid: Statement,
    semantic: Statement,
    text: Statement,
    bare: Statement,
}

/// Times of calls of every kind.
#[derive(Default)]
struct Times {
    cached: Vec<Duration>,
    hybrid: Vec<Duration>,
    fresh: Vec<Duration>,
    semantic: Vec<Duration>,
    text: Vec<Duration>,
    bare: Vec<Duration>,
}

impl Sessions {
    fn new(server: &Server, options: &Options) -> Result<Self, Error> {
        let (cached, mut embedded, fresh) = (
            server.connect("public")?,
            server.connect("public")?,
            server.connect("public")?,
        );
        // The bare SQL looks for its rows as match does for its candidates.
        embedded.batch_execute(&format!(
            "SET castmatch.match_cache = off; SET castmatch.ef_search = {}",
            options.candidates
        ))?;
        Ok(Self {
            cached,
            embedded,
            fresh,
        })
    }

    fn cache_embeddings(&mut self, texts: &[String]) -> Result<(), Error> {
        let statement = self.embedded.prepare("SELECT castmatch.embed($1) IS NULL")?;
        for text in texts {
            self.embedded.query(&statement, &[text])?;
        }
        Ok(())
    }

    fn prepare(&mut self, case: &Case, options: &Options) -> Result<Statements, Error> {
        let matching = |mode| format!("SELECT * FROM {}", case.matching(mode, "$1", options.k));
        Ok(Statements {
            cached: self.cached.prepare(&matching("hybrid"))?,
            fresh: self.fresh.prepare(&matching("hybrid"))?,
            hybrid: self.embedded.prepare(&matching("hybrid"))?,
            semantic: self.embedded.prepare(&matching("semantic"))?,
            text: self.embedded.prepare(&matching("text"))?,
            bare: self.embedded.prepare(&bare_statement(case, options))?,
        })
    }

    fn measure(
        &mut self,
        case: &Case,
        options: &Options,
        calls: usize,
        texts: &mut Texts,
    ) -> Result<Figures, Error> {
        let statements = self.prepare(case, options)?;
        for number in 0..CACHED_TEXTS.min(texts.pool.len()) {
            self.cached
                .query(&statements.cached, &[&texts.pooled(number).0])?;
        }
        let mut warm_up = Times::default();
        for number in 0..WARM_UP {
            self.turn(case, &statements, number, texts, &mut warm_up)?;
        }
        let before = self.counts()?;
        let mut times = Times::default();
        for number in 0..calls {
            self.turn(case, &statements, number, texts, &mut times)?;
        }
        self.check(before, calls)?;
        let plan = {
            let (_, vector) = texts.pooled(0);
            let statement = bare_statement(case, options);
            table::plan(
                &mut self.embedded,
                "items",
                &statement,
                &parameters(&vector, case.category.as_ref()),
            )?
        };
        let inside = self.inside(case, options, &texts.pool)?;
        Ok(Figures {
            case: case.name.clone(),
            overhead: Overhead::of(&times.semantic, &times.bare),
            cached: Latencies::of(&mut times.cached),
            hybrid: Latencies::of(&mut times.hybrid),
            fresh: Latencies::of(&mut times.fresh),
            semantic: Latencies::of(&mut times.semantic),
            text: Latencies::of(&mut times.text),
            bare: Latencies::of(&mut times.bare),
            inside,
            plan,
        })
    }

    /// Results that came out of the caches, and embeddings that went into the shared one, in all sessions.
    fn counts(&mut self) -> Result<(i64, i64), Error> {
        let row = self.fresh.query_one(
            "SELECT sum(hits) FILTER (WHERE kind = 'match')::bigint,
                    sum(stored) FILTER (WHERE kind = 'embedding' AND level = 'shared')::bigint
             FROM castmatch.cache_stats()",
            &[],
        )?;
        Ok((row.get(0), row.get(1)))
    }

    /// Every call must have been of its kind.
    fn check(&mut self, before: (i64, i64), calls: usize) -> Result<(), Error> {
        let after = self.counts()?;
        let (hits, stored) = (after.0 - before.0, after.1 - before.1);
        if (hits, stored) == (i64::try_from(calls)?, i64::try_from(calls)?) {
            return Ok(());
        }
        Err(format!(
            "of {calls} calls of each kind {hits} had their result cached and {stored} needed a new embedding"
        )
        .into())
    }

    /// One call of each kind.
    fn turn(
        &mut self,
        case: &Case,
        statements: &Statements,
        number: usize,
        texts: &mut Texts,
        times: &mut Times,
    ) -> Result<(), Error> {
        let new = texts.fresh()?;
        times
            .fresh
            .push(timed(&mut self.fresh, &statements.fresh, &[&new])?);
        let (text, _) = texts.pooled(number % CACHED_TEXTS);
        times
            .cached
            .push(timed(&mut self.cached, &statements.cached, &[&text])?);
        let (text, vector) = texts.pooled(number);
        times
            .hybrid
            .push(timed(&mut self.embedded, &statements.hybrid, &[&text])?);
        times
            .text
            .push(timed(&mut self.embedded, &statements.text, &[&text])?);
        let bare = parameters(&vector, case.category.as_ref());
        // Whichever comes second finds what both look at in the processor's caches.
        for turn in [number, number + 1] {
            if turn % 2 == 0 {
                times
                    .semantic
                    .push(timed(&mut self.embedded, &statements.semantic, &[&text])?);
            } else {
                times
                    .bare
                    .push(timed(&mut self.embedded, &statements.bare, &bare)?);
            }
        }
        Ok(())
    }

    /// The same pair of calls, timed by the server's clock inside a function.
    fn inside(&mut self, case: &Case, options: &Options, texts: &[String]) -> Result<Overhead, Error> {
        let category = format!("'{}'", case.category.unwrap_or_default());
        let ours = format!(
            "PERFORM m.* FROM {} m;",
            case.matching("semantic", "query", options.k)
        );
        let bare = format!(
            "PERFORM t.id, t.embedding <=> vector {};",
            case.bare("vector", &category, options.candidates)
        );
        self.embedded.batch_execute(&format!(
            "CREATE OR REPLACE FUNCTION pg_temp.timed(texts text[]) RETURNS TABLE (ours float8, bare float8) LANGUAGE plpgsql AS $$
             DECLARE
                 query text; vector vector; ours_first boolean := true;
                 started timestamptz; between timestamptz; ended timestamptz;
             BEGIN
                 FOREACH query IN ARRAY texts LOOP
                     vector := castmatch.embed(query);
                     IF ours_first THEN
                         started := clock_timestamp(); {ours} between := clock_timestamp(); {bare} ended := clock_timestamp();
                         ours := extract(epoch FROM between - started); bare := extract(epoch FROM ended - between);
                     ELSE
                         started := clock_timestamp(); {bare} between := clock_timestamp(); {ours} ended := clock_timestamp();
                         ours := extract(epoch FROM ended - between); bare := extract(epoch FROM between - started);
                     END IF;
                     ours_first := NOT ours_first;
                     RETURN NEXT;
                 END LOOP;
             END $$"
        ))?;
        let rows = self
            .embedded
            .query("SELECT * FROM pg_temp.timed($1)", &[&texts])?;
        let column = |column: usize| -> Vec<Duration> {
            rows.iter()
                .map(|row| Duration::try_from_secs_f64(row.get(column)).unwrap_or_default())
                .collect()
        };
        Ok(Overhead::of(&column(0), &column(1)))
    }
}

fn bare_statement(case: &Case, options: &Options) -> String {
    format!(
        "SELECT t.id, t.embedding <=> $1::vector {}",
        case.bare("$1::vector", "$2", options.candidates)
    )
}

/// Those of the bare SQL.
fn parameters<'a>(vector: &'a Vector<'a>, category: Option<&'a &'static str>) -> Vec<&'a (dyn ToSql + Sync)> {
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![vector];
    if let Some(category) = category {
        parameters.push(category);
    }
    parameters
}

fn timed(
    client: &mut Client,
    statement: &Statement,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Duration, Error> {
    let started = Instant::now();
    client.query(statement, parameters)?;
    Ok(started.elapsed())
}
