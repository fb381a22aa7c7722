//! The command line. Every flag is optional here: what it leaves out comes from the environment, the file or the
//! defaults, see [`super::sources`]. Defaults stand in the help texts and are checked against the code by a test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::filter::LevelFilter;

use super::parse::{count, duration, long_duration};

const DATABASE_HELP: &str = "The database is named by the environment variable DATABASE_URL, or by --database-url-file, \
    which wins when both are given:\n  postgresql://user:password@host:5432/database?sslmode=verify-full\n\n\
    Every flag --some-flag may also be set by the environment variable CASTMATCH_COMPANION_SOME_FLAG (flags of prune: \
    CASTMATCH_COMPANION_PRUNE_…) or in the file of --config. Flags win over the environment, and that over the file.";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "castmatch-companion",
    version,
    about = "Watches castmatch, serves its health and metrics over HTTP, prunes its conversations"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve /health and /metrics until SIGTERM or SIGINT; prune on a schedule and answer /chat and /match if told to.
    #[command(after_help = DATABASE_HELP)]
    Serve(ServeArgs),
    /// Delete old conversations by castmatch.prune(), once or on a schedule.
    #[command(after_help = DATABASE_HELP)]
    Prune(PruneArgs),
    /// Say what is wrong with the configuration, the database and castmatch in it, and how to mend it.
    #[command(after_help = DATABASE_HELP)]
    Check(CheckArgs),
    /// Measure an attached table by castmatch.benchmark().
    #[command(after_help = DATABASE_HELP)]
    Benchmark(BenchmarkArgs),
}

impl Command {
    /// What all subcommands share.
    #[must_use]
    pub fn common(&self) -> &CommonArgs {
        match self {
            Self::Serve(args) => &args.common,
            Self::Prune(args) => &args.common,
            Self::Check(args) => &args.serve.common,
            Self::Benchmark(args) => &args.common,
        }
    }
}

/// Arguments of every subcommand.
#[derive(Debug, Clone, Default, Args)]
pub struct CommonArgs {
    /// TOML file with settings.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// File that holds the database URL (instead of the environment variable DATABASE_URL).
    #[arg(long, value_name = "FILE")]
    pub database_url_file: Option<PathBuf>,
    /// How long to try to connect to the database [default: 2s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub connect_timeout: Option<Duration>,
    /// What to log to standard error [default: info].
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// How to write the log [default: text].
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// Arguments of `serve`.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// What all subcommands share.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Address and port to serve HTTP on; port 0 takes a free one [default: 127.0.0.1:9187].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// How long the database may take to answer a query; past it the database counts as down [default: 1s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub query_timeout: Option<Duration>,
    /// Time between two health checks [default: 500ms].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub probe_interval: Option<Duration>,
    /// How long a request to /metrics waits for fresh values before it gets the last ones [default: 45ms].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub scrape_deadline: Option<Duration>,
    /// How long requests in flight may take to finish after SIGTERM [default: 5s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub shutdown_timeout: Option<Duration>,
    /// Prune this long after the end of the pass before [default: never].
    #[arg(long, value_name = "DURATION", value_parser = long_duration)]
    pub prune_schedule: Option<Duration>,
    /// What to prune, as castmatch.prune() takes it [default: the setting castmatch.prune_policy].
    #[arg(long, value_name = "JSON")]
    pub prune_policy: Option<String>,
    /// Answer POST /chat, /match and /benchmark to holders of a token; needs --api-token-file.
    #[arg(long)]
    pub api: bool,
    /// TOML file with the tokens of the HTTP front.
    #[arg(long, value_name = "FILE")]
    pub api_token_file: Option<PathBuf>,
    /// File with the database URL of the HTTP front [default: that of the companion].
    #[arg(long, value_name = "FILE")]
    pub api_database_url_file: Option<PathBuf>,
    /// How long a request to the HTTP front may take [default: 30s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub api_deadline: Option<Duration>,
    /// How long a request to the HTTP front may wait for a connection to the database [default: 2s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub api_queue_timeout: Option<Duration>,
    /// Connections of the HTTP front to the database, 1 to 64 [default: 4].
    #[arg(long, value_name = "COUNT", value_parser = count)]
    pub api_connections: Option<u32>,
    /// Longest body of a request to the HTTP front in bytes, up to 1 MiB [default: 65536].
    #[arg(long, value_name = "BYTES", value_parser = count)]
    pub api_body_limit: Option<u32>,
}

/// Arguments of `prune`.
#[derive(Debug, Default, Args)]
pub struct PruneArgs {
    /// What all subcommands share.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Prune once and end; without it that is done where no schedule is set.
    #[arg(long)]
    pub once: bool,
    /// Count what would go, and delete nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Prune again this long after the end of the pass before, until SIGTERM.
    #[arg(long, value_name = "DURATION", value_parser = long_duration, conflicts_with = "once")]
    pub schedule: Option<Duration>,
    /// Longest random delay of each pass [default: a tenth of the schedule, at most 5m].
    #[arg(long, value_name = "DURATION", value_parser = long_duration)]
    pub jitter: Option<Duration>,
    /// Pause between two batches [default: as long as the batch took].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub batch_pause: Option<Duration>,
    /// How long a batch may take before the server ends it [default: 10s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub batch_timeout: Option<Duration>,
    /// How long a batch waits for a lock [default: 1s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub lock_timeout: Option<Duration>,
    /// How long --dry-run may count [default: 10m].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub dry_run_timeout: Option<Duration>,
    /// What to prune, as castmatch.prune() takes it [default: the setting castmatch.prune_policy].
    #[arg(long, value_name = "JSON")]
    pub policy: Option<String>,
    /// File with the database URL of the pruner [default: that of the companion].
    #[arg(long, value_name = "FILE")]
    pub prune_database_url_file: Option<PathBuf>,
    /// Single limits, in place of those of the policy.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// Single keys of a policy. The server checks the values.
#[derive(Debug, Default, Args)]
pub struct LimitArgs {
    /// Messages older than this go, such as '90 days'.
    #[arg(long, value_name = "INTERVAL")]
    pub max_age: Option<String>,
    /// Conversations without a message for so long go.
    #[arg(long, value_name = "INTERVAL")]
    pub max_idle: Option<String>,
    /// Of each conversation only so many messages stay, the newest ones.
    #[arg(long, value_name = "COUNT")]
    pub max_messages: Option<String>,
    /// When all messages hold more, such as 10GB, the longest idle conversations go.
    #[arg(long, value_name = "SIZE")]
    pub max_bytes: Option<String>,
    /// Finished background requests older than this go.
    #[arg(long, value_name = "INTERVAL")]
    pub max_request_age: Option<String>,
}

/// Arguments of `check`: those of `serve`, for it checks what `serve` would do.
#[derive(Debug, Default, Args)]
pub struct CheckArgs {
    /// What `serve` would be given.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// Print the findings as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `benchmark`.
#[derive(Debug, Args)]
pub struct BenchmarkArgs {
    /// What all subcommands share.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Attached table, such as talents or public.talents.
    #[arg(value_name = "TABLE")]
    pub target: String,
    /// Searches to run, 1 to 10000.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub queries: i32,
    /// Rows that each search returns, 1 to 1000.
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub k: i32,
    /// How long it may take.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    pub timeout: Duration,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// How much to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Only what needs a person.
    Error,
    /// Also what may need one.
    Warn,
    /// Also start, stop, each change of the database's state, passes of pruning and requests of the HTTP front.
    Info,
    /// Also connections that a client broke.
    Debug,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
        }
    }
}

/// How to write the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}
