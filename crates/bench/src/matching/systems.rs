//! The ways of searching that `quality` compares, each with a session and a prepared statement of its own.

use postgres::{Client, Statement};

use super::table::{self, TABLE};
use crate::Error;
use crate::server::Server;
use crate::wire::Vector;

/// Table of the words, see [`System::TsRankCd`].
const WORDS: &str = "bench.words";

/// A way of searching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum System {
    /// castmatch.match, mode hybrid.
    Hybrid,
    /// castmatch.match, mode semantic.
    Semantic,
    /// castmatch.match, mode text.
    Text,
    /// ORDER BY embedding <=> $1, as the planner likes.
    Plain,
    /// The same with index scans off: the exact nearest rows.
    Exact,
    /// ts_rank_cd over a stored tsvector with a GIN index, and the query's lexemes joined by OR.
    TsRankCd,
}

impl System {
    /// Those that are measured when none are asked for.
    pub(super) const USUAL: [Self; 5] = [
        Self::Hybrid,
        Self::Semantic,
        Self::Text,
        Self::Plain,
        Self::TsRankCd,
    ];

    /// Its name in the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "match, hybrid",
            Self::Semantic => "match, semantic",
            Self::Text => "match, text",
            Self::Plain => "ORDER BY `<=>`",
            Self::Exact => "ORDER BY `<=>`, exact",
            Self::TsRankCd => "ts_rank_cd",
        }
    }

    /// `$1` is the text or its vector, `$2` the number of rows.
    fn statement(self, options: &str) -> String {
        let options = options.replace('\'', "''");
        let matched = |mode: &str| {
            format!(
                "SELECT key::int FROM castmatch.match('{TABLE}', $1, k => $2::bigint::int, mode => '{mode}', options => '{options}')"
            )
        };
        match self {
            Self::Hybrid => matched("hybrid"),
            Self::Semantic => matched("semantic"),
            Self::Text => matched("text"),
            Self::Plain | Self::Exact => {
                format!("SELECT id FROM {TABLE} ORDER BY embedding <=> $1::vector LIMIT $2::bigint")
            }
            // The lexemes themselves, quoted as to_tsquery reads them: none of them is parsed anew.
            Self::TsRankCd => format!(
                "WITH q AS (SELECT string_agg('''' || replace(replace(l.lexeme, '\\', '\\\\'), '''', '''''') || '''', ' | ')::tsquery AS query
                            FROM unnest(to_tsvector('english', $1)) l)
                 SELECT w.id FROM {WORDS} w, q WHERE w.words @@ q.query
                 ORDER BY ts_rank_cd(w.words, q.query) DESC, w.id LIMIT $2::bigint"
            ),
        }
    }

    fn takes_vector(self) -> bool {
        matches!(self, Self::Plain | Self::Exact)
    }
}

/// Makes the table that ts_rank_cd searches: the words of what castmatch searches.
pub(super) fn make_words(client: &mut Client) -> Result<(), Error> {
    client.batch_execute(&format!(
        "CREATE TABLE {WORDS} AS SELECT id, to_tsvector('english', lemma || ' ' || definition) AS words FROM {TABLE};
         CREATE INDEX ON {WORDS} USING gin (words)"
    ))?;
    Ok(client.batch_execute(&format!("VACUUM (ANALYZE) {WORDS}"))?)
}

/// A system, ready to be asked.
pub(super) struct Searcher {
    system: System,
    client: Client,
    sql: String,
    statement: Statement,
    k: i64,
}

impl Searcher {
    /// Prepares it for `k` rows a query, and these options of castmatch.match.
    pub(super) fn new(server: &Server, system: System, k: usize, options: &str) -> Result<Self, Error> {
        let mut client = server.connect("public")?;
        // One statement is asked thousands of times, so compiling it would not be what an application sees.
        client.batch_execute("SET jit = off")?;
        if system == System::Exact {
            client.batch_execute("SET enable_indexscan = off; SET enable_indexonlyscan = off")?;
        }
        let sql = system.statement(options);
        let statement = client.prepare(&sql)?;
        Ok(Self {
            system,
            client,
            sql,
            statement,
            k: i64::try_from(k)?,
        })
    }

    /// Ids of the rows found, best first.
    pub(super) fn ask(&mut self, text: &str, vector: &[f32]) -> Result<Vec<usize>, Error> {
        let rows = if self.system.takes_vector() {
            self.client.query(&self.statement, &[&Vector(vector), &self.k])?
        } else {
            self.client.query(&self.statement, &[&text, &self.k])?
        };
        Ok(rows
            .iter()
            .map(|row| row.get::<_, i32>(0).unsigned_abs() as usize)
            .collect())
    }

    /// How a plain statement reads the table; nothing of castmatch's functions.
    pub(super) fn plan(&mut self, text: &str, vector: &[f32]) -> Result<Option<String>, Error> {
        match self.system {
            System::Plain | System::Exact => {
                table::plan(&mut self.client, "items", &self.sql, &[&Vector(vector), &self.k]).map(Some)
            }
            System::TsRankCd => {
                table::plan(&mut self.client, "words", &self.sql, &[&text, &self.k]).map(Some)
            }
            System::Hybrid | System::Semantic | System::Text => Ok(None),
        }
    }
}
