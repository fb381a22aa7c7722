//! The attached table: made, filled, attached, and served by a vector index.

use std::time::{Duration, Instant};

use castmatch_engine::model::EmbeddingModel;
use postgres::Client;

use crate::Error;
use crate::data::items::{Item, Items};
use crate::data::matrix::Matrix;
use crate::wire::{self, Vector};

/// Its name.
pub(super) const TABLE: &str = "bench.items";
/// How long nothing may be heard of an index that attach may have asked for.
const INDEX_PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);

/// Makes the table and fills it; ids are the numbers of the items. Without embeddings it has no column for them.
pub(super) fn load(
    client: &mut Client,
    items: &Items,
    embeddings: Option<&Matrix<f32>>,
) -> Result<(), Error> {
    let column = embeddings.map_or_else(String::new, |matrix| {
        format!(", embedding vector({})", matrix.columns())
    });
    client.batch_execute(&format!(
        "CREATE SCHEMA bench; CREATE TABLE {TABLE} (id integer PRIMARY KEY, lemma text NOT NULL, \
         definition text NOT NULL, category text NOT NULL, words integer NOT NULL{column})"
    ))?;
    let mut columns = "id, lemma, definition, category, words".to_owned();
    if embeddings.is_some() {
        columns.push_str(", embedding");
    }
    let rows = items
        .items
        .iter()
        .enumerate()
        .map(|(id, item)| values(id, item, embeddings));
    wire::copy_rows(client, TABLE, &columns, rows)?;
    Ok(client.batch_execute(&format!("VACUUM (ANALYZE) {TABLE}"))?)
}

fn values(id: usize, item: &Item, embeddings: Option<&Matrix<f32>>) -> Result<Vec<Vec<u8>>, Error> {
    let mut values = vec![
        i32::try_from(id)?.to_be_bytes().to_vec(),
        item.lemma.as_bytes().to_vec(),
        item.definition.as_bytes().to_vec(),
        item.category.as_bytes().to_vec(),
        item.words().to_be_bytes().to_vec(),
    ];
    if let Some(matrix) = embeddings {
        values.push(Vector(matrix.row(id)).bytes()?);
    }
    Ok(values)
}

/// Attaches it; `filters` are columns, separated by commas.
pub(super) fn attach(client: &mut Client, embed_mode: &str, filters: &str) -> Result<(), Error> {
    client.execute(
        "SELECT castmatch.attach($1::text::regclass, content => '{lemma,definition}', \
         filters => string_to_array($2, ','), embed_mode => $3)",
        &[&TABLE, &filters, &embed_mode],
    )?;
    Ok(())
}

/// Its vector index, if it has a valid one.
pub(super) fn vector_index(client: &mut Client) -> Result<Option<String>, Error> {
    let row = client.query_opt(
        "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         JOIN pg_am a ON a.oid = c.relam
         WHERE i.indrelid = $1::text::regclass AND i.indisvalid AND a.amname LIKE 'castmatch\\_%' LIMIT 1",
        &[&TABLE],
    )?;
    Ok(row.map(|row| row.get(0)))
}

/// Waits for the vector index as long as one may be on its way.
pub(super) fn await_vector_index(client: &mut Client) -> Result<Option<String>, Error> {
    let mut heard = Instant::now();
    loop {
        if let Some(index) = vector_index(client)? {
            return Ok(Some(index));
        }
        let building: bool = client
            .query_one(
                "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE relid = $1::text::regclass)",
                &[&TABLE],
            )?
            .get(0);
        if building {
            heard = Instant::now();
        } else if heard.elapsed() > INDEX_PATIENCE {
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

/// Sees to it that there is a vector index, in memory, and tells whose it is. `filters` become its filter columns.
pub(super) fn ensure_vector_index(client: &mut Client, filters: &str) -> Result<String, Error> {
    let (index, by) = match await_vector_index(client)? {
        Some(index) => (index, "attach"),
        None => {
            let filters = if filters.is_empty() {
                String::new()
            } else {
                format!(", {filters}")
            };
            client.batch_execute(&format!(
                "SET maintenance_work_mem = '1GB';
                 CREATE INDEX items_vector ON {TABLE} USING castmatch_hnsw (embedding vector_cosine_ops{filters});
                 RESET maintenance_work_mem"
            ))?;
            let index = vector_index(client)?.ok_or("the vector index is not there")?;
            (index, "this program: attach made none")
        }
    };
    client.batch_execute(&format!("VACUUM (ANALYZE) {TABLE}"))?;
    client.query("SELECT castmatch.prewarm($1::text::regclass)", &[&index])?;
    let definition: String = client
        .query_one("SELECT pg_get_indexdef($1::text::regclass)", &[&index])?
        .get(0);
    Ok(format!("`{definition}`, made by {by}"))
}

/// The node by which a statement with these parameters reads a relation, named without its schema.
pub(super) fn plan(
    client: &mut Client,
    relation: &str,
    statement: &str,
    parameters: &[&(dyn postgres::types::ToSql + Sync)],
) -> Result<String, Error> {
    let statement = client.prepare(&format!("EXPLAIN (COSTS OFF) {statement}"))?;
    let lines = client.query(&statement, parameters)?;
    let on = format!(" on {relation}");
    let node = lines
        .iter()
        .map(|line| line.get::<_, String>(0))
        .find(|line| line.contains(" Scan") && line.contains(&on))
        .unwrap_or_default();
    Ok(node.trim_start_matches([' ', '-', '>']).to_owned())
}

/// What the reports say of the table and the server.
pub(super) fn notes(
    client: &mut Client,
    items: &Items,
    model: &EmbeddingModel,
) -> Result<Vec<(&'static str, String)>, Error> {
    let row = client.query_one(
        "SELECT current_setting('server_version'), current_setting('shared_buffers'),
                (SELECT extversion::text FROM pg_extension WHERE extname = 'castmatch')",
        &[],
    )?;
    Ok(vec![
        (
            "server",
            format!(
                "PostgreSQL {}, castmatch {}, shared_buffers {}",
                row.get::<_, String>(0),
                row.get::<_, String>(2),
                row.get::<_, String>(1)
            ),
        ),
        (
            "rows",
            format!("{} of {} synsets of WordNet", items.items.len(), items.all),
        ),
        ("model", format!("{} ({})", model.name(), model.instruction_set())),
    ])
}
