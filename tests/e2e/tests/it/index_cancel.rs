//! Cancel and statement_timeout inside every long operation on an index (T1): the error comes promptly, nothing stays
//! locked, and the index is sound.

use std::thread;
use std::time::{Duration, Instant};

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::index::Index;
use castmatch_e2e::method::Method;
use castmatch_e2e::opclass::VECTOR_L2;
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{column, run, value};
use castmatch_e2e::random::Random;
use castmatch_e2e::scale::scaled;
use postgres::Client;
use postgres::error::SqlState;

use crate::index_setting::{DATABASE, database, plain, recall_floor, report, searcher, some_moment, vacuum};
use crate::setting::SOON;

castmatch_e2e::for_each_method! {
    t1_cancelled_index_work_ends_promptly,
    t1_errors_inside_exception_blocks_leave_nothing_held,
}

const SEED: u64 = 57_014;
/// Longest wait from the cancel to the error on a busy machine; the aim on an idle one is 200 ms.
const LATENCY_LIMIT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_millis(100);
/// Attempts to cancel a statement before it ends by itself.
const ATTEMPTS: u32 = 8;
/// Attempts at a moment by chance.
const MOMENTS: u32 = 16;

/// The build that is long in reading its sample.
const SAMPLED: &str = "build, sampling";

/// Something to cancel.
struct Operation {
    name: &'static str,
    /// Runs before each attempt.
    before: String,
    statement: String,
    /// Whether the statement is a build, with phases to wait for.
    phased: bool,
}

fn operation(name: &'static str, before: &str, statement: String) -> Operation {
    Operation {
        name,
        before: before.to_owned(),
        statement,
        phased: name.starts_with("build"),
    }
}

fn operations(table: &Index, plenty: &Index) -> Vec<Operation> {
    let method = table.method;
    let (name, rows) = (&table.table, &plenty.table);
    let build = plenty.build_statement(
        "",
        method.either("m = 24, ef_construction = 200", "lists = 100, refine_bits = 3"),
    );
    let drop_index = format!("DROP INDEX IF EXISTS {}", plenty.name());
    let threads = "SET min_parallel_table_scan_size = 0; SET max_parallel_maintenance_workers";
    let nearest = table.nearest_sql(&table.query(1), i64::MAX, "");
    let lateral = format!(
        "SELECT sum(d) FROM (SELECT e AS q FROM {name} WHERE id % 37 <> 0 LIMIT 300) v,
                LATERAL (SELECT e <-> q AS d FROM {name} ORDER BY e <-> q LIMIT 100) w"
    );
    let narrow = "SET maintenance_work_mem = '2MB'";
    let churn = format!(
        "DELETE FROM {name} WHERE id > 1000000; INSERT INTO {name} (id, version, e)
         SELECT id + 1000000, 0, e FROM {name} WHERE id <= 2000; DELETE FROM {name} WHERE id > 1000000"
    );
    // Codes of 32 bits, the default of a graph of so few dimensions, need no sample; an expression that takes its time makes that of others long.
    let slowly = "CREATE OR REPLACE FUNCTION slowly(v vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN FOR i IN 1..1000 LOOP END LOOP; RETURN v; END'";
    vec![
        operation(
            SAMPLED,
            &format!("{drop_index}; {slowly}"),
            format!(
                "CREATE INDEX {} ON {rows} USING {method} ((slowly(e)::vector(32)) vector_l2_ops) WITH ({})",
                plenty.name(),
                method.either("code_bits = 4", "lists = 50"),
            ),
        ),
        operation(
            "build, one thread",
            &format!("{drop_index}; {threads} = 0"),
            build.clone(),
        ),
        operation(
            "build, threads",
            &format!("{drop_index}; {threads} = 3"),
            build.clone(),
        ),
        operation(
            "build, little memory",
            &format!("{drop_index}; {threads} = 0; {narrow}"),
            build,
        ),
        operation("reindex", "", format!("REINDEX INDEX {}", table.name())),
        operation(
            "insert",
            &format!("DELETE FROM {name} WHERE id > 1000000"),
            format!(
                "INSERT INTO {name} (id, version, e) SELECT id + 2000000, 0, e FROM {rows} WHERE id <= 3000"
            ),
        ),
        operation(
            "scan to the end",
            &method.set_effort(10_000),
            format!("SELECT count(*) FROM ({nearest}) x"),
        ),
        operation("scans", &method.set_effort(10_000), lateral),
        operation("vacuum", &churn, format!("VACUUM (INDEX_CLEANUP ON) {name}")),
        operation(
            "verify_index",
            "",
            format!("SELECT count(*) FROM castmatch.verify_index('{}')", table.name()),
        ),
    ]
}

/// A statement under way in a session of its own.
struct Running<'scope> {
    pid: i32,
    work: thread::ScopedJoinHandle<'scope, (Client, Result<(), postgres::Error>, Instant)>,
}

fn start<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    mut client: Client,
    operation: &'scope Operation,
) -> Running<'scope> {
    run(&mut client, &operation.before);
    let pid = value(&mut client, "SELECT pg_backend_pid()");
    let work = scope.spawn(move || {
        let result = client.batch_execute(&operation.statement);
        (client, result, Instant::now())
    });
    Running { pid, work }
}

fn phase(admin: &mut Client, pid: i32) -> Option<String> {
    let sql = format!("SELECT phase FROM pg_stat_progress_create_index WHERE pid = {pid}");
    column::<String>(admin, &sql).pop()
}

/// Runs it to the end: how long that takes here, and the phases that it goes through.
fn uninterrupted(cluster: &Cluster, admin: &mut Client, operation: &Operation) -> (Duration, Vec<String>) {
    let mut phases = Vec::new();
    let client = searcher(cluster);
    thread::scope(|scope| {
        let running = start(scope, client, operation);
        let begun = Instant::now();
        while !running.work.is_finished() {
            if operation.phased {
                phases.extend(phase(admin, running.pid));
                phases.dedup();
            } else {
                thread::sleep(Duration::from_millis(1));
            }
        }
        let (_, result, ended) = running.work.join().unwrap();
        result.unwrap_or_else(|error| panic!("{}: {error:?}", operation.name));
        phases.sort();
        phases.dedup();
        (ended - begun, phases)
    })
}

/// Cancels it when `due` says so; the wait for the error, or nothing where it ended before.
fn cancelled(
    cluster: &Cluster,
    admin: &mut Client,
    operation: &Operation,
    mut due: impl FnMut(&mut Client, i32) -> bool,
) -> Option<Duration> {
    let client = searcher(cluster);
    thread::scope(|scope| {
        let running = start(scope, client, operation);
        while !running.work.is_finished() && !due(admin, running.pid) {
            thread::sleep(Duration::from_micros(100));
        }
        let asked = Instant::now();
        run(admin, &format!("SELECT pg_cancel_backend({})", running.pid));
        let (mut client, result, ended) = running.work.join().unwrap();
        // The client has the error before the server is through with the end of the transaction.
        let held = format!("SELECT pid FROM pg_locks WHERE pid = {}", running.pid);
        eventually(SOON, "no locks after the cancel", || {
            column::<i32>(admin, &held).is_empty().then_some(())
        });
        let error = result.err()?;
        assert_eq!(
            error.code(),
            Some(&SqlState::QUERY_CANCELED),
            "{}: {error:?}",
            operation.name
        );
        run(&mut client, "SELECT 1");
        Some(ended.saturating_duration_since(asked))
    })
}

/// The wait beyond [`TIMEOUT`], or nothing where it ended before.
fn timed_out(cluster: &Cluster, operation: &Operation) -> Option<Duration> {
    let mut client = searcher(cluster);
    run(&mut client, &operation.before);
    run(
        &mut client,
        &format!("SET statement_timeout = {}", TIMEOUT.as_millis()),
    );
    let begun = Instant::now();
    let result = client.batch_execute(&operation.statement);
    let took = begun.elapsed();
    let error = result.err()?;
    assert_eq!(
        error.code(),
        Some(&SqlState::QUERY_CANCELED),
        "{}: {error:?}",
        operation.name
    );
    Some(took.saturating_sub(TIMEOUT))
}

/// Waits from cancel to error of one operation.
fn waits(cluster: &Cluster, admin: &mut Client, operation: &Operation, random: &mut Random) -> Vec<Duration> {
    let (span, phases) = uninterrupted(cluster, admin, operation);
    assert!(
        operation.name != SAMPLED || phases.iter().any(|phase| phase.ends_with("sampling rows")),
        "{phases:?}"
    );
    let mut found = Vec::new();
    let repetitions = scaled(1, 50);
    for phase_name in &phases {
        for _ in 0..repetitions {
            let wait = (0..ATTEMPTS).find_map(|_| {
                cancelled(cluster, admin, operation, |admin, pid| {
                    phase(admin, pid).as_ref() == Some(phase_name)
                })
            });
            report(
                "T1",
                &format!("{}, cancelled in \"{phase_name}\": {wait:?}", operation.name),
            );
            assert!(
                wait.is_some() || !phase_name.ends_with("sampling rows") || operation.name != SAMPLED,
                "never cancelled in its sample"
            );
            found.extend(wait);
        }
    }
    for _ in 0..repetitions * 3 {
        // A short statement may end before the cancel comes, or begin after it.
        found.extend((0..MOMENTS).find_map(|attempt| {
            let begun = Instant::now();
            let part = span / (1 + attempt % 4);
            let most = i64::try_from(part.as_micros()).unwrap().max(1);
            let moment = Duration::from_micros(random.within(0..most).unsigned_abs());
            cancelled(cluster, admin, operation, |_, _| begun.elapsed() >= moment)
        }));
    }
    if span > TIMEOUT * 3 {
        found.extend((0..repetitions).filter_map(|_| timed_out(cluster, operation)));
    }
    found.sort();
    let longest = found.last().copied();
    report(
        "T1",
        &format!(
            "{}: takes {span:?}, {} cancelled, longest wait {longest:?}",
            operation.name,
            found.len()
        ),
    );
    found
}

fn t1_cancelled_index_work_ends_promptly(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let mut client = database(&cluster);
    let admin = &mut client;
    let table = Index::table(admin, "cancelled", VECTOR_L2, 32).by(method);
    table.fill(admin, 1..6_001);
    table.build(admin, method.either("m = 16, ef_construction = 100", ""));
    let plenty = Index::table(admin, "plenty", VECTOR_L2, 32).by(method);
    plenty.fill(admin, 1..scaled(method.either(4_000, 12_000), 60_000));
    run(admin, "VACUUM ANALYZE cancelled, plenty");
    let mut random = Random::new(SEED);
    let mut all = Vec::new();
    for operation in operations(&table, &plenty) {
        let found = waits(&cluster, admin, &operation, &mut random);
        assert!(!found.is_empty(), "{} was never cancelled", operation.name);
        all.extend(found);
        // Nothing is held, and what was cut off does not show.
        run(
            admin,
            "BEGIN; LOCK TABLE cancelled, plenty IN ACCESS EXCLUSIVE MODE NOWAIT; COMMIT",
        );
        run(admin, "DELETE FROM cancelled WHERE id > 1000000");
        table.assert_verified(admin);
    }
    all.sort();
    let rank = all.len().saturating_mul(99).div_ceil(100).saturating_sub(1);
    report(
        "T1",
        &format!(
            "{method}, seed {SEED}, {} statements cancelled: median wait {:?}, p99 {:?}, longest {:?}",
            all.len(),
            all[all.len() / 2],
            all[rank],
            all[all.len() - 1]
        ),
    );
    assert!(all[rank] < LATENCY_LIMIT, "p99 of the waits: {:?}", all[rank]);
    vacuum(admin, "cancelled");
    table.assert_verified(admin);
    table.assert_exhaustive(admin, &table.query(2));
    let recall = table.recall(admin, 0..20, 10);
    assert!(recall >= recall_floor(method), "recall {recall}");
}

fn t1_errors_inside_exception_blocks_leave_nothing_held(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    let index = Index::table(client, "caught", VECTOR_L2, 16).by(method);
    index.fill(client, 1..501);
    index.build(client, "");
    let query = index.query(1);
    // The log is checked for leaked pins when the server goes down.
    run(
        client,
        &format!(
            "DO $$
             DECLARE number integer; row record;
             BEGIN
                 FOR number IN 1..{} LOOP
                     BEGIN
                         INSERT INTO caught (id, version, e) SELECT 1000 + i, 0, e FROM caught, generate_series(1, 2) i WHERE id = 1;
                         FOR row IN SELECT id FROM caught ORDER BY e <-> '{query}' LIMIT 300 LOOP
                             PERFORM 1 / (number - number);
                         END LOOP;
                     EXCEPTION WHEN division_by_zero THEN NULL;
                     END;
                     BEGIN
                         PERFORM id FROM caught ORDER BY e <-> '[1,2]' LIMIT 1;
                     EXCEPTION WHEN data_exception THEN NULL;
                     END;
                 END LOOP;
             END $$",
            scaled(300, 3_000)
        ),
    );
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM caught"), 500);
    vacuum(client, "caught");
    index.assert_verified(client);
    index.assert_exhaustive(client, &query);
    let mut moment = Random::new(SEED);
    // A session that ends in the middle of a scan holds nothing either.
    for _ in 0..5 {
        let mut session = cluster.connect(DATABASE, "postgres");
        run(
            &mut session,
            &format!(
                "SET enable_seqscan = off; BEGIN; DECLARE c CURSOR FOR {}; FETCH 5 FROM c",
                index.nearest_sql(&query, 400, "")
            ),
        );
        some_moment(&mut moment, Duration::from_millis(5));
        drop(session);
    }
    run(client, "DROP TABLE caught");
}
