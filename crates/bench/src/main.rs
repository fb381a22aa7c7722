//! castmatch-bench: measures castmatch against what it replaces.

mod embed;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Embed(options) => embed::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("castmatch-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
