//! A table that is to be attached or searched: what the catalogs say about it and its columns.

use crate::error::{Result, error, internal, invalid_argument, unsupported};
use crate::matching::attachment::relation_name;
use crate::pg::catalog;
use crate::pg::role::may_select_some;
use crate::pg::spi::{Session, quote_identifier};
use crate::pg::value::Value;
use castmatch_engine::filter;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Name, not quoted.
    pub name: String,
    /// Type, or the base type of a domain.
    pub type_oid: pg_sys::Oid,
    /// Type as `format_type` shows it.
    pub type_name: String,
    /// Type modifier, -1 for none.
    pub typmod: i32,
    /// Number in the table.
    pub number: i16,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// Whether the server computes it from other columns.
    pub generated: bool,
    array_type: pg_sys::Oid,
    element_type: pg_sys::Oid,
    element_type_name: String,
    category: char,
}

/// A table and its columns.
#[derive(Clone, Debug)]
pub struct Target {
    /// The table.
    pub oid: pg_sys::Oid,
    /// Schema and name, quoted.
    pub name: String,
    /// Name without the schema, not quoted.
    pub bare_name: String,
    /// Schema.
    pub schema: pg_sys::Oid,
    /// Name of the schema, quoted.
    pub schema_name: String,
    /// Whether its rows are in partitions.
    pub is_partitioned: bool,
    /// Whether it is a partition.
    pub is_partition: bool,
    columns: Vec<Column>,
}

const TABLE_SQL: &str = "
    SELECT n.nspname::text, c.relname::text, n.oid, c.relkind::text, c.relpersistence::text,
           n.nspname OPERATOR(pg_catalog.=) 'pg_catalog' OR n.nspname OPERATOR(pg_catalog.=) 'information_schema'
               OR n.nspname OPERATOR(pg_catalog.=) 'castmatch',
           c.relispartition
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.oid OPERATOR(pg_catalog.=) $1";

const COLUMNS_SQL: &str = "
    SELECT a.attname::text, a.atttypid, a.atttypmod, a.attnum, a.attnotnull,
           a.attgenerated::text OPERATOR(pg_catalog.<>) ''
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
    ORDER BY a.attnum";

const TYPES_SQL: &str = "
    SELECT pg_catalog.format_type(b.oid, NULL), b.typarray,
           CASE WHEN e.oid IS NULL THEN 0::pg_catalog.oid ELSE e.oid END, COALESCE(pg_catalog.format_type(e.oid, NULL), ''),
           b.typcategory::text
    FROM pg_catalog.unnest($1) WITH ORDINALITY AS c (type, place)
    JOIN pg_catalog.pg_type b ON b.oid OPERATOR(pg_catalog.=) c.type
    LEFT JOIN pg_catalog.pg_type e ON e.oid OPERATOR(pg_catalog.=) b.typelem
        AND b.typcategory OPERATOR(pg_catalog.=) 'A' AND b.typlen OPERATOR(pg_catalog.=) -1
    ORDER BY c.place";

impl Target {
    /// A table that can be attached.
    ///
    /// # Errors
    /// 42P01 if there is no such relation, 42809 if it is not a table, 0A000 for kinds of tables that cannot be attached.
    pub fn load(session: &Session, table: pg_sys::Oid) -> Result<Self> {
        let rows = session.run(TABLE_SQL, &[Value::oid(table)])?;
        if rows.is_empty() {
            return Err(error(
                PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                format!("relation with OID {} does not exist", table.to_u32()),
            ));
        }
        check_kind(
            table,
            &rows.require::<String>(0, 4)?,
            &rows.require::<String>(0, 5)?,
            rows.require(0, 6)?,
        )?;
        let (schema, name): (String, String) = (rows.require(0, 1)?, rows.require(0, 2)?);
        Ok(Self {
            oid: table,
            name: format!("{}.{}", quote_identifier(&schema), quote_identifier(&name)),
            schema_name: quote_identifier(&schema),
            bare_name: name,
            schema: rows.require(0, 3)?,
            is_partitioned: rows.require::<String>(0, 4)? == "p",
            is_partition: rows.require(0, 7)?,
            columns: columns(session, table)?,
        })
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The column of that name.
    ///
    /// # Errors
    /// 42703 with the names there are.
    pub fn require_column(&self, name: &str) -> Result<&Column> {
        self.column(name).ok_or_else(|| {
            let existing: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
            error(
                PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                format!(
                    "column \"{name}\" of table {} does not exist",
                    relation_name(self.oid)
                ),
            )
            .set_hint(format!("Columns are {}.", existing.join(", ")))
        })
    }

    /// A column that holds text.
    ///
    /// # Errors
    /// 42703 if there is none, 42804 if its type is not a string type.
    pub fn require_text_column(&self, name: &str) -> Result<()> {
        let column = self.require_column(name)?;
        let is_text = [pg_sys::TEXTOID, pg_sys::VARCHAROID, pg_sys::BPCHAROID].contains(&column.type_oid);
        if is_text {
            return Ok(());
        }
        Err(error(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            format!("column \"{name}\" has type {}, not text", column.type_name),
        )
        .set_hint("Content columns have type text, character varying or character."))
    }

    /// The columns that name a row: the given ones, or the primary key.
    ///
    /// # Errors
    /// 42P16 without a key, 42703 for an unknown column, 42P10 for columns that are not unique together or may be NULL, 22023 for none.
    pub fn key_columns(&self, session: &Session, wanted: Option<Vec<String>>) -> Result<Vec<String>> {
        let Some(wanted) = wanted else {
            return self.primary_key(session);
        };
        if wanted.is_empty() {
            return Err(invalid_argument("key must name a column"));
        }
        let mut numbers = Vec::new();
        let mut may_be_null = false;
        for name in &wanted {
            let column = self.require_column(name)?;
            may_be_null |= !column.not_null;
            if numbers.contains(&column.number) {
                return Err(invalid_argument(format!(
                    "column \"{name}\" is named twice in key"
                )));
            }
            numbers.push(column.number);
        }
        let unique = session.run(
            "SELECT 1 FROM pg_catalog.pg_index i
             WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisunique AND i.indimmediate AND i.indisvalid
               AND i.indpred IS NULL AND i.indnkeyatts OPERATOR(pg_catalog.=) pg_catalog.cardinality($2)
               AND $2 OPERATOR(pg_catalog.@>) (i.indkey::pg_catalog.int2[])[0:i.indnkeyatts OPERATOR(pg_catalog.-) 1]",
            &[Value::oid(self.oid), Value::of(numbers)],
        )?;
        if !unique.is_empty() && !may_be_null {
            return Ok(wanted);
        }
        let table = relation_name(self.oid);
        let (what, hint) = match wanted.as_slice() {
            [only] => (
                format!("column \"{only}\" cannot be the key of table {table}"),
                "A key column is NOT NULL and has a unique index of its own.",
            ),
            _ => (
                format!("columns {} cannot be the key of table {table}", wanted.join(", ")),
                "The columns of a key are NOT NULL and have a unique index that holds them and no others.",
            ),
        };
        Err(error(PgSqlErrorCode::ERRCODE_INVALID_COLUMN_REFERENCE, what).set_hint(hint))
    }

    fn primary_key(&self, session: &Session) -> Result<Vec<String>> {
        let rows = session.run(
            "SELECT a.attname::text FROM pg_catalog.pg_index i
             CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (number, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid
                AND a.attnum OPERATOR(pg_catalog.=) k.number
             WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisprimary AND k.place OPERATOR(pg_catalog.<=) i.indnkeyatts
             ORDER BY k.place",
            &[Value::oid(self.oid)],
        )?;
        let names: Vec<String> = rows.column_values(1)?;
        if names.is_empty() {
            return Err(error(
                PgSqlErrorCode::ERRCODE_INVALID_TABLE_DEFINITION,
                format!("table {} has no primary key", relation_name(self.oid)),
            )
            .set_hint("Add a primary key, or name unique NOT NULL columns with key => '{column}'."));
        }
        Ok(names)
    }

    /// The columns as the filter compiler wants them.
    pub fn filter_columns(&self) -> Vec<filter::Column> {
        self.columns
            .iter()
            .map(|column| filter::Column {
                name: column.name.clone(),
                type_oid: column.type_oid.to_u32(),
                type_name: column.type_name.clone(),
                array_type_oid: column.array_type.to_u32(),
                element_type_oid: column.element_type.to_u32(),
                element_type_name: column.element_type_name.clone(),
                category: filter::TypeCategory::from_typcategory(column.category),
            })
            .collect()
    }
}

fn check_kind(table: pg_sys::Oid, kind: &str, persistence: &str, is_system: bool) -> Result<()> {
    let name = relation_name(table);
    let wrong = |what: &str| {
        error(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("{name} is {what}, not a table"),
        )
        .set_hint("Attach the table that holds the rows.")
    };
    match kind {
        "r" | "p" if is_system => Err(unsupported(format!(
            "{name} is a system table and cannot be attached"
        ))),
        "r" | "p" if persistence == "t" => Err(unsupported(format!(
            "{name} is a temporary table and cannot be attached"
        ))
        .set_detail(
            "The background worker that embeds rows does not see temporary tables of other sessions.",
        )),
        "r" | "p" => Ok(()),
        "v" => Err(wrong("a view")),
        "m" => Err(wrong("a materialized view")),
        "f" => Err(wrong("a foreign table")),
        "S" => Err(wrong("a sequence")),
        "i" | "I" => Err(wrong("an index")),
        _ => Err(wrong("another kind of relation")),
    }
}

/// The columns of a table; a domain is reported as its base type, whose operators apply to it.
fn columns(session: &Session, table: pg_sys::Oid) -> Result<Vec<Column>> {
    let rows = session.run(COLUMNS_SQL, &[Value::oid(table)])?;
    let base_types = rows
        .column_values::<pg_sys::Oid>(2)?
        .into_iter()
        .map(catalog::base_type)
        .collect::<Vec<_>>();
    let types = session.run(TYPES_SQL, &[Value::of(base_types.clone())])?;
    if types.len() != rows.len() {
        return Err(internal(format!(
            "{} columns have {} types",
            rows.len(),
            types.len()
        )));
    }
    base_types
        .into_iter()
        .enumerate()
        .map(|(row, type_oid)| {
            Ok(Column {
                name: rows.require(row, 1)?,
                type_oid,
                type_name: types.require(row, 1)?,
                typmod: rows.require(row, 3)?,
                number: rows.require(row, 4)?,
                not_null: rows.require(row, 5)?,
                generated: rows.require(row, 6)?,
                array_type: types.require(row, 2)?,
                element_type: types.require(row, 3)?,
                element_type_name: types.require(row, 4)?,
                category: types.require::<String>(row, 5)?.chars().next().unwrap_or('X'),
            })
        })
        .collect()
}

/// Refuses callers that may not read the table, before anything is computed or waited for on their behalf.
///
/// # Errors
/// 42501.
pub fn require_select(table: pg_sys::Oid) -> Result<()> {
    if may_select_some(table) {
        return Ok(());
    }
    let name = catalog::relation_name(table).unwrap_or_default();
    Err(error(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("permission denied for table {name}"),
    ))
}
