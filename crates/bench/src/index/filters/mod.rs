//! `castmatch-bench filters`: conditions beside the order, of every selectivity, independent of the vectors and not.
//!
//! A table each for castmatch and pgvector in one server, with the same columns. castmatch's index has them as filter columns; pgvector
//! scans on (`hnsw.iterative_scan`) until enough rows pass. The exact plan is a btree and a sort, in castmatch's table.
//! docs/benchmark.md says what the figures mean.

mod condition;
mod measure;
mod report;

use postgres::Client;

use super::method::{Method, TABLES, index_name, table_name};
use super::options::Options;
use super::record::Results;
use super::{Run, method, settings, stages};
use crate::data::{Data, DataSet};
use crate::server::Server;
use crate::{Error, place, wire};
use condition::{Columns, Condition, Truth, truths};
use measure::{Figures, Statement, measure};
use report::{Line, Table};

const OURS: Method = Method::Castmatch64;
const THEIRS: Method = Method::Pgvector64;
/// Recall without a condition that the search setting is chosen for.
const WANTED: f64 = 0.95;
/// Recalls that differ by less are equal.
const EQUAL: f64 = 0.005;
/// Queries, if none are asked for.
const QUERIES: usize = 200;
/// Values of ef_search.
const EFFORTS: [u32; 9] = [10, 20, 40, 60, 80, 120, 200, 400, 800];

/// Measures every condition over the data sets, and writes `filters.md` and `filters.json`.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let mut plan = options.plan()?;
    plan.methods = vec![OURS, THEIRS];
    // The one with twice the dimensions says nothing new about filters.
    plan.data.retain(|&set| set != DataSet::Wordnet768);
    std::fs::create_dir_all(&plan.work)?;
    if plan.fresh {
        Server::discard(&plan.install.join("bin"), &plan.server_folder)?;
    }
    let mut results = Results::open(&plan.work)?;
    let server = Server::start(
        &plan.install.join("bin"),
        &plan.server_folder,
        &settings::server(&plan),
    )?;
    // Without pgvector the rest is measured.
    if !has_pgvector(&server)? {
        println!("pgvector is not installed into this server");
        plan.methods = vec![OURS];
    }
    let methods = stages::available(&server, &plan, &mut results)?;
    if !methods.contains(&OURS) {
        return Err("castmatch is not installed into this server".into());
    }
    settings::note(&server, &mut results)?;
    let mut tables = Vec::new();
    for &set in &plan.data {
        let mut data = Data::read(&plan.data_folder, set, plan.rows, place::processors())?;
        data.queries.truncate(plan.queries.unwrap_or(QUERIES));
        let run = Run {
            server: &server,
            set,
            data: &data,
            plan: &plan,
        };
        let only = options.condition.as_deref().unwrap_or_default();
        tables.push(measure_set(&run, methods.contains(&THEIRS), only)?);
        report::write(&plan.work, &tables)?;
    }
    println!("report: {}", plan.work.join("filters.md").display());
    Ok(())
}

fn has_pgvector(server: &Server) -> Result<bool, Error> {
    let row = server.connect("pg_catalog")?.query_one(
        "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector')",
        &[],
    )?;
    Ok(row.get(0))
}

fn measure_set(run: &Run<'_>, with_pgvector: bool, only: &str) -> Result<Table, Error> {
    let metric = run.set.metric();
    println!(
        "{}: {} rows, {} queries",
        run.set.name(),
        run.data.base.len(),
        run.queries()
    );
    let columns = Columns::new(run.data, metric);
    let exact = truths(
        &run.data.base,
        &run.data.queries,
        &columns,
        metric,
        place::processors(),
    )?;
    let (ours, theirs) = (
        table_name("filters", run.set, OURS),
        table_name("filters", run.set, THEIRS),
    );
    prepare(run, &columns, OURS, &ours)?;
    if with_pgvector {
        prepare(run, &columns, THEIRS, &theirs)?;
    }
    let (effort, unfiltered) = choose_effort(run, &columns, &ours)?;
    println!(
        "  without a condition: ef_search {effort}, recall {:.4}, {:.0} queries/s",
        unfiltered.recall, unfiltered.qps
    );
    let mut lines = Vec::new();
    let wanted = |(condition, _): &(Condition, &Truth)| condition.name().contains(only);
    for (condition, truth) in Condition::ALL.into_iter().zip(&exact).filter(wanted) {
        let at_effort = |settings: &str| {
            let statement = Statement {
                method: OURS,
                table: &ours,
                condition: Some(condition),
                settings: format!("{}; {settings}", OURS.set_effort(effort)),
            };
            let figures = measure(run, &columns, Some(truth), &statement)?;
            Ok::<_, Error>(Figures {
                effort: Some(effort),
                ..figures
            })
        };
        let filtered =
            at_effort("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off")?;
        let pgvector = if with_pgvector {
            Some(pgvector(
                run,
                &columns,
                &theirs,
                (condition, truth),
                filtered.recall,
            )?)
        } else {
            None
        };
        let line = Line {
            condition: condition.name(),
            selectivity: truth.selectivity,
            filtered,
            chosen: at_effort("SET enable_seqscan = on")?,
            exact: at_effort("SET enable_indexscan = off; SET enable_indexonlyscan = off")?,
            pgvector,
        };
        println!("  {}", line.in_words());
        lines.push(line);
    }
    Ok(Table {
        data: run.set.name().to_owned(),
        rows: run.data.base.len(),
        queries: run.queries(),
        unfiltered,
        lines,
    })
}

/// The smallest ef_search with the wanted recall, and what it gives.
fn choose_effort(run: &Run<'_>, columns: &Columns, table: &str) -> Result<(u32, Figures), Error> {
    let mut last = None;
    for effort in run.plan.efforts_or(&EFFORTS) {
        let statement = Statement {
            method: OURS,
            table,
            condition: None,
            settings: format!("{}; SET enable_seqscan = off", OURS.set_effort(effort)),
        };
        let figures = measure(run, columns, None, &statement)?;
        let reached = figures.recall >= WANTED;
        let figures = Figures {
            effort: Some(effort),
            ..figures
        };
        last = Some((effort, figures));
        if reached {
            break;
        }
    }
    last.ok_or_else(|| "no value of ef_search to measure".into())
}

/// pgvector's scan that goes on until enough rows pass, at the setting that is fastest among those with the wanted recall; if none has
/// it, at that with the best.
fn pgvector(
    run: &Run<'_>,
    columns: &Columns,
    table: &str,
    (condition, truth): (Condition, &Truth),
    wanted: f64,
) -> Result<Figures, Error> {
    let mut points: Vec<Figures> = Vec::new();
    // By default it gives up after 20,000 rows.
    for scan_tuples in [None, Some(run.data.base.len())] {
        let limit = scan_tuples.map_or_else(String::new, |rows| {
            format!("SET hnsw.max_scan_tuples = {rows}; SET hnsw.scan_mem_multiplier = 50; ")
        });
        let mut before: Option<Figures> = None;
        for effort in run.plan.efforts_or(&EFFORTS) {
            let statement = Statement {
                method: THEIRS,
                table,
                condition: Some(condition),
                settings: format!(
                    "{}; {limit}SET hnsw.iterative_scan = relaxed_order; SET enable_seqscan = off; \
                     SET enable_bitmapscan = off; SET enable_sort = off",
                    THEIRS.set_effort(effort)
                ),
            };
            let figures = measure(run, columns, Some(truth), &statement)?;
            let figures = Figures {
                effort: Some(effort),
                scan_tuples,
                ..figures
            };
            let reached = figures.recall >= wanted - EQUAL;
            // Where the number of rows ends the scan, a larger list changes nothing.
            let hopeless = before.is_some_and(|before| {
                figures.recall < before.recall + EQUAL / 2.0
                    && figures.recall < wanted - 4.0 * EQUAL
                    && figures.qps < 100.0
            });
            points.push(figures.clone());
            before = Some(figures);
            if reached || hopeless {
                break;
            }
        }
    }
    let reached = |figures: &&Figures| figures.recall >= wanted - EQUAL;
    let best = points
        .iter()
        .filter(reached)
        .max_by(|a, b| a.qps.total_cmp(&b.qps))
        .or_else(|| points.iter().max_by(|a, b| a.recall.total_cmp(&b.recall)));
    best.cloned()
        .ok_or_else(|| "no value of ef_search to measure".into())
}

/// Makes table and indexes, unless they are there.
fn prepare(run: &Run<'_>, columns: &Columns, method: Method, table: &str) -> Result<(), Error> {
    let mut client = run.server.connect(&method.search_path())?;
    let name = format!("{TABLES}.{table}");
    let content = format!("{} rows, format 1", run.data.base.len());
    let present: Option<String> = client
        .query_one(
            "SELECT obj_description(to_regclass($1::text), 'pg_class')",
            &[&name],
        )?
        .get(0);
    if present.as_deref() == Some(&content) {
        return Ok(());
    }
    println!("  loading {table}");
    fill(run, columns, &mut client, &name)?;
    let (rows, dimensions) = (run.data.base.len(), run.data.base.columns());
    client.batch_execute(&format!(
        "SET maintenance_work_mem = '{}MB'; SET max_parallel_maintenance_workers = {workers}; ALTER TABLE {name} SET (parallel_workers = {workers})",
        run.plan.maintenance_mib(rows, dimensions),
        workers = run.plan.most_workers()
    ))?;
    let operators = method::operators(run.set);
    let index = index_name(table);
    client.batch_execute(&match method {
        OURS => format!(
            "CREATE INDEX {index} ON {name} USING castmatch_hnsw (embedding vector_{operators}, part, word, cluster) \
             WITH (m = 16, ef_construction = 64)"
        ),
        _ => format!(
            "CREATE INDEX {index} ON {name} USING hnsw (embedding vector_{operators}) WITH (m = 16, ef_construction = 64)"
        ),
    })?;
    client.batch_execute(&format!("ALTER TABLE {name} RESET (parallel_workers)"))?;
    if method == OURS {
        client.batch_execute(&format!(
            "CREATE INDEX ON {name} (part); CREATE INDEX ON {name} (word); CREATE INDEX ON {name} (cluster)"
        ))?;
    }
    client.batch_execute(&format!("VACUUM (ANALYZE) {name}"))?;
    client.batch_execute(&format!("COMMENT ON TABLE {name} IS '{content}'"))?;
    Ok(())
}

fn fill(run: &Run<'_>, columns: &Columns, client: &mut Client, name: &str) -> Result<(), Error> {
    let dimensions = run.data.base.columns();
    client.batch_execute(&format!(
        "DROP TABLE IF EXISTS {name}; CREATE TABLE {name} \
         (id integer NOT NULL, embedding vector({dimensions}), part integer NOT NULL, word text NOT NULL, cluster integer NOT NULL)"
    ))?;
    let rows = 0..run.data.base.len();
    wire::copy_with(client, name, "part, word, cluster", &run.data.base, rows, |row| {
        let number = |column: &[u32]| {
            column
                .get(row)
                .copied()
                .unwrap_or_default()
                .to_be_bytes()
                .to_vec()
        };
        vec![
            number(&columns.part),
            columns.word(row).as_bytes().to_vec(),
            number(&columns.cluster),
        ]
    })
}
