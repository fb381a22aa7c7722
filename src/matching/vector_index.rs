//! The vector index of an attached table: which one it has, and when it gets one.
//!
//! An index that rows are inserted into one by one costs more than one that is built over rows that are there. So a table with many
//! rows to embed gets its index when they have their vectors, from the index worker; any other table gets it at once.

use crate::error::{Result, error};
use crate::matching::attachment::relation_name;
use crate::matching::target::Target;
use crate::matching::vector_type::VectorType;
use crate::pg::catalog;
use crate::pg::spi::{Session, quote_identifier};
use crate::pg::value::Value;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// The inverted file.
const IVF: &str = "castmatch_ivf";
/// Access methods that a vector index of an attached table can have.
pub const METHODS: [&str; 2] = ["castmatch_hnsw", IVF];
/// Most dimensions of a vector in an index of [`IVF`]; the other method takes as many as the type has.
const IVF_DIMENSIONS: usize = 4_000;
/// A table with fewer rows to embed gets its index at once.
pub const BACKLOG: i64 = 1_000;
/// Part of the name of every index that castmatch makes.
const NAME_MARK: &str = "_castmatch_";
/// Longest part of a table's name in the name of an index of it (names have 63 bytes).
const NAME_STEM_BYTES: usize = 40;

/// What an index is made of.
pub struct Definition<'a> {
    /// The table.
    pub target: &'a Target,
    /// Embedding column, not quoted.
    pub embedding: &'a str,
    /// Columns to become filter columns, not quoted.
    pub filters: &'a [String],
    /// Access method.
    pub method: &'a str,
}

/// The access method of that name.
///
/// # Errors
/// 22023 for a name that is none of [`METHODS`], 0A000 for one that the extension in this database is too old to have.
pub fn check_method(name: &str) -> Result<pg_sys::Oid> {
    if !METHODS.contains(&name) {
        return Err(
            crate::error::invalid_argument(format!("unknown index method \"{name}\""))
                .set_hint(format!("Index methods are {}.", METHODS.join(" and "))),
        );
    }
    catalog::access_method(name).ok_or_else(|| {
        crate::error::unsupported(format!(
            "index method \"{name}\" is not available in this version"
        ))
        .set_hint("Update the extension: ALTER EXTENSION castmatch UPDATE;")
    })
}

/// Refuses vectors that no index of the method holds, before rows are embedded for it.
///
/// # Errors
/// 54000 with both numbers.
pub fn check_dimensions(method: &str, dimensions: usize) -> Result<()> {
    if method == IVF && dimensions > IVF_DIMENSIONS {
        return Err(error(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!(
                "the model has {dimensions} dimensions, and an index of {IVF} takes at most {IVF_DIMENSIONS}"
            ),
        )
        .set_hint("Attach the table with index_method => 'castmatch_hnsw'."));
    }
    Ok(())
}

impl Definition<'_> {
    /// Whether the table has an index of the embedding that searches can use, whoever made it.
    ///
    /// # Errors
    /// As the statement raises them.
    pub fn exists(&self, session: &Session) -> Result<bool> {
        Ok(self.name(session)?.is_some())
    }

    /// The name of that index.
    ///
    /// # Errors
    /// As the statement raises them.
    pub fn name(&self, session: &Session) -> Result<Option<String>> {
        Ok(self.names(session, true)?.into_iter().next())
    }

    fn names(&self, session: &Session, valid: bool) -> Result<Vec<String>> {
        session
            .run(
                "SELECT c.relname::text
                 FROM pg_catalog.pg_index i
                 JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid
                 JOIN pg_catalog.pg_am m ON m.oid OPERATOR(pg_catalog.=) c.relam
                 JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid
                    AND a.attnum OPERATOR(pg_catalog.=) i.indkey[0]
                 WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisvalid OPERATOR(pg_catalog.=) $4 AND i.indpred IS NULL
                   AND a.attname OPERATOR(pg_catalog.=) $2::pg_catalog.name AND m.amname::text OPERATOR(pg_catalog.=) ANY ($3)
                 ORDER BY c.oid",
                &[
                    Value::oid(self.target.oid),
                    Value::of(self.embedding),
                    Value::of(METHODS.map(str::to_owned).to_vec()),
                    Value::of(valid),
                ],
            )?
            .column_values(1)
    }

    /// Removes indexes of castmatch's whose build came to nothing.
    ///
    /// # Errors
    /// As the statements raise them.
    pub fn drop_invalid(&self, session: &Session) -> Result<()> {
        let names = self.names(session, false)?;
        for index in names.iter().filter(|name| name.contains(NAME_MARK)) {
            session.run_utility(&format!(
                "DROP INDEX {}.{}",
                self.target.schema_name,
                quote_identifier(index)
            ))?;
        }
        Ok(())
    }

    /// The statement that builds the index under that name; `CONCURRENTLY` if writers must not wait.
    ///
    /// # Errors
    /// 42804 if the column is not of a type that embeddings can have.
    pub fn statement(&self, session: &Session, name: &str, concurrently: bool) -> Result<String> {
        let column = self.target.require_column(self.embedding)?;
        let vectors = VectorType::of_column(session, column)?;
        let filters: String = self
            .filters
            .iter()
            .map(|column| format!(", {}", quote_identifier(column)))
            .collect();
        Ok(format!(
            "CREATE INDEX {concurrently}{} ON {} USING {} ({} {}{filters})",
            quote_identifier(name),
            self.target.name,
            self.method,
            quote_identifier(self.embedding),
            vectors.class(self.method)?,
            concurrently = if concurrently { "CONCURRENTLY " } else { "" },
        ))
    }

    /// Refuses filter columns whose type an index of this method cannot hold.
    ///
    /// # Errors
    /// 42704 with the column and its type.
    pub fn check_filters(&self, method: pg_sys::Oid) -> Result<()> {
        for name in self.filters {
            let column = self.target.require_column(name)?;
            if !catalog::has_default_class(column.type_oid, method) {
                return Err(error(
                    PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                    format!(
                        "column \"{name}\" of type {} cannot be a filter column of a {} index",
                        column.type_name, self.method
                    ),
                )
                .set_hint("Leave it out of filters: castmatch.match can filter by any column, only not inside the index."));
            }
        }
        Ok(())
    }
}

/// Whether no relation of the table's schema has that name.
///
/// # Errors
/// As the statement raises them.
pub fn is_free(session: &Session, target: &Target, name: &str) -> Result<bool> {
    let taken = session.run(
        "SELECT 1 FROM pg_catalog.pg_class WHERE relname OPERATOR(pg_catalog.=) $1::pg_catalog.name
            AND relnamespace OPERATOR(pg_catalog.=) $2",
        &[Value::of(name), Value::oid(target.schema)],
    )?;
    Ok(taken.is_empty())
}

/// A name that no relation of the table's schema has: the table's, and what the index is for.
///
/// # Errors
/// XX000 if there are too many of the kind.
pub fn free_name(session: &Session, target: &Target, suffix: &str) -> Result<String> {
    let stem = target
        .bare_name
        .get(..target.bare_name.floor_char_boundary(NAME_STEM_BYTES));
    let base = format!("{}{NAME_MARK}{suffix}", stem.unwrap_or_default());
    for number in 0..1000 {
        let name = if number == 0 {
            base.clone()
        } else {
            format!("{base}{number}")
        };
        if is_free(session, target, &name)? {
            return Ok(name);
        }
    }
    Err(crate::error::internal(format!(
        "no free name like \"{base}\" for an index of {}",
        relation_name(target.oid)
    )))
}
