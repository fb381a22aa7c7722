//! Memory of builds, scans and inserts: within its settings (M1) and not growing (M2).

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::index::Index;
use castmatch_e2e::method::Method;
use castmatch_e2e::opclass::VECTOR_L2;
use castmatch_e2e::process::memory_kib;
use castmatch_e2e::query::{run, value};
use castmatch_e2e::scale::{is_long, scaled};
use postgres::Client;
use postgres::error::SqlState;

use crate::index_setting::{DATABASE, database, plain, recall_floor, report, searcher, vacuum};

castmatch_e2e::for_each_method! {
    m1_build_keeps_to_maintenance_work_mem,
    m2_scans_and_inserts_of_one_session_do_not_leak,
}

/// What a backend has besides its build: catalogs, the server's shared buffers, code that it had not used before.
const SHARED_BUFFERS_KIB: u64 = 16 << 10;
const OTHER_KIB: u64 = 16 << 10;
/// Growth over many calls that is not a leak, in kibibytes.
const GROWTH_KIB: u64 = 5 << 10;

fn backend(client: &mut Client) -> u32 {
    u32::try_from(value::<i32>(client, "SELECT pg_backend_pid()")).unwrap()
}

/// By how much the most of the session's memory rose while it built the index, in kibibytes, and whether it was built:
/// it may also be refused for want of memory.
fn build_peak(cluster: &Cluster, index: &Index, memory: &str, workers: u32) -> (u64, bool) {
    let client = &mut searcher(cluster);
    run(
        client,
        &format!(
            "SET maintenance_work_mem = '{memory}'; SET max_parallel_maintenance_workers = {workers};
             SET min_parallel_table_scan_size = 0; SELECT count(e) FROM {}",
            index.table
        ),
    );
    let pid = backend(client);
    let before = memory_kib(pid, "VmHWM");
    let built = client.batch_execute(&index.build_statement("", ""));
    let peak = memory_kib(pid, "VmHWM").saturating_sub(before);
    match built {
        Ok(()) => {
            index.assert_verified(client);
            let recall = index.recall(client, 0..20, 10);
            assert!(
                recall >= recall_floor(index.method) - 0.05,
                "{memory}: recall {recall}"
            );
            run(client, &format!("DROP INDEX {}", index.name()));
            (peak, true)
        }
        Err(error) => {
            assert_eq!(
                error.code(),
                Some(&SqlState::OUT_OF_MEMORY),
                "{memory}: {error:?}"
            );
            (peak, false)
        }
    }
}

fn m1_build_keeps_to_maintenance_work_mem(method: Method) {
    let cluster = Cluster::start(&plain(&[("shared_buffers", "16MB"), ("max_wal_size", "4GB")]));
    let client = &mut database(&cluster);
    let (rows, dims) = scaled((20_000, 96), (200_000, 384));
    let index = Index::table(client, "remembered", VECTOR_L2, dims).by(method);
    index.fill(client, 1..rows + 1);
    run(client, "VACUUM ANALYZE");
    let mut builds = vec![("1MB", 1 << 10, 0), ("1MB", 1 << 10, 2), ("64MB", 64 << 10, 0)];
    if is_long() {
        builds.extend([("64MB", 64 << 10, 3), ("1GB", 1 << 20, 3)]);
    }
    for (memory, kib, workers) in builds {
        let (peak, done) = build_peak(&cluster, &index, memory, workers);
        let outcome = if done { "built" } else { "refused with 53200" };
        report(
            "M1",
            &format!(
                "{method}, {rows} rows of {dims} dimensions, maintenance_work_mem = {memory}, {workers} workers: {outcome}, peak +{peak} KiB"
            ),
        );
        let limit = kib + kib / 10 + SHARED_BUFFERS_KIB + OTHER_KIB;
        assert!(
            peak <= limit,
            "{memory}: the backend grew by {peak} KiB, limit {limit} KiB"
        );
    }
    assert!(
        value::<i64>(client, &format!("SELECT count(*) FROM {}", index.table)) == rows,
        "the server lives"
    );
}

/// Growth of the session's own memory over as many calls again as it has made before, in kibibytes.
fn growth(client: &mut Client, calls: u32, mut call: impl FnMut(&mut Client, u32)) -> u64 {
    let pid = backend(client);
    for number in 0..calls {
        call(client, number);
    }
    let before = memory_kib(pid, "RssAnon");
    for number in calls..calls * 2 {
        call(client, number);
    }
    memory_kib(pid, "RssAnon").saturating_sub(before)
}

fn m2_scans_and_inserts_of_one_session_do_not_leak(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    let index = Index::table(client, "leaking", VECTOR_L2, 16).by(method);
    index.fill(client, 1..2_001);
    index.build(client, method.either("m = 8, ef_construction = 32", "lists = 20"));
    let (table, batch) = (&index.table, 100);
    let calls = scaled(method.either(50, 25), 1_000);
    let mut growths = Vec::new();

    let scan = &mut searcher(&cluster);
    // A batch is one statement with many scans of its own: their memory is given back only at its end or at theirs.
    let lateral = format!(
        "SELECT count(*) FROM (SELECT e AS q FROM {table} WHERE id % 37 <> 0 LIMIT {batch}) v,
                LATERAL (SELECT id FROM {table} ORDER BY e <-> q LIMIT 10) w"
    );
    growths.push(("searches", growth(scan, calls, |client, _| run(client, &lateral))));

    let deep = &mut searcher(&cluster);
    run(deep, &method.set_effort(method.either(20, 1)));
    growths.push((
        "scans to the end",
        growth(deep, calls / 5, |client, number| {
            let nearest = index.nearest_sql(&index.query(number.into()), i64::MAX, "");
            run(client, &format!("SELECT count(*) FROM ({nearest}) x"));
        }),
    ));

    // Scans that are left before their end, by cursor and by error.
    let left = &mut searcher(&cluster);
    growths.push((
        "scans left open",
        growth(left, calls, |client, number| {
            let nearest = index.nearest_sql(&index.query(number.into()), 500, "");
            run(
                client,
                &format!("BEGIN; DECLARE c CURSOR FOR {nearest}; FETCH 50 FROM c; ROLLBACK"),
            );
            let failing = format!("SELECT 1 / (id - id) FROM ({nearest}) x");
            client.batch_execute(&failing).unwrap_err();
        }),
    ));

    let insert = &mut cluster.connect(DATABASE, "postgres");
    let mut next = 10_000_000_i64;
    growths.push((
        "inserts",
        growth(insert, calls, |client, _| {
            let last = next + batch;
            run(
                client,
                &format!(
                    "INSERT INTO {table} (id, version, e)
                     SELECT {next} + row_number() OVER (), 0, e FROM {table} WHERE id <= {batch};
                     DELETE FROM {table} WHERE id BETWEEN {next} AND {last}"
                ),
            );
            next = last + 1;
        }),
    ));

    let sweep = &mut cluster.connect(DATABASE, "postgres");
    growths.push((
        "vacuums and verifications",
        growth(sweep, calls / 5, |client, _| {
            vacuum(client, table);
            run(client, "SELECT count(*) FROM castmatch.verify_index('leaking_e')");
        }),
    ));
    report(
        "M2",
        &format!("{method}, growth in KiB over the second {calls} calls (batches of {batch}): {growths:?}"),
    );
    for (what, kib) in growths {
        assert!(kib <= GROWTH_KIB, "{what}: {kib} KiB");
    }
}
