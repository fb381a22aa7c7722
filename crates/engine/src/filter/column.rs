//! What the filter needs to know of a table's columns, as the glue reads it from `pg_attribute` and `pg_type`.

/// Object identifiers of built-in types that the filter treats specially (`pg_type.dat`, fixed for all versions).
pub(super) mod oid {
    pub const BOOL: u32 = 16;
    pub const INT8: u32 = 20;
    pub const INT2: u32 = 21;
    pub const INT4: u32 = 23;
    pub const TEXT: u32 = 25;
    pub const JSON: u32 = 114;
    pub const FLOAT4: u32 = 700;
    pub const FLOAT8: u32 = 701;
    pub const NUMERIC: u32 = 1700;
    pub const TEXT_ARRAY: u32 = 1009;
    pub const INT8_ARRAY: u32 = 1016;
    pub const NUMERIC_ARRAY: u32 = 1231;
    pub const JSONB: u32 = 3802;
    pub const JSONB_ARRAY: u32 = 3807;
    /// The first identifier of objects that are not part of PostgreSQL itself (`FirstNormalObjectId`).
    pub const FIRST_USER: u32 = 16384;
}

/// The kind of a type, from `pg_type.typcategory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TypeCategory {
    /// `A`: arrays.
    Array,
    /// `B`: boolean.
    Boolean,
    /// `D`: date, time and timestamp types.
    DateTime,
    /// `E`: enumerated types.
    Enum,
    /// `I`: inet and cidr.
    Network,
    /// `N`: numbers, and the reg* types.
    Number,
    /// `R`: ranges and multiranges.
    Range,
    /// `S`: text types.
    Text,
    /// `T`: interval.
    Interval,
    /// Everything else: uuid, bytea, json, composite, geometric, extension types.
    Other,
}

impl TypeCategory {
    /// The category for a `pg_type.typcategory` character. Unknown characters give [`TypeCategory::Other`].
    pub fn from_typcategory(typcategory: char) -> Self {
        match typcategory {
            'A' => Self::Array,
            'B' => Self::Boolean,
            'D' => Self::DateTime,
            'E' => Self::Enum,
            'I' => Self::Network,
            'N' => Self::Number,
            'R' => Self::Range,
            'S' => Self::Text,
            'T' => Self::Interval,
            _ => Self::Other,
        }
    }
}

/// A column of the target table.
///
/// For a column whose type is a domain, give the base type: comparisons work on it, and its operators are those of
/// `pg_catalog` where the domain's own identifier would say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name as stored in `pg_attribute`, unquoted.
    pub name: String,
    /// `pg_type.oid`.
    pub type_oid: u32,
    /// The type as `format_type` shows it, for messages.
    pub type_name: String,
    /// `pg_type.typarray`; 0 where the type has no array type.
    pub array_type_oid: u32,
    /// `pg_type.typelem` of a true array; 0 for every other type.
    pub element_type_oid: u32,
    /// The element type as `format_type` shows it; empty for every other type.
    pub element_type_name: String,
    /// The category of the type.
    pub category: TypeCategory,
}

/// How the filter treats a column: its category, with the types singled out that need their own rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Array,
    Boolean,
    Json,
    Jsonb,
    Number,
    Range,
    Text,
    /// Any type whose values are written as strings: dates, enums, uuid, inet, interval, extension types.
    Written,
}

impl Column {
    pub(super) fn kind(&self) -> Kind {
        match (self.type_oid, self.category) {
            (oid::JSON, _) => Kind::Json,
            (oid::JSONB, _) => Kind::Jsonb,
            (_, TypeCategory::Array) if self.element_type_oid != 0 => Kind::Array,
            (_, TypeCategory::Boolean) => Kind::Boolean,
            (_, TypeCategory::Number) => Kind::Number,
            (_, TypeCategory::Range) => Kind::Range,
            (_, TypeCategory::Text) => Kind::Text,
            _ => Kind::Written,
        }
    }

    /// The kind of an array's elements. The identifiers of built-in types are fixed, so no look-up is needed; an
    /// element type from an extension or an enum takes strings.
    pub(super) fn element_kind(&self) -> Kind {
        match self.element_type_oid {
            oid::BOOL => Kind::Boolean,
            oid::JSON | oid::JSONB => Kind::Jsonb,
            oid::INT2 | oid::INT4 | oid::INT8 | oid::FLOAT4 | oid::FLOAT8 | oid::NUMERIC | 26 | 790 => {
                Kind::Number
            }
            // name, text, character, character varying
            19 | oid::TEXT | 1042 | 1043 => Kind::Text,
            _ => Kind::Written,
        }
    }

    /// Whether `=`, `<` and so on of this type live in `pg_catalog`. Enums, arrays and ranges of any origin use the
    /// polymorphic built-in operators; another type from an extension brings its own operators along, in a schema
    /// that only the caller's `search_path` knows.
    pub(super) fn has_builtin_operators(&self) -> bool {
        self.type_oid < oid::FIRST_USER
            || matches!(
                self.category,
                TypeCategory::Enum | TypeCategory::Array | TypeCategory::Range
            )
    }
}

/// The subtype of a built-in range or multirange type, or `None` for any other type.
pub(super) fn range_subtype(type_oid: u32) -> Option<u32> {
    match type_oid {
        3904 | 4451 => Some(oid::INT4),
        3906 | 4532 => Some(oid::NUMERIC),
        3908 | 4533 => Some(1114),
        3910 | 4534 => Some(1184),
        3912 | 4535 => Some(1082),
        3926 | 4536 => Some(oid::INT8),
        _ => None,
    }
}
