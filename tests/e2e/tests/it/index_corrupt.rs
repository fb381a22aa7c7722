//! Damaged index files: whatever a byte says, the server answers or says which index is damaged and where; it does not crash and does
//! not hang, and the index can be rebuilt. And verify_index sees the damage.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::index::{Index, prefer_index};
use castmatch_e2e::method::Method;
use castmatch_e2e::opclass;
use castmatch_e2e::query::{run, value};
use castmatch_e2e::random::Random;
use castmatch_e2e::scale::scaled;
use postgres::Client;
use postgres::error::{DbError, SqlState};

use crate::index_damage::Damage;
use crate::index_file::IndexFile;
use crate::index_setting::{DATABASE, database, plain, report, vacuum};

castmatch_e2e::for_each_method! {
    damaged_indexes_are_told_and_survived,
}

/// Rows of each table: enough for several pages of elements.
const ROWS: i64 = 400;
/// Where the tables are: a name that SQL must quote.
const SCHEMA: &str = "\"of mutants\"";
/// What no statement may take.
const HANG: &str = "SET statement_timeout = '10s'";

/// One table with an index that is to be damaged.
struct Mutant {
    damage: Damage,
    seed: u64,
    index: Index,
    path: PathBuf,
}

impl Mutant {
    fn describe(&self) -> String {
        format!(
            "{:?} of {} with seed {}",
            self.damage, self.index.class.name, self.seed
        )
    }
}

/// The seed also says which class the index is of.
fn prepare(client: &mut Client, cluster: &Cluster, method: Method, damage: Damage, seed: u64) -> Mutant {
    let shape = usize::try_from(seed).unwrap();
    let class = method.classes()[shape % method.classes().len()];
    let (dims, of_graph, of_inverted_file) = [
        (8, "m = 4, ef_construction = 16", "lists = 3"),
        (
            40,
            "m = 4, ef_construction = 16, code_bits = 4",
            "lists = 2, refine_bits = 3",
        ),
        (40, "m = 4, ef_construction = 16, code_bits = 8", "lists = 10"),
    ][shape % 3];
    let index = Index::table(client, &format!("t_{seed}"), class, dims).by(method);
    index.fill(client, 1..ROWS + 1);
    index.build(client, method.either(of_graph, of_inverted_file));
    // Slots that are free again, and rows that are dead.
    run(client, &format!("DELETE FROM {} WHERE id % 5 = 0", index.table));
    vacuum(client, &index.table);
    run(client, &format!("DELETE FROM {} WHERE id % 7 = 0", index.table));
    let file: String = value(
        client,
        &format!("SELECT pg_relation_filepath('{}')", index.name()),
    );
    Mutant {
        damage,
        seed,
        index,
        path: cluster.data().join(file),
    }
}

/// Whether an error is one of a damaged index: it names it and the block, and gives the statement that mends it. The server has its own words for a file that is
/// shorter than it was, and for a page whose header is no header.
fn is_told(error: &DbError, name: &str) -> bool {
    let message = error.message();
    if error.code() == &SqlState::INDEX_CORRUPTED {
        let advice = format!("Rebuild the index: REINDEX INDEX {SCHEMA}.{name}.");
        return message.contains(name)
            && (message.contains("block") || message.contains("version"))
            && error.hint() == Some(advice.as_str());
    }
    let by_server = [
        "invalid page in block",
        "could not read block",
        "unexpected data beyond EOF",
    ];
    error.code() == &SqlState::DATA_CORRUPTED && by_server.iter().any(|text| message.contains(text))
}

/// Runs a statement on a damaged index. `Ok`: it succeeded, or told of the damage.
fn bear(client: &mut Client, mutant: &Mutant, sql: &str) -> Result<bool, String> {
    match client.simple_query(sql) {
        Ok(_) => Ok(true),
        Err(error) => match error.as_db_error() {
            Some(told) if is_told(told, &mutant.index.name()) => Ok(false),
            Some(other) => Err(format!("{}: {sql}: {other:?}", mutant.describe())),
            None => Err(format!("{}: {sql}: {error:?}", mutant.describe())),
        },
    }
}

/// What verify_index says of the index: whether it is sound.
fn verified(client: &mut Client, mutant: &Mutant) -> Result<bool, String> {
    let sql = format!(
        "SELECT bool_and(ok) FROM castmatch.verify_index('{}')",
        mutant.index.name()
    );
    match client.query_one(&sql, &[]) {
        Ok(row) => Ok(row.get::<_, Option<bool>>(0).unwrap_or(false)),
        Err(error) => match error.as_db_error() {
            Some(told) if is_told(told, &mutant.index.name()) => Ok(false),
            _ => Err(format!("{}: {sql}: {error:?}", mutant.describe())),
        },
    }
}

/// Everything that a user may do with the index; returns whether verify_index saw the damage, before anything else was done.
fn use_damaged(cluster: &Cluster, mutant: &Mutant) -> Result<bool, String> {
    let client = &mut cluster
        .try_connect(DATABASE, "postgres")
        .map_err(|error| format!("{}: no session: {error:?}", mutant.describe()))?;
    prefer_index(client);
    run(client, HANG);
    let Index { table, .. } = &mutant.index;
    let seen = !verified(client, mutant)?;
    bear(
        client,
        mutant,
        &format!("SELECT * FROM castmatch.index_info('{}')", mutant.index.name()),
    )?;
    bear(
        client,
        mutant,
        &format!("SELECT castmatch.prewarm('{}')", mutant.index.name()),
    )?;
    let search = |client: &mut Client, number, k| {
        let sql = mutant.index.nearest_sql(&mutant.index.query(number), k, "");
        bear(client, mutant, &sql)
    };
    for number in 0..3 {
        search(client, number, 10)?;
    }
    search(client, 4, 100_000)?;
    bear(client, mutant, &mutant.index.method.set_effort(2))?;
    search(client, 5, 100_000)?;
    for id in ROWS + 1..ROWS + 9 {
        let vector = mutant.index.literal(id, 0);
        bear(
            client,
            mutant,
            &format!("INSERT INTO {table} VALUES ({id}, 0, 0, {vector})"),
        )?;
    }
    bear(client, mutant, &format!("DELETE FROM {table} WHERE id % 3 = 0"))?;
    bear(
        client,
        mutant,
        &format!("VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF) {table}"),
    )?;
    verified(client, mutant)?;
    search(client, 6, 100)?;
    // Whatever happened, a new index is sound.
    run(client, &format!("REINDEX INDEX {}", mutant.index.name()));
    mutant.index.assert_exhaustive(client, &mutant.index.query(7));
    mutant.index.assert_verified(client);
    run(client, &format!("DROP TABLE {table}"));
    Ok(seen)
}

fn damaged_indexes_are_told_and_survived(method: Method) {
    let mut cluster = Cluster::start(&Options {
        damages: true,
        ..plain(&[])
    });
    let mut client = database(&cluster);
    run(
        &mut client,
        &format!(
            "CREATE SCHEMA {SCHEMA}; SET search_path = {SCHEMA}, public;
             ALTER DATABASE {DATABASE} SET search_path = {SCHEMA}, public"
        ),
    );
    let other = Index::table(&mut client, "other", opclass::HALFVEC_COSINE, 20).by(method);
    other.fill(&mut client, 1..1_000);
    other.build(
        &mut client,
        method.either("m = 6, ef_construction = 16", "lists = 5"),
    );
    let other: String = value(&mut client, "SELECT pg_relation_filepath('other_e')");
    let other = cluster.data().join(other);

    let damages = method.either(&Damage::ALL[..], &Damage::OF_PAGES[..]);
    let (rounds, seeds) = scaled((1, method.either(2, 5)), (10, method.either(5, 20)));
    let mut failures = Vec::new();
    let mut seen: BTreeMap<Damage, (usize, usize)> = BTreeMap::new();
    for round in 0..rounds {
        let mut mutants = Vec::new();
        for (number, &damage) in damages.iter().cycle().take(damages.len() * seeds).enumerate() {
            // One more in each round, so that a damage meets every class of index.
            let seed = u64::try_from(round * 1_001 + number).unwrap();
            mutants.push(prepare(&mut client, &cluster, method, damage, seed));
        }
        drop(client);
        cluster.stop();
        let foreign = IndexFile::of(method, fs::read(&other).unwrap());
        for mutant in &mutants {
            let mut file = IndexFile::of(method, fs::read(&mutant.path).unwrap());
            mutant
                .damage
                .apply(&mut file, &foreign, &mut Random::new(mutant.seed));
            fs::write(&mutant.path, &file.bytes).unwrap();
        }
        cluster.boot();
        for mutant in &mutants {
            match use_damaged(&cluster, mutant) {
                Ok(found) => {
                    let counts = seen.entry(mutant.damage).or_default();
                    counts.0 += usize::from(found);
                    counts.1 += 1;
                }
                Err(failure) => failures.push(failure),
            }
        }
        client = cluster.connect(DATABASE, "postgres");
    }
    report(
        "X1",
        &format!(
            "{method}: {} mutants, {} failures",
            seen.values().map(|counts| counts.1).sum::<usize>(),
            failures.len()
        ),
    );
    report("X2", &format!("{method}, seen by verify_index: {seen:?}"));
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
    let of_content = seen.iter().filter(|(damage, _)| damage.changes_content());
    let (found, all) = of_content.fold((0, 0), |sum, (_, counts)| (sum.0 + counts.0, sum.1 + counts.1));
    // In an inverted file some pages with rows are of lists that were replaced, which are searched no more.
    let least = method.either(95, 80);
    assert!(
        found * 100 >= all * least,
        "verify_index saw {found} of {all}: {seen:#?}"
    );
}
