//! castmatch-bench: measures castmatch against what it replaces.

mod cache;
mod data;
mod embed;
mod index;
mod matching;
mod measure;
mod place;
mod random;
mod report;
#[cfg(test)]
mod scratch;
mod server;
mod wire;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What goes wrong is told in words; nothing here reacts to its kind.
type Error = Box<dyn std::error::Error>;

#[derive(Parser)]
#[command(version, about = "Measures castmatch against what it replaces")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The embedding model: load time, memory, latency and throughput, optionally against sentence-transformers.
    Embed(embed::Options),
    /// Makes the data sets of `index`: embeddings of WordNet's glosses, held-out queries and their exact neighbours.
    Prepare(data::prepare::Options),
    /// castmatch's index against pgvector's in one server, and against libraries.
    Index(Box<index::Options>),
    /// Conditions beside the order, of every selectivity: castmatch's filter columns against a btree and a sort, and against pgvector's
    /// iterative scan. Of the options those of builds, inserts and vacuum have no effect.
    Filters(Box<index::Options>),
    /// The caches: what a hit costs, beside a GET of Redis; sessions at once; the hit ratio of a trace.
    Cache(cache::Options),
    /// Known-item search: castmatch.match against each of its legs, plain SQL and ts_rank_cd.
    Quality(matching::quality::Options),
    /// How long castmatch.match takes, beside the bare SQL that it stands for.
    Match(matching::latency::Options),
    /// How fast the rows of an attached table are embedded, beside the model alone.
    Queue(matching::queue::Options),
    /// How long a turn of castmatch.chat takes, and what a model of another server adds to it.
    Chat(matching::talk::Options),
    /// Writes the report of `index` again.
    Report(index::ReportOptions),
    /// What `index` starts to measure hnsw_rs.
    #[cfg(feature = "hnsw_rs")]
    #[command(hide = true)]
    Library {
        /// As JSON.
        job: String,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Embed(options) => embed::run(&options),
        Command::Prepare(options) => data::prepare::run(&options),
        Command::Index(options) => index::run(&options),
        Command::Filters(options) => index::filters::run(&options),
        Command::Cache(options) => cache::run(&options),
        Command::Quality(options) => matching::quality::run(&options),
        Command::Match(options) => matching::latency::run(&options),
        Command::Queue(options) => matching::queue::run(&options),
        Command::Chat(options) => matching::talk::run(&options),
        Command::Report(options) => index::report(&options),
        #[cfg(feature = "hnsw_rs")]
        Command::Library { job } => index::libraries::run(&job),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("castmatch-bench: {}", in_words(&*error));
            ExitCode::FAILURE
        }
    }
}

/// An error with what is behind it: that of a statement says no more than "db error" by itself.
fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        words.push_str(&format!(": {error}"));
        source = error.source();
    }
    words
}
