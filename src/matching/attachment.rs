//! An attached table: what `castmatch.registrations` says about it, joined with what the catalogs say now.
//!
//! A backend loads it once and keeps it until the table, its registration, or a name that it is written with changes: the
//! server's invalidation messages say so (`pg::invalidation`), those for registrations are sent by a trigger.

use crate::embed::{client, model_of_table};
use crate::error::{Result, error};
use crate::matching::key::Key;
use crate::matching::target::Target;
use crate::matching::vector_type::VectorType;
use crate::matching::versions;
use crate::pg::catalog;
use crate::pg::invalidation::{self, Known};
use crate::pg::role::{Restriction, act_as};
use crate::pg::snapshot::with_latest;
use crate::pg::spi::{Access, Rows, Session, quote_identifier, session};
use crate::pg::value::Value;
use crate::pg::xact::attempt;
use castmatch_engine::filter;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

/// Characters of a row's text that are embedded or quoted from.
const MAX_CONTENT_CHARS: usize = 1 << 18;

/// When the rows of an attached table are embedded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbedMode {
    /// After commit, by a background worker.
    Background,
    /// By the statement that writes them.
    Live,
    /// Never: the application fills the column.
    Off,
}

impl EmbedMode {
    /// All, with their names in SQL.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("background", Self::Background),
        ("live", Self::Live),
        ("off", Self::Off),
    ];

    /// The name in SQL.
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|&&(_, mode)| mode == self)
            .map_or("off", |&(name, _)| name)
    }

    /// The mode of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|&(_, mode)| mode)
    }
}

/// An attached table. Names are quoted for use in SQL where the field says so.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The table.
    pub target: pg_sys::Oid,
    /// The table as an item of FROM or the target of UPDATE: schema and name, quoted; without the children of an ordinary table.
    pub table: String,
    /// The table's name without its schema, not quoted.
    pub bare_name: String,
    /// Owner of the table.
    pub owner: pg_sys::Oid,
    /// Whether its rows are in partitions.
    pub is_partitioned: bool,
    /// What names a row.
    pub key: Key,
    /// Columns of the key, not quoted.
    pub key_names: Vec<String>,
    /// Columns whose text is embedded, quoted.
    pub content: Vec<String>,
    /// Embedding column, quoted.
    pub embedding: String,
    /// Columns whose text is embedded, not quoted.
    pub content_names: Vec<String>,
    /// Embedding column, not quoted.
    pub embedding_name: String,
    /// The type of that column.
    vectors: Option<VectorType>,
    /// Name of the model that its texts are embedded with.
    pub model: String,
    /// Version of that model: of every vector in the column.
    pub model_version: String,
    /// What `castmatch.reembed` is switching to.
    pub next: Option<Next>,
    /// What `versions` says, if it is not partitioned.
    pub versions: Option<String>,
    /// Models, their versions and their columns.
    written: Vec<String>,
    /// Columns that reasons report on, not quoted.
    pub filters: Vec<String>,
    /// Text search configuration, quoted.
    pub text_config: String,
    /// Rows as the planner estimates them.
    pub estimated_rows: f64,
    /// Access method of its vector index.
    pub index_method: String,
    /// When rows are embedded.
    pub embed_mode: EmbedMode,
    /// The table's columns as filters and preferences want them.
    pub columns: Vec<filter::Column>,
}

/// The model that a table is being switched to.
#[derive(Clone, Debug)]
pub struct Next {
    /// Its name.
    pub model: String,
    /// Its version.
    pub version: String,
    /// Column for its vectors, quoted.
    pub embedding: String,
    /// The same, not quoted.
    pub embedding_name: String,
    /// The type of that column.
    vectors: Option<VectorType>,
}

impl Next {
    fn read(session: &Session, table: &Target, rows: &Rows) -> Result<Option<Self>> {
        let Some(model) = rows.get(0, 15)? else {
            return Ok(None);
        };
        let embedding_name: String = rows.require(0, 17)?;
        Ok(Some(Self {
            model,
            version: rows.require(0, 16)?,
            embedding: quote_identifier(&embedding_name),
            vectors: VectorType::find(session, table, &embedding_name)?,
            embedding_name,
        }))
    }

    /// The type of its column.
    ///
    /// # Errors
    /// 42804 if that is none that can hold embeddings now.
    pub fn vectors(&self) -> Result<&VectorType> {
        self.vectors
            .as_ref()
            .ok_or_else(|| VectorType::missing(&self.embedding_name))
    }
}

/// Models, their versions and their columns, of the table and of the switch that is going on.
fn written(rows: &Rows) -> Result<Vec<String>> {
    let columns = [13, 14, 6, 15, 16, 17].into_iter();
    let values = columns.map(|column| Ok(rows.get::<String>(0, column)?.unwrap_or_default()));
    values.collect()
}

const LOAD_SQL: &str = "
    SELECT n.nspname::text, c.relname::text, c.relowner, r.key_columns::text[], r.content_columns::text[], r.embedding_column::text,
           r.filter_columns::text[], r.text_config, r.embed_mode, c.relkind::text OPERATOR(pg_catalog.=) 'p',
           CASE WHEN c.relkind::text OPERATOR(pg_catalog.=) 'p' THEN (
               SELECT pg_catalog.sum(GREATEST(l.reltuples, 0)) FROM pg_catalog.pg_partition_tree(c.oid) p
               JOIN pg_catalog.pg_class l ON l.oid OPERATOR(pg_catalog.=) p.relid WHERE p.isleaf)
           ELSE GREATEST(c.reltuples, 0) END::pg_catalog.float8,
           (SELECT pg_catalog.min(m.name) FROM pg_catalog.unnest(r.content_columns OPERATOR(pg_catalog.||) r.filter_columns
                OPERATOR(pg_catalog.||) r.key_columns OPERATOR(pg_catalog.||) ARRAY[r.embedding_column, r.next_embedding]) AS m (name)
            WHERE m.name IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute x WHERE x.attrelid OPERATOR(pg_catalog.=) c.oid
                AND x.attname OPERATOR(pg_catalog.=) m.name AND NOT x.attisdropped))::text,
           r.model, r.model_version, r.next_model, r.next_version, r.next_embedding::text, r.index_method::text
    FROM castmatch.registrations r
    JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.target
    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE r.target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass";

thread_local! {
    /// What this backend has loaded; the registrations that were found missing are looked for again each time.
    static KNOWN: RefCell<Known<Rc<Attachment>>> = RefCell::default();
}

impl Attachment {
    /// The attachment of a table, if it is attached.
    ///
    /// # Errors
    /// 42703 if a column of the attachment was renamed or dropped since.
    pub fn find(target: pg_sys::Oid) -> Result<Option<Rc<Self>>> {
        invalidation::watch(forget);
        let (known, changes) = KNOWN.with_borrow(|known| (known.get(target), known.changes()));
        if known.is_some() {
            return Ok(known);
        }
        // Loaded as of now, whatever the calling query sees: what is kept serves later queries too, and a table's columns are
        // those of now in any case.
        let loaded = with_latest(|| session(Access::ReadOnly, |session| Self::load_anew(session, target)))?;
        Ok(loaded.map(|loaded| {
            let loaded = Rc::new(loaded);
            KNOWN.with_borrow_mut(|known| known.keep(target, Rc::clone(&loaded), changes));
            loaded
        }))
    }

    /// The attachment of a table.
    ///
    /// # Errors
    /// 55000 if the table is not attached.
    pub fn load(target: pg_sys::Oid) -> Result<Rc<Self>> {
        Self::find(target)?.ok_or_else(|| not_attached(target))
    }

    /// The attachment that a row of this table belongs to: the table's own, or that of the partitioned table that it is a part of.
    ///
    /// # Errors
    /// As for [`Self::find`].
    pub fn of_row_in(table: pg_sys::Oid) -> Result<Option<Rc<Self>>> {
        if let Some(own) = Self::find(table)? {
            return Ok(Some(own));
        }
        for ancestor in catalog::partition_ancestors(table) {
            if let Some(found) = Self::find(ancestor)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn load_anew(session: &Session, target: pg_sys::Oid) -> Result<Option<Self>> {
        let rows = session.run(LOAD_SQL, &[Value::oid(target)])?;
        if rows.is_empty() {
            return Ok(None);
        }
        if let Some(column) = rows.get::<String>(0, 12)? {
            return Err(column_gone(&column));
        }
        let name = |column| rows.require::<String>(0, column);
        let key_names: Vec<String> = rows.require(0, 4)?;
        let content_names: Vec<String> = rows.require(0, 5)?;
        let embedding_name = name(6)?;
        let is_partitioned = rows.require(0, 10)?;
        let only = if is_partitioned { "" } else { "ONLY " };
        let embed_mode = EmbedMode::from_name(&name(9)?).unwrap_or(EmbedMode::Off);
        let described = Target::load(session, target)?;
        Ok(Some(Self {
            target,
            table: format!(
                "{only}{}.{}",
                quote_identifier(&name(1)?),
                quote_identifier(&name(2)?)
            ),
            bare_name: name(2)?,
            owner: rows.require(0, 3)?,
            is_partitioned,
            key: Key::load(session, target, &key_names)?,
            key_names,
            content: content_names
                .iter()
                .map(|column| quote_identifier(column))
                .collect(),
            content_names,
            embedding: quote_identifier(&embedding_name),
            vectors: VectorType::find(session, &described, &embedding_name)?,
            embedding_name,
            model: name(13)?,
            model_version: name(14)?,
            versions: if is_partitioned {
                None
            } else {
                versions::read(session, target)?
            },
            written: written(&rows)?,
            next: Next::read(session, &described, &rows)?,
            filters: rows.require(0, 7)?,
            text_config: name(8)?,
            estimated_rows: rows.get::<f64>(0, 11)?.unwrap_or(0.0),
            index_method: name(18)?,
            embed_mode,
            columns: described.filter_columns(),
        }))
    }

    /// The type of the embedding column.
    ///
    /// # Errors
    /// 42804 if that is none that can hold embeddings now.
    pub fn vectors(&self) -> Result<&VectorType> {
        self.vectors
            .as_ref()
            .ok_or_else(|| VectorType::missing(&self.embedding_name))
    }

    /// The embedding of a row of `t` as an operand of the distance operator of [`Self::vectors`].
    ///
    /// # Errors
    /// As for [`Self::vectors`].
    pub fn operand(&self) -> Result<String> {
        Ok(self.vectors()?.operand(&format!("t.{}", self.embedding)))
    }

    /// Whether the registration still says what this one does about what is embedded and where.
    ///
    /// # Errors
    /// As for [`Self::find`].
    pub fn is_current(&self) -> Result<bool> {
        let now = Self::find(self.target)?;
        Ok(now.is_some_and(|now| now.embedded_as() == self.embedded_as()))
    }

    fn embedded_as(&self) -> [&[String]; 3] {
        [&self.key_names, &self.content_names, &self.written]
    }

    /// Whether the model that answers to the table's name for it is not the one that its vectors are from. Loads the model if need be.
    ///
    /// # Errors
    /// Those of embedding.
    pub fn is_of_other_version(&self) -> Result<bool> {
        Ok(client::version_text(&model_of_table(&self.model)?)? != self.model_version)
    }

    /// One thing done to the table as its owner, its errors turned into a message.
    ///
    /// # Errors
    /// The message.
    pub fn as_owner<R>(&self, f: impl FnOnce() -> Result<R>) -> Result<R, String> {
        attempt(|| act_as(self.owner, Restriction::Restricted, f)).map_err(|failed| failed.message)
    }

    /// Schema and name of the table, quoted.
    pub fn qualified_name(&self) -> &str {
        self.table.strip_prefix("ONLY ").unwrap_or(&self.table)
    }

    /// The text that is embedded, as an SQL expression over the table alias `t`: no more of it than can matter, so that a
    /// batch of rows stays small.
    pub fn content_expression(&self) -> String {
        let columns: Vec<String> = self
            .content
            .iter()
            .map(|column| format!("t.{column}::text"))
            .collect();
        format!(
            "pg_catalog.\"left\"(pg_catalog.concat_ws(E'\\n', {}), {MAX_CONTENT_CHARS})",
            columns.join(", ")
        )
    }
}

/// The error for a table that is not attached.
pub fn not_attached(target: pg_sys::Oid) -> pgrx::pg_sys::panic::ErrorReport {
    error(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("table {} is not attached", relation_name(target)),
    )
    .set_hint("Attach it first: SELECT castmatch.attach('table', content => '{text_column}');")
}

/// The error for a column of an attachment that was renamed or dropped.
pub fn column_gone(column: &str) -> pgrx::pg_sys::panic::ErrorReport {
    error(
        PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
        format!("column \"{column}\", which the table was attached with, does not exist any more"),
    )
    .set_hint("Run castmatch.detach and castmatch.attach again with the new column names.")
}

/// A relation's name for messages, in double quotes.
pub fn relation_name(relation: pg_sys::Oid) -> String {
    catalog::relation_name(relation).map_or_else(
        || format!("with OID {}", relation.to_u32()),
        |name| format!("\"{name}\""),
    )
}

/// Drops what was loaded of a table, or of all (`None`).
fn forget(table: Option<pg_sys::Oid>) {
    KNOWN.with_borrow_mut(|known| known.forget(table, |_, _| false));
}

/// Trigger of `castmatch.registrations`: whoever holds what a changed row said drops it.
#[pg_extern(sql = false)]
fn note_registration(fcinfo: pg_sys::FunctionCallInfo) -> Result<crate::pg::trigger::TriggerResult> {
    for target in crate::pg::trigger::oids_of_rows(fcinfo, "target") {
        invalidation::send(target);
    }
    Ok(crate::pg::trigger::TriggerResult::NONE)
}
