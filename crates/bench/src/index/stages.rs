//! The stages over one data set: in every round the methods take turns.
//!
//! A method that fails is left out of what follows over the same data set, with a note; the others go on.

use super::method::{Method, Side, TABLES, index_name, table_name};
use super::record::{Record, Results};
use super::search::{self, Point};
use super::{Plan, Run, Stage, libraries, settings, table, upkeep};
use crate::Error;
use crate::data::manifest::Hashed;
use crate::server::Server;

/// Makes the schemas and extensions; gives the methods that can be measured here.
pub(crate) fn available(server: &Server, plan: &Plan, results: &mut Results) -> Result<Vec<Method>, Error> {
    let mut client = server.connect("pg_catalog")?;
    client.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {TABLES}"))?;
    let wanted = |side| plan.methods.iter().any(|method| method.side() == side);
    let mut without = Vec::new();
    if wanted(Side::Castmatch) && !settings::has_castmatch(plan) {
        without.push((
            Side::Castmatch,
            "castmatch is not installed into this server".to_owned(),
        ));
    } else if wanted(Side::Castmatch) {
        renew_castmatch(plan, &mut client)?;
    }
    for side in [Side::Castmatch, Side::Pgvector] {
        if !wanted(side) || without.iter().any(|(missing, _)| *missing == side) {
            continue;
        }
        let (schema, extension) = (side.schema(), side.extension());
        client.batch_execute(&format!(
            "CREATE SCHEMA IF NOT EXISTS {schema}; CREATE EXTENSION IF NOT EXISTS {extension} SCHEMA {schema}"
        ))?;
    }
    if wanted(Side::Castmatch) && without.is_empty() {
        let row = client.query_one(
            "SELECT EXISTS (SELECT FROM pg_am WHERE amname = 'castmatch_hnsw')",
            &[],
        )?;
        if !row.get::<_, bool>(0) {
            without.push((
                Side::Castmatch,
                "this castmatch has no access method castmatch_hnsw".to_owned(),
            ));
        }
    }
    for (_, text) in &without {
        note(results, text.clone())?;
    }
    Ok(plan
        .methods
        .iter()
        .copied()
        .filter(|method| without.iter().all(|(side, _)| *side != method.side()))
        .collect())
}

/// Removes castmatch and its tables from the database when its library was installed anew since it was last used.
fn renew_castmatch(plan: &Plan, client: &mut postgres::Client) -> Result<(), Error> {
    let now = Hashed::of(&settings::castmatch_library(plan))?.sha256;
    let comment = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1";
    let before: Option<String> = client.query_one(comment, &[&TABLES])?.get(0);
    if before.as_deref() == Some(&now) {
        return Ok(());
    }
    if before.is_some() {
        println!("castmatch was installed anew: its tables are made again; --redo measures it again");
    }
    let tables = client.query(
        "SELECT relname::text FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
         WHERE nspname = $1 AND relkind = 'r' AND relname LIKE '%\\_castmatch\\_%'",
        &[&TABLES],
    )?;
    for row in tables {
        table::drop_table(client, row.get(0))?;
    }
    client.batch_execute(&format!(
        "DROP EXTENSION IF EXISTS castmatch CASCADE; COMMENT ON SCHEMA {TABLES} IS '{now}'"
    ))?;
    Ok(())
}

/// Saves a note once.
fn note(results: &mut Results, text: String) -> Result<(), Error> {
    eprintln!("castmatch-bench: {text}");
    if results.has(|record| matches!(record, Record::Note { text: present } if *present == text)) {
        return Ok(());
    }
    results.push(Record::Note { text })
}

/// The methods that have not failed.
struct Field {
    methods: Vec<Method>,
    failures: usize,
}

impl Field {
    fn new(methods: &[Method]) -> Self {
        Self {
            methods: methods
                .iter()
                .copied()
                .filter(|method| method.side() != Side::Library)
                .collect(),
            failures: 0,
        }
    }

    /// Does something for every method in turn.
    fn each(
        &mut self,
        run: &Run<'_>,
        results: &mut Results,
        mut work: impl FnMut(Method, &mut Results) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for method in self.methods.clone() {
            if let Err(error) = work(method, results) {
                note(
                    results,
                    format!("{} over {}: {}", method.name(), run.set.name(), words(&*error)),
                )?;
                self.methods.retain(|&other| other != method);
                self.failures += 1;
            }
        }
        Ok(())
    }
}

/// An error with what lies below it, which is where the postgres crate keeps the server's message.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(below) = source {
        text.push_str(": ");
        text.push_str(&below.to_string());
        source = below.source();
    }
    text
}

/// Loads the tables, builds the indexes, searches, and lets the libraries do the same.
pub(crate) fn build_and_search(
    run: &Run<'_>,
    methods: &[Method],
    results: &mut Results,
) -> Result<usize, Error> {
    let mut field = Field::new(methods);
    if run.plan.any(&[Stage::Build, Stage::Search]) {
        let content = format!("{} rows", run.data.base.len());
        field.each(run, results, |method, _| {
            let table = table_name("main", run.set, method);
            let mut client = run.server.connect(&method.search_path())?;
            table::load(run, &mut client, &table, &content, 0..run.data.base.len())
        })?;
    }
    if run.plan.any(&[Stage::Build]) {
        builds(run, &mut field, results)?;
    }
    if run.plan.any(&[Stage::Search]) {
        searches(run, &mut field, results)?;
    }
    if run.plan.any(&[Stage::Library]) {
        for &method in methods.iter().filter(|method| method.side() == Side::Library) {
            if let Err(error) = libraries::measure(run, method, results) {
                note(
                    results,
                    format!("{} over {}: {}", method.name(), run.set.name(), words(&*error)),
                )?;
                field.failures += usize::from(!error.is::<libraries::Missing>());
            }
        }
    }
    Ok(field.failures)
}

fn builds(run: &Run<'_>, field: &mut Field, results: &mut Results) -> Result<(), Error> {
    for round in 1..=run.plan.build_rounds {
        for &workers in &run.plan.workers {
            field.each(run, results, |method, results| {
                let key = run.key(method, round);
                if results.has(|record| {
                    matches!(record, Record::Build { key: its, workers: with, .. } if *its == key && *with == workers)
                }) {
                    return Ok(());
                }
                let built = table::build(run, method, &table_name("main", run.set, method), workers)?;
                println!(
                    "  build {:<18} {workers} workers, round {round}: {:.1} s, {:.0} MiB, index {:.0} MiB",
                    method.name(),
                    built.seconds,
                    built.peak_mib,
                    built.index_mib
                );
                results.push(Record::Build {
                    key,
                    workers,
                    seconds: built.seconds,
                    cpu_seconds: built.cpu_seconds,
                    peak_mib: Some(built.peak_mib),
                    index_mib: built.index_mib,
                    cache_mib: built.cache_mib,
                })
            })?;
        }
    }
    Ok(())
}

fn searches(run: &Run<'_>, field: &mut Field, results: &mut Results) -> Result<(), Error> {
    field.each(run, results, |method, _| {
        let table = table_name("main", run.set, method);
        let mut client = run.server.connect(&method.search_path())?;
        if !table::has_index(&mut client, &table)? {
            println!("  building {} of {table}", index_name(&table));
            table::build(run, method, &table, run.plan.most_workers())?;
        }
        client.batch_execute("CHECKPOINT")?;
        Ok(())
    })?;
    let settings = run
        .plan
        .methods
        .iter()
        .map(|&method| run.plan.efforts(method).len());
    let settings = settings.max().unwrap_or(0);
    for round in 1..=run.plan.rounds {
        for &clients in &run.plan.clients {
            for position in 0..settings {
                field.each(run, results, |method, results| {
                    let Some(&effort) = run.plan.efforts(method).get(position) else {
                        return Ok(());
                    };
                    search_once(run, method, (round, clients, effort), results)
                })?;
            }
        }
    }
    Ok(())
}

fn search_once(
    run: &Run<'_>,
    method: Method,
    (round, clients, effort): (usize, usize, u32),
    results: &mut Results,
) -> Result<(), Error> {
    let wanted = run.key(method, round);
    if results.has(|record| {
        matches!(record, Record::Search { key, effort: at, clients: of, .. }
            if *key == wanted && *at == effort && *of == clients)
    }) {
        return Ok(());
    }
    let point = Point {
        method,
        table: &table_name("main", run.set, method),
        effort,
        clients,
    };
    let record = search::measure(run, point)?.record(run, point, round);
    if let Record::Search {
        qps, recall, p95_ms, ..
    } = &record
    {
        println!(
            "  search {:<17} {effort:>4}, {clients} client(s), round {round}: recall {recall:.4}, {qps:.0} queries/s, \
             p95 {p95_ms:.2} ms",
            method.name()
        );
    }
    results.push(record)
}

/// Inserts and vacuum, over tables of their own.
pub(crate) fn upkeep(run: &Run<'_>, methods: &[Method], results: &mut Results) -> Result<usize, Error> {
    let mut field = Field::new(methods);
    if run.plan.any(&[Stage::Insert]) {
        inserts(run, &mut field, results)?;
    }
    if run.plan.any(&[Stage::Vacuum]) {
        vacuums(run, &mut field, results)?;
    }
    if run.plan.any(&[Stage::Growth]) {
        growths(run, &mut field, results)?;
    }
    Ok(field.failures)
}

fn inserts(run: &Run<'_>, field: &mut Field, results: &mut Results) -> Result<(), Error> {
    let rounds = run.plan.rounds;
    let complete = |results: &Results, method: Method| {
        (1..=rounds).all(|round| {
            let wanted = run.key(method, round);
            results.has(|record| matches!(record, Record::Insert { key, .. } if *key == wanted))
        })
    };
    let half = run.data.base.len() / 2;
    // Enough for every round.
    let count = run
        .plan
        .insert_rows
        .min((run.data.base.len() - half) / rounds.max(1));
    field.each(run, results, |method, results| {
        if !complete(results, method) {
            upkeep::half_full(run, method, half, run.plan.most_workers())?;
            let wanted = run.key(method, 0);
            results.forget(|record| {
                matches!(record, Record::Insert { key, .. }
                    if key.data == wanted.data && key.rows == wanted.rows && key.method == wanted.method)
            })?;
        }
        Ok(())
    })?;
    for round in 1..=rounds {
        field.each(run, results, |method, results| {
            if complete(results, method) {
                return Ok(());
            }
            let record = upkeep::insert(run, method, round, half + (round - 1) * count, count)?;
            if let Record::Insert {
                inserted, seconds, ..
            } = &record
            {
                println!(
                    "  insert {:<17} round {round}: {:.0} rows/s",
                    method.name(),
                    *inserted as f64 / seconds.max(f64::MIN_POSITIVE)
                );
            }
            results.push(record)
        })?;
    }
    field.each(run, results, |method, _| {
        let mut client = run.server.connect(&method.search_path())?;
        table::drop_table(&mut client, &table_name("insert", run.set, method))
    })
}

fn vacuums(run: &Run<'_>, field: &mut Field, results: &mut Results) -> Result<(), Error> {
    for round in 1..=run.plan.vacuum_rounds {
        field.each(run, results, |method, results| {
            let wanted = run.key(method, round);
            if results.has(|record| matches!(record, Record::Vacuum { key, .. } if *key == wanted)) {
                return Ok(());
            }
            let record = upkeep::vacuum(run, method, round, run.plan.most_workers())?;
            if let Record::Vacuum { seconds, recall, deleted, .. } = &record {
                println!(
                    "  vacuum {:<17} round {round}: {deleted} rows in {seconds:.1} s, recall then {recall:.4}",
                    method.name()
                );
            }
            results.push(record)
        })?;
    }
    Ok(())
}

fn growths(run: &Run<'_>, field: &mut Field, results: &mut Results) -> Result<(), Error> {
    field.each(run, results, |method, results| {
        let wanted = run.key(method, 1);
        if results.has(|record| matches!(record, Record::Growth { key, .. } if *key == wanted)) {
            return Ok(());
        }
        for record in upkeep::growth(run, method, run.plan.most_workers())? {
            if let Record::Growth { effort, inserted, vacuumed, anew, vacuum_seconds, .. } = &record {
                println!(
                    "  growth {:<17} {effort:>4}: recall {inserted:.4}, {vacuumed:.4} after vacuum ({vacuum_seconds:.1} s), \
                     {anew:.4} built anew",
                    method.name()
                );
            }
            results.push(record)?;
        }
        Ok(())
    })
}
