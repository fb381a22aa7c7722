//! One backend killed inside an insert, a build, a vacuum or a scan (C2): the server comes back, nothing stays held, and
//! the index is sound.

use std::thread;
use std::time::Duration;

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::index::Index;
use castmatch_e2e::method::Method;
use castmatch_e2e::opclass::VECTOR_L2;
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::{column, run, value};
use castmatch_e2e::random::Random;
use castmatch_e2e::scale::scaled;
use postgres::Client;

use crate::index_setting::{
    DATABASE, database, killed, recall_floor, repeat, report, searcher, searcher_after_crash, some_moment,
};
use crate::setting::{RECOVERY, SOON};

castmatch_e2e::for_each_method! {
    c2_killed_backend_leaves_the_index_sound,
}

const SEED: u64 = 4_711;
const ROWS: i64 = 4_000;

/// How a backend ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The postmaster then restarts everything.
    Kill,
    Quit,
    Term,
    Terminate,
}

impl End {
    fn of(self, pid: i32, admin: &mut Client) {
        let process = [u32::try_from(pid).unwrap()];
        match self {
            Self::Kill => signal("KILL", &process),
            Self::Quit => signal("QUIT", &process),
            Self::Term => signal("TERM", &process),
            Self::Terminate => drop(value::<bool>(
                admin,
                &format!("SELECT pg_terminate_backend({pid})"),
            )),
        }
    }

    fn restarts_server(self) -> bool {
        matches!(self, Self::Kill | Self::Quit)
    }
}

/// What a backend is at when it ends: statements to repeat until then.
fn victims(index: &Index, build: &Index) -> Vec<(&'static str, Vec<String>)> {
    let (method, table, query) = (index.method, &index.table, index.query(3));
    // Rows come and go under ids of their own; what the table holds otherwise stays.
    let churn = format!(
        "INSERT INTO {table} (id, version, e) SELECT id + 1000000, 0, e FROM {table} WHERE id BETWEEN 1 AND 400"
    );
    let undo = format!("DELETE FROM {table} WHERE id > 1000000");
    let plenty = method.either("m = 24, ef_construction = 200", "lists = 200, refine_bits = 3");
    vec![
        ("insert", vec![churn.clone(), undo.clone()]),
        (
            "build",
            vec![
                "SET max_parallel_maintenance_workers = 0".to_owned(),
                build.build_statement("", plenty),
                format!("DROP INDEX {}", build.name()),
            ],
        ),
        (
            "build with threads",
            vec![
                "SET max_parallel_maintenance_workers = 3; SET min_parallel_table_scan_size = 0".to_owned(),
                build.build_statement("", plenty),
                format!("DROP INDEX {}", build.name()),
            ],
        ),
        (
            "vacuum",
            vec![churn, undo, format!("VACUUM (INDEX_CLEANUP ON) {table}")],
        ),
        (
            "scan",
            vec![
                "SET enable_seqscan = off; SET enable_sort = off".to_owned(),
                method.set_effort(4_000),
                index.nearest_sql(&query, i64::MAX, ""),
            ],
        ),
    ]
}

/// Repeats the statements in a session of its own until that ends, and ends it at some moment.
fn ended_at_work(cluster: &Cluster, statements: &[String], end: End, random: &mut Random) {
    let mut admin = cluster.connect(DATABASE, "postgres");
    let mut victim = cluster.connect(DATABASE, "postgres");
    let pid: i32 = value(&mut victim, "SELECT pg_backend_pid()");
    let first = &statements[0];
    thread::scope(|scope| {
        let work = scope.spawn(move || {
            let never = std::sync::atomic::AtomicBool::new(false);
            repeat(&never, || {
                statements
                    .iter()
                    .try_for_each(|statement| victim.batch_execute(statement))
            })
            .unwrap_err()
        });
        let begun = format!(
            "SELECT 1 FROM pg_stat_activity WHERE pid = {pid} AND query <> 'SELECT pg_backend_pid()'"
        );
        eventually(SOON, first, || column::<i32>(&mut admin, &begun).pop());
        some_moment(random, Duration::from_millis(700));
        end.of(pid, &mut admin);
        let error = work.join().unwrap();
        assert!(castmatch_e2e::ledger::is_lost(&error), "{first}: {error:?}");
    });
}

/// The sessions of a crashed server are gone when its last session of before is.
fn await_restart(cluster: &Cluster, mut before: Client) {
    eventually(RECOVERY, "the end of the sessions", || {
        before.batch_execute("SELECT 1").err()
    });
    drop(searcher_after_crash(cluster));
}

fn assert_sound(cluster: &Cluster, index: &Index, build: &Index, what: &str) {
    let client = &mut searcher(cluster);
    let mine = "pid <> pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually(SOON, &format!("nothing locked after {what}"), || {
        column::<String>(client, &format!("SELECT mode FROM pg_locks WHERE {mine}"))
            .is_empty()
            .then_some(())
    });
    // A build is either not there or complete.
    let built: Vec<bool> = column(
        client,
        &format!(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{}')",
            build.name()
        ),
    );
    if let Some(valid) = built.first() {
        assert!(valid, "{what} left an invalid index");
        build.assert_verified(client);
        run(client, &format!("DROP INDEX {}", build.name()));
    }
    index.assert_verified(client);
    run(client, &format!("DELETE FROM {} WHERE id > 1000000", index.table));
    index.assert_exhaustive(client, &index.query(1));
    let recall = index.recall(client, 0..100, 10);
    assert!(recall >= recall_floor(index.method), "{what}: recall {recall}");
}

fn c2_killed_backend_leaves_the_index_sound(method: Method) {
    let cluster = Cluster::start(&killed(&[]));
    let mut client = database(&cluster);
    let index = Index::table(&mut client, "victims", VECTOR_L2, 16).by(method);
    index.fill(&mut client, 1..ROWS + 1);
    index.build(&mut client, method.either("m = 12, ef_construction = 48", ""));
    let build = Index::table(&mut client, "builds", VECTOR_L2, 64).by(method);
    build.fill(&mut client, 1..scaled(12_000, 40_000));
    run(&mut client, "VACUUM ANALYZE");
    drop(client);
    let mut random = Random::new(SEED);
    let mut count = 0;
    let ends = [End::Kill, End::Term, End::Terminate, End::Quit];
    // What a signal does to a backend is the same for either; that the index bears it is not.
    let ends = &ends[..scaled(method.either(4, 2), 4)];
    for (what, statements) in victims(&index, &build) {
        for &end in ends {
            for _ in 0..scaled(1, 10) {
                let bystander = cluster.connect(DATABASE, "postgres");
                ended_at_work(&cluster, &statements, end, &mut random);
                if end.restarts_server() {
                    await_restart(&cluster, bystander);
                }
                assert_sound(&cluster, &index, &build, &format!("{what}, {end:?}"));
                count += 1;
            }
        }
    }
    // What the killed sessions left behind is cleaned up as usual.
    let client = &mut searcher(&cluster);
    run(client, "VACUUM (INDEX_CLEANUP ON) victims");
    index.assert_verified(client);
    report("C2", &format!("{method}, seed {SEED}, {count} backends killed"));
}
