//! The index methods that are compared, and their SQL.

use crate::data::DataSet;
use crate::data::exact::Metric;

/// Rows that a query asks for.
pub(crate) const K: usize = 10;
/// Schema of the tables.
pub(crate) const TABLES: &str = "bench";

/// An index method with its build parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Method {
    /// castmatch, m 16, ef_construction 64.
    #[value(name = "castmatch-64")]
    Castmatch64,
    /// castmatch, m 16, ef_construction 200.
    #[value(name = "castmatch-200")]
    Castmatch200,
    /// castmatch's inverted file, as many lists as suit the rows.
    #[value(name = "castmatch-ivf")]
    CastmatchIvf,
    /// The same with refine codes.
    #[value(name = "castmatch-ivf-refined")]
    CastmatchIvfRefined,
    /// pgvector's hnsw, m 16, ef_construction 64.
    #[value(name = "pgvector-64")]
    Pgvector64,
    /// pgvector's hnsw, m 16, ef_construction 200.
    #[value(name = "pgvector-200")]
    Pgvector200,
    /// pgvector's hnsw over the column cast to halfvec.
    #[value(name = "pgvector-halfvec")]
    PgvectorHalfvec,
    /// pgvector's hnsw over binary_quantize, then sorted by the exact distance.
    #[value(name = "pgvector-binary")]
    PgvectorBinary,
    /// pgvector's ivfflat, a list per 1,000 rows.
    #[value(name = "pgvector-ivfflat")]
    PgvectorIvfflat,
    /// The crate hnsw_rs in this process, m 16, ef_construction 64.
    #[value(name = "hnsw_rs")]
    HnswRs,
    /// hnswlib in a Python process, M 16, ef_construction 64.
    #[value(name = "hnswlib")]
    Hnswlib,
}

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// castmatch in the server.
    Castmatch,
    /// pgvector in the same server.
    Pgvector,
    /// A library, without a database.
    Library,
}

impl Method {
    /// All, ours first.
    pub(crate) const ALL: [Self; 11] = [
        Self::Castmatch64,
        Self::Castmatch200,
        Self::CastmatchIvf,
        Self::CastmatchIvfRefined,
        Self::Pgvector64,
        Self::Pgvector200,
        Self::PgvectorHalfvec,
        Self::PgvectorBinary,
        Self::PgvectorIvfflat,
        Self::HnswRs,
        Self::Hnswlib,
    ];
    /// What the others are compared with.
    pub(crate) const BASELINE: Self = Self::Pgvector64;

    /// Its name in tables and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Castmatch64 => "castmatch-64",
            Self::Castmatch200 => "castmatch-200",
            Self::CastmatchIvf => "castmatch-ivf",
            Self::CastmatchIvfRefined => "castmatch-ivf-refined",
            Self::Pgvector64 => "pgvector-64",
            Self::Pgvector200 => "pgvector-200",
            Self::PgvectorHalfvec => "pgvector-halfvec",
            Self::PgvectorBinary => "pgvector-binary",
            Self::PgvectorIvfflat => "pgvector-ivfflat",
            Self::HnswRs => "hnsw_rs",
            Self::Hnswlib => "hnswlib",
        }
    }

    /// Who does the work.
    pub(crate) fn side(self) -> Side {
        match self {
            Self::Castmatch64 | Self::Castmatch200 | Self::CastmatchIvf | Self::CastmatchIvfRefined => {
                Side::Castmatch
            }
            Self::HnswRs | Self::Hnswlib => Side::Library,
            _ => Side::Pgvector,
        }
    }

    /// Schemas that its sessions look names up in: the extension's first, because both name their type `vector`.
    pub(crate) fn search_path(self) -> String {
        format!("{}, {TABLES}", self.side().schema())
    }

    /// Values of its search parameter that are measured when none are asked for.
    pub(crate) fn efforts(self) -> &'static [u32] {
        match self {
            Self::PgvectorIvfflat => &[1, 2, 5, 10, 20, 40, 80],
            Self::CastmatchIvf | Self::CastmatchIvfRefined => &[
                2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 192,
            ],
            Self::PgvectorBinary => &[20, 40, 80, 120, 200, 400, 800],
            // Close enough that no method gains or loses more than a tenth by where its points happen to lie.
            _ => &[
                10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 140, 160, 180, 200, 240, 280, 320, 400,
                480, 560,
            ],
        }
    }

    /// The value of its search parameter that stands for its own choice, or the middle of what is usual.
    pub(crate) fn own_effort(self) -> &'static [u32] {
        match self {
            Self::CastmatchIvf | Self::CastmatchIvfRefined => &[0],
            Self::PgvectorIvfflat => &[20],
            _ => &[80],
        }
    }

    /// `CREATE INDEX` of that name over column `embedding`.
    pub(crate) fn create_index(self, table: &str, set: DataSet, dimensions: usize, rows: usize) -> String {
        let operators = operators(set);
        let graph = |construction: u32| format!("WITH (m = 16, ef_construction = {construction})");
        let (method, column, with) = match self {
            Self::Castmatch64 => (
                "castmatch_hnsw",
                format!("embedding vector_{operators}"),
                graph(64),
            ),
            Self::Castmatch200 => (
                "castmatch_hnsw",
                format!("embedding vector_{operators}"),
                graph(200),
            ),
            Self::CastmatchIvf | Self::CastmatchIvfRefined => (
                "castmatch_ivf",
                format!("embedding vector_{operators}"),
                format!(
                    "WITH (refine_bits = {})",
                    if self == Self::CastmatchIvf { 0 } else { 3 }
                ),
            ),
            Self::Pgvector64 => ("hnsw", format!("embedding vector_{operators}"), graph(64)),
            Self::Pgvector200 => ("hnsw", format!("embedding vector_{operators}"), graph(200)),
            Self::PgvectorHalfvec => (
                "hnsw",
                format!("(embedding::halfvec({dimensions})) halfvec_{operators}"),
                graph(64),
            ),
            Self::PgvectorBinary => (
                "hnsw",
                format!("(binary_quantize(embedding)::bit({dimensions})) bit_hamming_ops"),
                graph(64),
            ),
            Self::PgvectorIvfflat | Self::HnswRs | Self::Hnswlib => (
                "ivfflat",
                format!("embedding vector_{operators}"),
                format!("WITH (lists = {})", (rows / 1000).max(10)),
            ),
        };
        format!(
            "CREATE INDEX {} ON {TABLES}.{table} USING {method} ({column}) {with}",
            index_name(table)
        )
    }

    /// The setting that decides between speed and recall.
    pub(crate) fn set_effort(self, effort: u32) -> String {
        let name = match self {
            Self::CastmatchIvf | Self::CastmatchIvfRefined => "castmatch.probes",
            Self::Castmatch64 | Self::Castmatch200 => "castmatch.ef_search",
            Self::PgvectorIvfflat => "ivfflat.probes",
            _ => "hnsw.ef_search",
        };
        format!("SET {name} = {effort}")
    }

    /// The query for the nearest [`K`] rows of `$1`.
    pub(crate) fn query(self, table: &str, set: DataSet, dimensions: usize, effort: u32) -> String {
        let operator = operator(set);
        let table = format!("{TABLES}.{table}");
        match self {
            Self::PgvectorHalfvec => format!(
                "SELECT id FROM {table} ORDER BY embedding::halfvec({dimensions}) {operator} \
                 $1::vector::halfvec({dimensions}) LIMIT {K}"
            ),
            Self::PgvectorBinary => format!(
                "SELECT id FROM (SELECT id, embedding FROM {table} ORDER BY \
                 binary_quantize(embedding)::bit({dimensions}) <~> binary_quantize($1::vector)::bit({dimensions}) \
                 LIMIT {effort}) AS candidates ORDER BY embedding {operator} $1::vector LIMIT {K}"
            ),
            _ => format!("SELECT id FROM {table} ORDER BY embedding {operator} $1::vector LIMIT {K}"),
        }
    }
}

impl Side {
    /// Where its extension's types and operators are.
    pub(crate) fn schema(self) -> &'static str {
        match self {
            Self::Castmatch => "castmatch_types",
            Self::Pgvector | Self::Library => "pgvector",
        }
    }

    /// Name of its extension.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Castmatch => "castmatch",
            Self::Pgvector | Self::Library => "vector",
        }
    }
}

/// The operator that a data set is ordered by.
pub(crate) fn operator(set: DataSet) -> &'static str {
    match set.metric() {
        Metric::Cosine => "<=>",
        Metric::L2 => "<->",
    }
}

/// The end of the name of its operator class.
pub(crate) fn operators(set: DataSet) -> &'static str {
    match set.metric() {
        Metric::Cosine => "cosine_ops",
        Metric::L2 => "l2_ops",
    }
}

/// Table of a method over a data set; `use_` tells the tables of different measurements apart.
pub(crate) fn table_name(use_: &str, set: DataSet, method: Method) -> String {
    format!("{use_}_{}_{}", set.name(), method.name()).replace('-', "_")
}

/// The index of a table.
pub(crate) fn index_name(table: &str) -> String {
    format!("{table}_index")
}

#[cfg(test)]
mod tests {
    use super::{Method, Side, table_name};
    use crate::data::DataSet;

    #[test]
    fn statements_fit_method_and_metric() {
        let table = table_name("main", DataSet::Tokens384, Method::PgvectorHalfvec);
        assert_eq!(table, "main_tokens_384_pgvector_halfvec");
        let index = Method::PgvectorHalfvec.create_index(&table, DataSet::Tokens384, 384, 1_000_000);
        assert!(index.contains("USING hnsw ((embedding::halfvec(384)) halfvec_l2_ops)"));
        let index = Method::PgvectorIvfflat.create_index("t", DataSet::Wordnet384, 384, 117_000);
        assert!(index.ends_with("USING ivfflat (embedding vector_cosine_ops) WITH (lists = 117)"));
        let index = Method::Castmatch200.create_index("t", DataSet::Wordnet768, 768, 1);
        assert_eq!(
            index,
            "CREATE INDEX t_index ON bench.t USING castmatch_hnsw (embedding vector_cosine_ops) \
             WITH (m = 16, ef_construction = 200)"
        );
        let query = Method::PgvectorBinary.query("t", DataSet::Wordnet384, 384, 80);
        assert!(query.contains("LIMIT 80) AS candidates ORDER BY embedding <=> $1::vector LIMIT 10"));
        assert_eq!(Method::Castmatch64.set_effort(40), "SET castmatch.ef_search = 40");
        assert_eq!(Method::PgvectorIvfflat.set_effort(3), "SET ivfflat.probes = 3");
        assert_eq!(Method::CastmatchIvf.set_effort(3), "SET castmatch.probes = 3");
        let index = Method::CastmatchIvfRefined.create_index("t", DataSet::Tokens384, 384, 1);
        assert!(index.ends_with("USING castmatch_ivf (embedding vector_l2_ops) WITH (refine_bits = 3)"));
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        use clap::ValueEnum;
        for method in Method::ALL {
            assert_eq!(Method::from_str(method.name(), false), Ok(method));
            assert!(method.efforts().is_sorted());
        }
        assert_eq!(Method::Hnswlib.side(), Side::Library);
    }
}
