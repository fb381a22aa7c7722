//! The type of an embedding column: castmatch's own, or pgvector's where the extension castmatch_pgvector makes it one of castmatch's too.
//!
//! A type is known by its operator classes: one whose support function says "cosine distance" can hold embeddings and be indexed. Whatever it
//! is, values are read, compared and written as castmatch's own type of the same elements, which costs nothing: both are stored alike, and an
//! index serves castmatch's operator on either. So a search gives the same numbers over pgvector's columns.

use crate::error::{Result, error};
use crate::matching::target::{Column, Target};
use crate::pg::array;
use crate::pg::catalog::extension_types;
use crate::pg::spi::{Rows, Session};
use crate::pg::value::Value;
use crate::pg::vector::{self, vector_datum_of};
use castmatch_engine::index::ElementKind;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// A type that embeddings can have.
#[derive(Clone, Debug)]
pub struct VectorType {
    /// Schema and name, quoted, without dimensions.
    pub name: String,
    element: ElementKind,
    /// Whether it is castmatch's own.
    is_own: bool,
    /// castmatch's own type of these elements, and its arrays.
    own: pg_sys::Oid,
    own_array: pg_sys::Oid,
    /// Its schema and name, quoted.
    own_name: String,
    /// The operator of the cosine distance of castmatch's own type, for use between an [`Self::operand`] and a [`Self::value`].
    pub cosine: String,
    /// Access methods with their operator classes for that distance, quoted.
    classes: Vec<(String, String)>,
}

const SQL: &str = "
    SELECT pg_catalog.format('%I.%I', tn.nspname, t.typname), f.proname OPERATOR(pg_catalog.=) 'index_halfvec_cosine',
           m.amname::text, pg_catalog.format('%I.%I', cn.nspname, c.opcname)
    FROM pg_catalog.pg_opclass c
    JOIN pg_catalog.pg_namespace cn ON cn.oid OPERATOR(pg_catalog.=) c.opcnamespace
    JOIN pg_catalog.pg_am m ON m.oid OPERATOR(pg_catalog.=) c.opcmethod
    JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) c.opcintype
    JOIN pg_catalog.pg_namespace tn ON tn.oid OPERATOR(pg_catalog.=) t.typnamespace
    JOIN pg_catalog.pg_amproc s ON s.amprocfamily OPERATOR(pg_catalog.=) c.opcfamily AND s.amprocnum OPERATOR(pg_catalog.=) 1
        AND s.amproclefttype OPERATOR(pg_catalog.=) t.oid AND s.amprocrighttype OPERATOR(pg_catalog.=) t.oid
    JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) s.amproc::pg_catalog.oid
    JOIN pg_catalog.pg_namespace fn ON fn.oid OPERATOR(pg_catalog.=) f.pronamespace
    WHERE t.oid OPERATOR(pg_catalog.=) $1 AND fn.nspname OPERATOR(pg_catalog.=) 'castmatch'
      AND (f.proname OPERATOR(pg_catalog.=) 'index_vector_cosine' OR f.proname OPERATOR(pg_catalog.=) 'index_halfvec_cosine')
    ORDER BY c.oid";

impl VectorType {
    /// The type, if it is one that embeddings can have.
    ///
    /// # Errors
    /// As the statement raises them.
    pub fn look_up(session: &Session, oid: pg_sys::Oid) -> Result<Option<Self>> {
        let rows = session.run(SQL, &[Value::oid(oid)])?;
        if rows.is_empty() {
            return Ok(None);
        }
        let types = extension_types()?;
        let (element, own, own_array, own_name) = if rows.require(0, 2)? {
            (
                ElementKind::Halfvec,
                types.halfvec,
                types.halfvec_array,
                "halfvec",
            )
        } else {
            (ElementKind::Vector, types.vector, types.vector_array, "vector")
        };
        let classes = (0..rows.len()).map(|row| Ok((rows.require(row, 3)?, rows.require(row, 4)?)));
        Ok(Some(Self {
            name: rows.require(0, 1)?,
            element,
            is_own: oid == own,
            own,
            own_array,
            own_name: format!("{}.{own_name}", types.schema),
            cosine: format!("OPERATOR({}.<=>)", types.schema),
            classes: classes.collect::<Result<_>>()?,
        }))
    }

    /// The type of a column.
    ///
    /// # Errors
    /// 42804 if it is not one that embeddings can have.
    pub fn of_column(session: &Session, column: &Column) -> Result<Self> {
        match Self::look_up(session, column.type_oid)? {
            Some(found) => Ok(found),
            None => Err(wrong_type(session, column)?),
        }
    }

    /// The type of a column of that name, if it can hold embeddings. A table whose column has lost its operator classes can be written to all the
    /// same: whoever needs the type says [`Self::missing`].
    ///
    /// # Errors
    /// As the statement raises them.
    pub fn find(session: &Session, table: &Target, column: &str) -> Result<Option<Self>> {
        match table.column(column) {
            Some(column) => Self::look_up(session, column.type_oid),
            None => Ok(None),
        }
    }

    /// The error for an embedding column that castmatch cannot work on now.
    pub fn missing(column: &str) -> pg_sys::panic::ErrorReport {
        error(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            format!("column \"{column}\" is not of a type that castmatch can search"),
        )
        .set_detail("Such a type has castmatch's operator class for the cosine distance.")
        .set_hint("Columns of pgvector's types need the extension castmatch_pgvector: CREATE EXTENSION castmatch_pgvector;")
    }

    /// Its operator class for the cosine distance in an index of that method.
    ///
    /// # Errors
    /// 42704 if the method has none.
    pub fn class(&self, method: &str) -> Result<&str> {
        let found = self.classes.iter().find(|(known, _)| known == method);
        found.map(|(_, class)| class.as_str()).ok_or_else(|| {
            error(
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!(
                    "index method \"{method}\" has no operator class for the cosine distance of type {}",
                    self.name
                ),
            )
        })
    }

    /// The value of a column of this type as castmatch's own, to be read by [`Self::cell`].
    pub fn expression(&self, column: &str) -> String {
        format!("{column}::{}", self.own_name)
    }

    /// A column of this type as an operand of [`Self::cosine`].
    pub fn operand(&self, column: &str) -> String {
        if self.is_own {
            column.to_owned()
        } else {
            self.expression(column)
        }
    }

    /// A vector as a parameter of castmatch's own type.
    ///
    /// # Errors
    /// 22003 for an element that the type cannot hold, 22000 without any dimension, 54000 with too many.
    pub fn value(&self, elements: &[f32]) -> Result<Value> {
        Ok(Value::datum(self.own, Some(self.datum(elements)?)))
    }

    /// Vectors, some of them NULL, as a parameter of an array of that type.
    ///
    /// # Errors
    /// As for [`Self::value`].
    pub fn array_value<'a>(&self, vectors: impl Iterator<Item = Option<&'a [f32]>>) -> Result<Value> {
        let datums = vectors
            .map(|vector| vector.map(|elements| self.datum(elements)).transpose())
            .collect::<Result<Vec<_>>>()?;
        Ok(Value::datum(
            self.own_array,
            Some(array::build(self.own, &datums)?),
        ))
    }

    /// A vector as a datum of that type, hence of a column's.
    ///
    /// # Errors
    /// As for [`Self::value`].
    pub fn datum(&self, elements: &[f32]) -> Result<pg_sys::Datum> {
        vector_datum_of(self.element, elements)
    }

    /// A cell of that type, none for NULL.
    ///
    /// # Errors
    /// XX000 if there is no such cell or it is of another type, XX001 if its bytes are not a vector.
    pub fn cell(&self, rows: &Rows, row: usize, column: usize) -> Result<Option<Vec<f32>>> {
        vector::cell(rows, row, column, (self.own, self.element))
    }
}

/// The error for a column that cannot hold embeddings.
fn wrong_type(session: &Session, column: &Column) -> Result<pg_sys::panic::ErrorReport> {
    let report = error(
        PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
        format!(
            "column \"{}\" has type {}, not vector or halfvec",
            column.name, column.type_name
        ),
    );
    let is_pgvectors = session.run(
        "SELECT 1 FROM pg_catalog.pg_depend d
         JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
         JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) d.objid
         WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) $1
           AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
           AND e.extname OPERATOR(pg_catalog.=) 'vector' AND (t.typname OPERATOR(pg_catalog.=) 'vector' OR t.typname OPERATOR(pg_catalog.=) 'halfvec')",
        &[Value::oid(column.type_oid)],
    )?;
    Ok(if is_pgvectors.is_empty() {
        report
    } else {
        report
            .set_detail("The type is pgvector's.")
            .set_hint("castmatch works on it with the extension castmatch_pgvector: CREATE EXTENSION castmatch_pgvector;")
    })
}
