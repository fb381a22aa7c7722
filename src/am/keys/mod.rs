//! Filter columns: the key columns of an index after its vector, by which a scan skips rows before it looks at their vectors.
//!
//! The index holds eight bytes of each (`castmatch_engine::index::key`). This module says which types there are, encodes the values of
//! rows and turns the conditions of a scan into the engine's. Nothing in it is of one access method.

mod condition;
mod value;

use condition::strategy;
pub use condition::{Conditions, read_conditions};

use crate::error::{Result, error, internal, unsupported};
use crate::pg::index::{self, Columns};
use crate::pg::relation::Relation;
use crate::pg::scalar;
use castmatch_engine::index::key::{KeyKind, KeyKinds, MAX_KEYS, RowKeys};
use core::ops::RangeInclusive;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// The first key column; the vector stands before it.
const FIRST: usize = 1;

/// The type of a filter column, as its operator class names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// boolean
    Bool,
    /// smallint
    Int2,
    /// integer
    Int4,
    /// bigint
    Int8,
    /// real
    Float4,
    /// double precision
    Float8,
    /// numeric
    Numeric,
    /// date
    Date,
    /// timestamp without time zone
    Timestamp,
    /// timestamp with time zone
    Timestamptz,
    /// oid
    Oid,
    /// uuid
    Uuid,
    /// any enum
    Enum,
    /// text and varchar
    Text,
    /// character
    Bpchar,
    /// smallint[]
    Int2Array,
    /// integer[]
    Int4Array,
    /// bigint[]
    Int8Array,
    /// text[]
    TextArray,
}

/// Numbers of support functions below this belong to classes of vectors.
const FIRST_NUMBER: i32 = 1000;

impl KeyType {
    const ALL: [Self; 19] = [
        Self::Bool,
        Self::Int2,
        Self::Int4,
        Self::Int8,
        Self::Float4,
        Self::Float8,
        Self::Numeric,
        Self::Date,
        Self::Timestamp,
        Self::Timestamptz,
        Self::Oid,
        Self::Uuid,
        Self::Enum,
        Self::Text,
        Self::Bpchar,
        Self::Int2Array,
        Self::Int4Array,
        Self::Int8Array,
        Self::TextArray,
    ];

    const fn to_number(self) -> i32 {
        FIRST_NUMBER + self as i32
    }

    /// The type whose operator class has a support function with this result.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.to_number() == number)
    }

    /// How a value becomes eight bytes.
    pub fn kind(self) -> KeyKind {
        match self {
            Self::Bool
            | Self::Int2
            | Self::Int4
            | Self::Int8
            | Self::Float4
            | Self::Float8
            | Self::Date
            | Self::Timestamp
            | Self::Timestamptz
            | Self::Oid => KeyKind::Ordered,
            Self::Numeric | Self::Uuid => KeyKind::Rounded,
            // An enum's labels do not order as their numbers do, so that only equality can be asked for; that they are no
            // hashes makes it exact.
            Self::Enum | Self::Text | Self::Bpchar => KeyKind::Hashed,
            Self::Int2Array | Self::Int4Array | Self::Int8Array | Self::TextArray => KeyKind::Signature,
        }
    }

    /// Whether a key stands for one value, so that a test of keys is one of values.
    fn is_one_to_one(self) -> bool {
        self.kind() == KeyKind::Ordered || self == Self::Enum
    }

    /// How well the index tests conditions on it.
    fn tested(self) -> &'static str {
        match self.kind() {
            _ if self.is_one_to_one() => "exactly",
            KeyKind::Ordered | KeyKind::Rounded => "rounded",
            KeyKind::Hashed => "by hash",
            KeyKind::Signature => "by signature",
        }
    }

    /// The operators that the class may have, by their strategy numbers.
    pub fn strategies(self) -> RangeInclusive<u16> {
        match self.kind() {
            KeyKind::Ordered | KeyKind::Rounded => strategy::LESS..=strategy::GREATER,
            KeyKind::Hashed => strategy::EQUAL..=strategy::EQUAL,
            KeyKind::Signature => strategy::OVERLAPS..=strategy::CONTAINS,
        }
    }

    /// The type of a value, for an array that of its elements.
    fn scalar_type(self) -> pg_sys::Oid {
        match self {
            Self::Bool => pg_sys::BOOLOID,
            Self::Int2 | Self::Int2Array => pg_sys::INT2OID,
            Self::Int4 | Self::Int4Array => pg_sys::INT4OID,
            Self::Int8 | Self::Int8Array => pg_sys::INT8OID,
            Self::Float4 => pg_sys::FLOAT4OID,
            Self::Float8 => pg_sys::FLOAT8OID,
            Self::Numeric => pg_sys::NUMERICOID,
            Self::Date => pg_sys::DATEOID,
            Self::Timestamp => pg_sys::TIMESTAMPOID,
            Self::Timestamptz => pg_sys::TIMESTAMPTZOID,
            Self::Oid => pg_sys::OIDOID,
            Self::Uuid => pg_sys::UUIDOID,
            Self::Enum => pg_sys::ANYENUMOID,
            Self::Text | Self::TextArray => pg_sys::TEXTOID,
            Self::Bpchar => pg_sys::BPCHAROID,
        }
    }

    /// Whether values are compared by their bytes, which only some collations allow.
    fn compares_bytes(self) -> bool {
        matches!(self, Self::Text | Self::Bpchar | Self::TextArray)
    }
}

/// The filter columns of an index, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    types: Vec<KeyType>,
}

impl Keys {
    /// Reads the catalogs' description of an index. `method` is the name of its access method.
    ///
    /// # Errors
    /// 54000 for too many columns, 0A000 for columns that cannot be filtered by.
    pub fn of(index: Relation, method: &str) -> Result<Self> {
        let columns = index.key_columns();
        if columns < index.columns() {
            return Err(unsupported(format!(
                "access method \"{method}\" does not support included columns"
            ))
            .set_detail(
                "An index-only scan cannot return them: the index does not hold the values of its columns.",
            )
            .set_hint(format!(
                "Make the columns to filter by key columns: USING {method} (vector, column, …)."
            )));
        }
        if columns > MAX_KEYS + FIRST {
            return Err(error(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "index \"{}\" has {} filter columns, a {method} index can have at most {MAX_KEYS}",
                    index.name(),
                    columns - FIRST
                ),
            )
            .set_hint("Leave out the columns that drop the fewest rows."));
        }
        let types = (FIRST..columns)
            .map(|column| {
                index::support_number(index, column)
                    .and_then(KeyType::from_number)
                    .ok_or_else(|| not_a_filter(index, column, method))
            })
            .collect::<Result<_>>()?;
        Ok(Self { types })
    }

    /// Refuses what an index cannot be built with.
    ///
    /// # Errors
    /// 0A000 for a column whose equality is not that of its bytes.
    pub fn check(&self, index: Relation, method: &str) -> Result<()> {
        for (column, key_type) in (FIRST..).zip(&self.types) {
            if key_type.compares_bytes() && !scalar::equal_means_same_bytes(index::collation(index, column)) {
                return Err(unsupported(format!(
                    "access method \"{method}\" does not support nondeterministic collations for column \"{}\"",
                    index.column_name(column)
                ))
                .set_detail("The index compares strings by a hash of their bytes.")
                .set_hint("Name a deterministic collation in the index, as in (column COLLATE \"C\"), and in the condition."));
            }
        }
        Ok(())
    }

    /// The types.
    pub fn types(&self) -> &[KeyType] {
        &self.types
    }

    /// Name, type and kind of each column, for people to read.
    pub fn describe(&self, index: Relation) -> Vec<serde_json::Value> {
        let columns = self.types.iter().enumerate();
        columns
            .map(|(number, key_type)| {
                serde_json::json!({
                    "name": index.column_name(number + FIRST),
                    "tested": key_type.tested(),
                })
            })
            .collect()
    }

    /// How values became bytes, as the meta page says it.
    pub fn kinds(&self) -> KeyKinds {
        let kinds: Vec<_> = self.types.iter().map(|key_type| key_type.kind()).collect();
        // `of` refuses more than there can be.
        KeyKinds::new(&kinds).unwrap_or_default()
    }

    /// The keys of a row. What detoasting allocates is in the current memory context.
    ///
    /// # Errors
    /// XX000 for a value that is none of its column's type.
    pub fn encode(&self, row: Columns<'_>) -> Result<RowKeys> {
        let mut keys = RowKeys::new(self.types.len());
        for (number, &key_type) in self.types.iter().enumerate() {
            let key = match row.get(number + FIRST) {
                None => None,
                Some(datum) => Some(value::key_of(key_type, datum).ok_or_else(|| wrong_type(key_type))?),
            };
            keys.set(number, key);
        }
        Ok(keys)
    }

    /// Whether a value of the row is in the TOAST table.
    pub fn any_stored_outside(&self, row: Columns<'_>) -> bool {
        let mut outside = self.types.iter().enumerate().map(|(number, &key_type)| {
            row.get(number + FIRST)
                .is_some_and(|datum| value::is_stored_outside(key_type, datum))
        });
        outside.any(|outside| outside)
    }
}

fn not_a_filter(index: Relation, column: usize, method: &str) -> pgrx::pg_sys::panic::ErrorReport {
    unsupported(format!(
        "column \"{}\" of index \"{}\" cannot be filtered by: a {method} index has one vector, its first column",
        index.column_name(column),
        index.name()
    ))
    .set_hint("Create an index for each vector.")
}

fn wrong_type(key_type: KeyType) -> pgrx::pg_sys::panic::ErrorReport {
    internal(format!("value is not of the type of a {key_type:?} column"))
}

macro_rules! support_functions {
    ($($name:ident: $key_type:ident;)*) => {
        $(
            #[pg_extern(sql = false)]
            fn $name() -> i32 {
                KeyType::$key_type.to_number()
            }
        )*
    };
}

support_functions! {
    index_key_bool: Bool;
    index_key_int2: Int2;
    index_key_int4: Int4;
    index_key_int8: Int8;
    index_key_float4: Float4;
    index_key_float8: Float8;
    index_key_numeric: Numeric;
    index_key_date: Date;
    index_key_timestamp: Timestamp;
    index_key_timestamptz: Timestamptz;
    index_key_oid: Oid;
    index_key_uuid: Uuid;
    index_key_enum: Enum;
    index_key_text: Text;
    index_key_bpchar: Bpchar;
    index_key_int2_array: Int2Array;
    index_key_int4_array: Int4Array;
    index_key_int8_array: Int8Array;
    index_key_text_array: TextArray;
}
