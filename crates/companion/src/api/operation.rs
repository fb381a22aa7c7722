//! What the HTTP front offers: one table, from which the requests are read, the SQL is put together and the OpenAPI
//! document is made. A parameter of the body is the argument of the same name of the SQL function; what the body leaves
//! out, or says null for, has the function's own default.

use serde_json::{Value, json};

/// How a value travels and what it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// The name of a table, a string.
    Table,
    /// A UUID, a string.
    Uuid,
    /// A whole number of 32 bits.
    Integer,
    /// A JSON object.
    Object,
}

impl Kind {
    /// The name that `format_type` gives the argument's type.
    #[must_use]
    pub fn sql_type(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Table => "regclass",
            Self::Uuid => "uuid",
            Self::Integer => "integer",
            Self::Object => "jsonb",
        }
    }

    /// From the type that is bound to the type of the argument.
    pub(super) fn cast(self) -> &'static str {
        match self {
            Self::Text => "::pg_catalog.text",
            Self::Table => "::pg_catalog.text::pg_catalog.regclass",
            Self::Uuid => "::pg_catalog.text::pg_catalog.uuid",
            Self::Integer => "::pg_catalog.int4",
            Self::Object => "::pg_catalog.text::pg_catalog.jsonb",
        }
    }

    /// What the body must have, in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Text | Self::Table => "a string",
            Self::Uuid => "a UUID as a string",
            Self::Integer => "a whole number of 32 bits",
            Self::Object => "an object",
        }
    }

    /// The JSON Schema.
    pub(super) fn schema(self) -> Value {
        match self {
            Self::Text | Self::Table => json!({"type": "string"}),
            Self::Uuid => json!({"type": "string", "format": "uuid"}),
            Self::Integer => json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX}),
            Self::Object => json!({"type": "object"}),
        }
    }
}

/// An argument.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name in the body and in SQL.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Whether the function has no default for it.
    pub required: bool,
    /// For the document.
    pub description: &'static str,
}

const fn required(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter {
        name,
        kind,
        required: true,
        description,
    }
}

const fn optional(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter {
        required: false,
        ..required(name, kind, description)
    }
}

/// A function that may be called.
#[derive(Debug)]
pub struct Operation {
    /// Its name: in the token file, in metrics and as the path `/name`.
    pub name: &'static str,
    /// For the document.
    pub summary: &'static str,
    /// Its arguments, in the order of the function.
    pub parameters: &'static [Parameter],
    /// Whether it writes nothing, so that it runs in a read-only transaction.
    pub read_only: bool,
    /// SQL around the call: `{}` stands for it.
    pub(super) select: &'static str,
    /// JSON of bodies that are right, for the document.
    pub examples: &'static [(&'static str, &'static str)],
    /// The JSON Schema of the answer.
    pub(super) answer: fn() -> Value,
}

const K: &str = "How many rows at most.";
const FILTER: &str = "Hard conditions on the table's columns: a row that fails one is never returned.";
const PREFER: &str = "Soft preferences: they move the score.";
const TABLE: &str = "The attached table, with its schema where the search_path of the front's login does not find it: settings of the token's role do not apply.";

/// `castmatch.match`.
pub static MATCH: Operation = Operation {
    name: "match",
    summary: "Rank the rows of an attached table against a description",
    parameters: &[
        required("target", Kind::Table, TABLE),
        required("query", Kind::Text, "What the row should be like."),
        optional("k", Kind::Integer, K),
        optional("filter", Kind::Object, FILTER),
        optional("prefer", Kind::Object, PREFER),
        optional("mode", Kind::Text, "hybrid, semantic or text."),
        optional("options", Kind::Object, "Options of castmatch.match."),
    ],
    read_only: true,
    // The order of the rows is that of the function.
    select: "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('key', m.key, 'score', m.score, \
        'similarity', m.similarity, 'semantic_rank', m.semantic_rank, 'text_rank', m.text_rank, \
        'reasons', m.reasons) ORDER BY m.place), '[]')::pg_catalog.text FROM {} WITH ORDINALITY AS m (key, score, \
        similarity, semantic_rank, text_rank, reasons, place)",
    examples: &[
        (
            "short",
            r#"{"target": "talents", "query": "a stern police inspector"}"#,
        ),
        (
            "narrowed",
            r#"{"target": "public.talents", "query": "a dancer", "k": 3, "filter": {"city": "Mumbai"}, "mode": "hybrid"}"#,
        ),
    ],
    answer: || {
        let number = json!({"type": ["number", "null"]});
        let rank = json!({"type": ["integer", "null"]});
        json!({"type": "array", "items": {
            "type": "object",
            "required": ["key", "score", "similarity", "semantic_rank", "text_rank", "reasons"],
            "properties": {
                "key": {"type": "string"}, "score": number, "similarity": number,
                "semantic_rank": rank, "text_rank": rank, "reasons": {"type": ["object", "null"]},
            },
        }})
    },
};

/// `castmatch.chat`.
pub static CHAT: Operation = Operation {
    name: "chat",
    summary: "One turn of a conversation grounded in the rows of an attached table",
    parameters: &[
        required("message", Kind::Text, "What the user says."),
        optional(
            "conversation_id",
            Kind::Uuid,
            "The conversation to go on with, one of the token's role; without it a new one begins.",
        ),
        optional("target", Kind::Table, TABLE),
        optional("k", Kind::Integer, K),
        optional("filter", Kind::Object, FILTER),
        optional("prefer", Kind::Object, PREFER),
        optional("model", Kind::Text, "The model that replies."),
        optional("options", Kind::Object, "Options of castmatch.chat."),
    ],
    read_only: false,
    select: "SELECT {}::pg_catalog.text",
    examples: &[
        (
            "new",
            r#"{"message": "I need a dancer from Mumbai", "target": "talents", "k": 3}"#,
        ),
        (
            "follow_up",
            r#"{"message": "and someone younger?", "conversation_id": "6f1c9a52-3b0e-4f53-9f0b-6a1d0f6f2b11"}"#,
        ),
    ],
    answer: || {
        json!({"type": "object", "required": ["conversation_id", "reply"], "properties": {
            "conversation_id": {"type": "string", "format": "uuid"},
            "reply": {"type": "string"},
            "model": {"type": "string"},
            "sources": {"type": "array", "items": {"type": "object"}},
            "cache": {"type": "object"},
            "usage": {"type": "object"},
            "degraded": {"type": "array"},
            "timings_ms": {"type": "object"},
        }})
    },
};

/// `castmatch.benchmark`.
pub static BENCHMARK: Operation = Operation {
    name: "benchmark",
    summary: "Measure searches of an attached table",
    parameters: &[
        required("target", Kind::Table, TABLE),
        optional("queries", Kind::Integer, "How many searches, 1 to 10000."),
        optional("k", Kind::Integer, "How many rows each returns, 1 to 1000."),
    ],
    read_only: false,
    select: "SELECT {}::pg_catalog.text",
    examples: &[("short", r#"{"target": "talents", "queries": 20, "k": 10}"#)],
    answer: || json!({"type": "object"}),
};

/// All of them.
pub static OPERATIONS: [&Operation; 3] = [&MATCH, &CHAT, &BENCHMARK];

/// The one of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Operation> {
    OPERATIONS.into_iter().find(|operation| operation.name == name)
}
