//! Races between insert and vacuum that pgvector's users ran into, each by the number of its issue there. The graph of a
//! small, fast changing table is at its most fragile: every row is an entry point, a neighbour, and soon dead.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::index::Index;
use castmatch_e2e::opclass::{HALFVEC_COSINE, OperatorClass, VECTOR_L2};
use castmatch_e2e::query::{run, value};
use castmatch_e2e::random::Random;
use castmatch_e2e::scale::scaled;
use postgres::Client;
use serde_json::Value;

use crate::index_setting::{DATABASE, StopOnDrop, database, plain, repeat, report, searcher, vacuum};

const WRITERS: i64 = 4;
/// A row that no step deletes: a search finds something even where all others are gone.
const KEPT: i64 = 4_000_000_001;
/// Share of the rows that a search for their own vector has to find.
const REACHABLE: f64 = 0.997;
/// The same where lists have room for four: a row whom none of them names is then found by way of the upper levels only.
const REACHABLE_BY_FOUR: f64 = 0.97;

/// The next statement of a writer: its number, the id that it may use, and its random numbers.
type Step<'a> = dyn Fn(&Index, i64, i64, &mut Random) -> String + Sync + 'a;

/// What a race is about.
struct Race<'a> {
    issue: &'static str,
    class: OperatorClass,
    dims: usize,
    with: &'static str,
    /// Rows at the start.
    rows: i64,
    step: &'a Step<'a>,
}

impl Race<'_> {
    /// Writers take their steps while vacuum follows vacuum and searches go on; none of them may fail, and the index has
    /// to be sound before anything else looks at it.
    fn run(&self) {
        let cluster = Cluster::start(&plain(&[]));
        let client = &mut database(&cluster);
        let index = Index::table(client, self.issue, self.class, self.dims);
        index.fill(client, 1..self.rows + 1);
        run(client, &insert(&index, KEPT));
        index.build(client, self.with);
        let next = AtomicI64::new(self.rows + 1);
        let stop = AtomicBool::new(false);
        let (mut steps, mut vacuums, mut searches) = (0, 0, 0);
        thread::scope(|scope| {
            let stopped = StopOnDrop(&stop);
            let (stop, index, next) = (&stop, &index, &next);
            let writing: Vec<_> = (0..WRITERS)
                .map(|number| {
                    let mut client = cluster.connect(DATABASE, "postgres");
                    scope.spawn(move || self.write(&mut client, index, number, next, stop))
                })
                .collect();
            let mut sweeper = cluster.connect(DATABASE, "postgres");
            let sweeping = scope.spawn(move || {
                repeat(stop, || {
                    sweeper.batch_execute(&format!("VACUUM (INDEX_CLEANUP ON) {}", index.table))
                })
                .unwrap()
            });
            let mut reader = searcher(&cluster);
            let searching = scope.spawn(move || {
                let mut number = 0;
                repeat(stop, || {
                    number += 1;
                    index
                        .try_recall(&mut reader, number..number + 1, 10, "")
                        .map(drop)
                })
                .unwrap()
            });
            thread::sleep(Duration::from_secs(scaled(4, 60)));
            drop(stopped);
            steps = writing
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum::<u64>();
            vacuums = sweeping.join().unwrap();
            searches = searching.join().unwrap();
        });
        index.assert_verified(client);
        let live = index.assert_exhaustive(client, &index.query(0));
        let reachable = index.self_search(client, 200);
        let narrow = self.with.starts_with("m = 2,");
        let wanted = if narrow { REACHABLE_BY_FOUR } else { REACHABLE };
        assert!(reachable >= wanted, "{reachable} of {live} rows find themselves");
        // What the last vacuum left to the next one, it can clean up.
        vacuum(client, &index.table);
        index.assert_verified(client);
        index.assert_exhaustive(client, &index.query(1));
        report(
            self.issue,
            &format!(
                "{steps} statements, {vacuums} vacuums, {searches} searches; {reachable:.4} of {live} rows find themselves"
            ),
        );
    }

    fn write(
        &self,
        client: &mut Client,
        index: &Index,
        number: i64,
        next: &AtomicI64,
        stop: &AtomicBool,
    ) -> u64 {
        let mut random = Random::new(index.seed.wrapping_add(number.unsigned_abs()));
        repeat(stop, || {
            let id = next.fetch_add(10, Ordering::Relaxed);
            client.batch_execute(&(self.step)(index, number, id, &mut random))
        })
        .unwrap_or_else(|error| panic!("{}: {error:?}", self.issue))
    }
}

fn insert(index: &Index, id: i64) -> String {
    let vector = index.literal(id, 0);
    format!(
        "INSERT INTO {} (id, version, e) VALUES ({id}, 0, {vector});",
        index.table
    )
}

/// Deletes those rows but the ones that another writer has in hand.
fn delete(index: &Index, which: &str) -> String {
    let table = &index.table;
    format!("DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {which} FOR UPDATE SKIP LOCKED);")
}

/// VACUUM dropped the entry point while an insert promoted another: dangling entry, vectors of a wrong page read.
/// Half of all rows have upper levels here, and no row lives longer than some hundred inserts.
#[test]
fn pgvector_988_entry_promotion_against_vacuum() {
    let step = |index: &Index, _: i64, id: i64, random: &mut Random| {
        let oldest = id - random.within(200..1_500);
        insert(index, id) + &insert(index, id + 1) + &delete(index, &format!("id < {oldest}"))
    };
    let race = Race {
        issue: "pgvector_988",
        class: VECTOR_L2,
        dims: 8,
        with: "m = 2, ef_construction = 16",
        rows: 50,
        step: &step,
    };
    race.run();
}

/// An insert chose a neighbour that VACUUM deleted before it was loaded: "cannot load deleted element". Rows here are
/// inserted beside those that are deleted at that moment.
#[test]
fn pgvector_990_neighbour_deleted_while_it_is_chosen() {
    let step = |index: &Index, number: i64, id: i64, random: &mut Random| {
        let table = &index.table;
        if number % 2 == 0 {
            // A copy of a row that may be going.
            let near = random.within(id - 300..id);
            format!(
                "INSERT INTO {table} (id, version, e)
                 SELECT {id}, 0, e FROM {table} WHERE id >= {near} AND e IS NOT NULL ORDER BY id LIMIT 1;"
            )
        } else {
            let first = id - random.within(0..400);
            insert(index, id) + &delete(index, &format!("id BETWEEN {first} AND {first} + 100"))
        }
    };
    let race = Race {
        issue: "pgvector_990",
        class: HALFVEC_COSINE,
        dims: 8,
        with: "m = 4, ef_construction = 64",
        rows: 300,
        step: &step,
    };
    race.run();
}

/// Inserts between the passes of VACUUM linked to rows about to go: "hnsw graph not repaired", and the index stayed
/// broken. Every row is replaced again and again here.
#[test]
fn pgvector_993_links_to_dead_rows_between_the_passes_of_vacuum() {
    let step = |index: &Index, number: i64, id: i64, random: &mut Random| {
        let table = &index.table;
        // Writers have rows of their own, so that none waits for another.
        let first = random.within(1..250) * WRITERS + number;
        format!(
            "UPDATE {table} SET version = version + 1, e = {} WHERE id IN ({first}, {first} + {WRITERS});
             UPDATE {table} SET version = version + 1, e = {} WHERE id = {first} + 2 * {WRITERS};",
            index.literal(id + 1, 0),
            index.literal(id + 2, 0)
        )
    };
    let race = Race {
        issue: "pgvector_993",
        class: VECTOR_L2,
        dims: 6,
        with: "m = 3, ef_construction = 100",
        rows: 1_000,
        step: &step,
    };
    race.run();
}

/// Insert and VACUUM both added the same neighbour to a list. Lists are always full here, and vectors mostly equal.
#[test]
fn pgvector_1010_duplicate_neighbours() {
    let step = |index: &Index, _: i64, id: i64, random: &mut Random| {
        let table = &index.table;
        let vector = index.literal(random.within(1..12), 0);
        let oldest = id - random.within(400..3_000);
        let gone = format!("id < {oldest} OR id % 97 = {}", random.within(0..97));
        format!("INSERT INTO {table} (id, version, e) VALUES ({id}, 0, {vector}), ({id} + 1, 0, {vector});")
            + &insert(index, id + 2)
            + &delete(index, &gone)
    };
    let race = Race {
        issue: "pgvector_1010",
        class: VECTOR_L2,
        dims: 4,
        with: "m = 4, ef_construction = 24",
        rows: 200,
        step: &step,
    };
    race.run();
}

/// Buffers that the statement touches, in its indexes and otherwise.
fn buffers(client: &mut Client, sql: &str) -> i64 {
    let plan: Value = value(client, &format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}"));
    let count = |name: &str| plan[0]["Plan"][name].as_i64().unwrap();
    count("Shared Hit Blocks") + count("Shared Read Blocks")
}

/// Vacuum set the page to insert at back to the start, and from then on each insert read the whole index to find room.
#[test]
fn pgvector_1025_inserts_after_vacuum_find_room_at_once() {
    const ROWS: i64 = 3_000;
    const BATCH: i64 = 200;
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    let index = Index::table(client, "pgvector_1025", VECTOR_L2, 64);
    let table = &index.table;
    index.build(client, "m = 8, ef_construction = 32");
    index.fill(client, 1..ROWS + 1);
    let size = index.bytes(client);
    // The same number of rows in the table before each measurement: vectors kept aside.
    run(
        client,
        &format!(
            "CREATE TABLE aside AS SELECT row_number() OVER () AS n, e FROM {table} WHERE e IS NOT NULL"
        ),
    );
    let insert = |first: i64| {
        format!("INSERT INTO {table} (id, version, e) SELECT {first} + n, 0, e FROM aside WHERE n <= {BATCH}")
    };
    let before = buffers(client, &insert(1_000_000));
    run(client, &format!("DELETE FROM {table} WHERE id > 1000000"));
    vacuum(client, table);
    let mut after = Vec::new();
    let mut next = ROWS + 1;
    for cycle in 0..scaled(5, 50) {
        run(
            client,
            &format!("DELETE FROM {table} WHERE (id + {cycle}) % 2 = 0"),
        );
        vacuum(client, table);
        let missing = ROWS - BATCH - value::<i64>(client, &format!("SELECT count(*) FROM {table}"));
        index.fill(client, next..next + missing);
        next += missing;
        after.push(buffers(client, &insert(next)));
        next += ROWS;
        index.assert_verified(client);
    }
    let most = after.iter().copied().max().unwrap();
    assert!(
        most <= before + before / 2 + 20 * BATCH,
        "{BATCH} inserts touch {before} buffers at first, {after:?} after vacuums"
    );
    let grown = index.bytes(client);
    assert!(
        grown * 100 <= size * 115,
        "{size} bytes, then {grown} although rows came only in place of others"
    );

    // Everything goes; what comes then fits in the same room.
    let full: i64 = value(client, &format!("SELECT count(e) FROM {table}"));
    run(client, &format!("DELETE FROM {table}"));
    vacuum(client, table);
    index.assert_verified(client);
    let held = index.bytes(client);
    index.fill(client, 1..ROWS + 1);
    let refilled = index.bytes(client);
    assert!(
        refilled * 100 <= held * 105,
        "{held} bytes held {full} rows, {refilled} hold {ROWS}"
    );
    index.assert_verified(client);
    let recall = index.recall(client, 0..20, 10);
    assert!(recall >= 0.9, "recall {recall}");
    report(
        "pgvector_1025",
        &format!(
            "buffers of {BATCH} inserts: {before} at first, {after:?} after vacuums; bytes {size}, {grown} after the cycles, \
             {held} emptied, {refilled} refilled; recall {recall:.4}"
        ),
    );
}
