//! `castmatch-bench cache`: what a hit of `castmatch.embed` costs inside the server, beside a GET of Redis for the same bytes; how
//! sessions at once fare; and the hit ratio of a trace beside other policies. docs/benchmark.md says what the figures mean.

mod redis;
mod trace;

use std::path::PathBuf;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use postgres::Client;

use crate::Error;
use crate::report::{self, Bar, Report};
use crate::server::{Server, Settings};
use redis::Redis;

/// Bytes of a cached embedding: 384 numbers of four bytes.
const VALUE_BYTES: usize = 1536;
/// Rounds, of which the fastest counts.
const ROUNDS: usize = 7;
const SESSIONS: usize = 64;

/// Arguments of `cache`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Installation of PostgreSQL with castmatch installed into it: the folder that holds bin/.
    #[arg(long)]
    pg_install: PathBuf,
    /// Folder of the results and the server.
    #[arg(long)]
    work: PathBuf,
    /// Calls of a round.
    #[arg(long, default_value_t = 100_000)]
    calls: u32,
    /// Program of a Redis server; without, Redis is left out.
    #[arg(long)]
    redis: Option<PathBuf>,
}

/// Measures, and writes `cache.md` and `cache.json`.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    std::fs::create_dir_all(&options.work)?;
    let work = std::path::absolute(&options.work)?;
    let settings: Settings = vec![
        ("max_connections", (SESSIONS + 10).to_string()),
        ("autovacuum", "off".to_owned()),
    ];
    let server = Server::with_castmatch(&options.pg_install, &work.join("cache-server"), settings)?;
    let mut client = server.connect("public")?;
    let mut report = Report::default();
    let shared = hits(&server, options.calls, &mut report)?;
    if let Some(program) = &options.redis {
        let get = redis_get(program, options.calls)?;
        let name = format!("Redis {}: GET over loopback, one client", Redis::version(program));
        report.add(name, get, "µs", None);
        report.add(
            "Redis GET ÷ shared hit",
            get / shared,
            "×",
            Some(Bar::AtLeast(5.0)),
        );
    }
    two_sessions(&server, options.calls, &mut report)?;
    one_text_at_once(&server, &mut client, &mut report)?;
    trace::measure(&mut report);
    report::write(
        &work,
        "cache",
        &format!("# The caches\n\n{}", report.table()),
        &report,
    )
}

/// Microseconds of a call: the fastest round over so many rows, less that of the same loop over the argument alone.
fn per_call(client: &mut Client, calls: u32, argument: &str) -> Result<f64, Error> {
    let bare = fastest(
        client,
        &format!("SELECT count({argument}) FROM generate_series(1, {calls}) i"),
    )?;
    let with = fastest(
        client,
        &format!("SELECT count(castmatch.embed({argument})) FROM generate_series(1, {calls}) i"),
    )?;
    Ok(with.saturating_sub(bare).as_secs_f64() * 1e6 / f64::from(calls))
}

fn fastest(client: &mut Client, statement: &str) -> Result<Duration, Error> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        client.query(statement, &[])?;
        best = best.min(started.elapsed());
    }
    Ok(best)
}

/// Texts that calls take turns in.
const TEXTS: &str = "CREATE TEMP TABLE few AS SELECT array_agg('a performer of number ' || i ORDER BY i) AS t FROM generate_series(0, 499) i;
    SELECT castmatch.embed_batch(t) FROM few";

/// One text, and many in turn: the array is a parameter of the plan, looked up once.
const ONE: &str = "'a warm and funny mother who can dance'";
const MANY: &str = "(SELECT t FROM few)[1 + i % 500]";

/// What hits cost; returns that of the shared level.
fn hits(server: &Server, calls: u32, report: &mut Report) -> Result<f64, Error> {
    let mut client = server.connect("public")?;
    client.batch_execute(TEXTS)?;
    let mut shared = 0.0;
    for (level, size, bar) in [
        ("local", "16MB", Bar::AtMost(2.0)),
        ("shared", "0", Bar::AtMost(5.0)),
    ] {
        client.batch_execute(&format!("SET castmatch.local_cache_size = '{size}'"))?;
        let of_one = per_call(&mut client, calls, ONE)?;
        let of_many = per_call(&mut client, calls, MANY)?;
        report.add(format!("{level} hit, one text"), of_one, "µs", Some(bar));
        report.add(
            format!("{level} hit, 500 texts in turn"),
            of_many,
            "µs",
            Some(bar),
        );
        shared = of_one.max(of_many);
    }
    Ok(shared)
}

/// Microseconds of a GET.
fn redis_get(program: &std::path::Path, calls: u32) -> Result<f64, Error> {
    let mut redis = Redis::start(program)?;
    let key = b"embedding:builtin:a warm and funny mother who can dance";
    redis.set(key, &[7; VALUE_BYTES])?;
    let mut value = Vec::new();
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for _ in 0..calls {
            redis.get(key, &mut value)?;
        }
        best = best.min(started.elapsed());
    }
    if value.len() != VALUE_BYTES {
        return Err("redis gave another value".into());
    }
    Ok(best.as_secs_f64() * 1e6 / f64::from(calls))
}

/// The throughput of two sessions, as a multiple of one's.
fn two_sessions(server: &Server, calls: u32, report: &mut Report) -> Result<(), Error> {
    for (level, size) in [("local", "16MB"), ("shared", "0")] {
        for (what, argument) in [("one text", ONE), ("500 texts in turn", MANY)] {
            let statement =
                format!("SELECT count(castmatch.embed({argument})) FROM generate_series(1, {calls}) i");
            let setting = format!("SET castmatch.local_cache_size = '{size}'");
            let mut best: [f64; 2] = [0.0; 2];
            for _ in 0..ROUNDS {
                for (sessions, best) in [1, 2].into_iter().zip(&mut best) {
                    *best = best.max(throughput(server, sessions, &setting, &statement, calls)?);
                }
            }
            let [one, two] = best;
            report.add(
                format!("two sessions ÷ one, {level} hits, {what}"),
                two / one,
                "×",
                Some(Bar::AtLeast(1.8)),
            );
        }
    }
    Ok(())
}

/// Calls per second of so many sessions at once.
fn throughput(
    server: &Server,
    sessions: usize,
    setting: &str,
    statement: &str,
    calls: u32,
) -> Result<f64, Error> {
    let mut clients = Vec::new();
    for _ in 0..sessions {
        let mut client = server.connect("public")?;
        client.batch_execute(setting)?;
        client.batch_execute(TEXTS)?;
        client.query(statement, &[])?;
        clients.push(client);
    }
    let elapsed = at_once(&mut clients, statement)?;
    Ok(sessions as f64 * f64::from(calls) / elapsed.as_secs_f64())
}

/// How long it takes until all sessions, which begin together, have the statement's result.
fn at_once(clients: &mut [Client], statement: &str) -> Result<Duration, Error> {
    let barrier = Barrier::new(clients.len() + 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .map(|client| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    client.query(statement, &[]).map(drop)
                })
            })
            .collect();
        barrier.wait();
        let started = Instant::now();
        for thread in threads {
            thread.join().map_err(|_| "a session panicked")??;
        }
        Ok(started.elapsed())
    })
}

/// How often one text is computed that many sessions ask for at once.
fn one_text_at_once(server: &Server, client: &mut Client, report: &mut Report) -> Result<(), Error> {
    client.batch_execute("SELECT castmatch.cache_invalidate('embedding')")?;
    let stored = |client: &mut Client| -> Result<i64, Error> {
        let sql = "SELECT stored FROM castmatch.cache_stats() WHERE kind = 'embedding' AND level = 'shared'";
        Ok(client.query_one(sql, &[])?.get(0))
    };
    let before = stored(client)?;
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        clients.push(server.connect("public")?);
    }
    at_once(
        &mut clients,
        "SELECT castmatch.embed('nobody has asked for this text before')",
    )?;
    let computed = stored(client)? - before;
    report.add(
        format!("computations of one new text that {SESSIONS} sessions ask for at once"),
        computed as f64,
        "",
        Some(Bar::Exactly(1.0)),
    );
    Ok(())
}
