//! Command line, environment and their checks. The database URL comes from DATABASE_URL or from a file, never
//! from an argument, because arguments are visible to every user of the machine. No error here repeats any
//! part of it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::filter::LevelFilter;

use crate::error::StartError;

/// A longer file is not a database URL.
const MAX_URL_BYTES: u64 = 64 * 1024;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "castmatch-companion",
    version,
    about = "Serves the health and the metrics of castmatch over HTTP"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve /health and /metrics until SIGTERM or SIGINT.
    #[command(
        after_help = "The database is named by the environment variable DATABASE_URL, or by \
                            --database-url-file, which wins when both are given:\n  \
                            postgresql://user:password@host:5432/database?sslmode=verify-full"
    )]
    Serve(ServeArgs),
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address and port to serve HTTP on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9187")]
    pub listen: SocketAddr,
    /// File that holds the database URL (instead of the environment variable DATABASE_URL).
    #[arg(long, value_name = "FILE")]
    pub database_url_file: Option<PathBuf>,
    /// How long to try to connect to the database.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub connect_timeout: Duration,
    /// How long the database may take to answer a query; past it the database counts as down.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub query_timeout: Duration,
    /// Time between two health checks.
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = duration)]
    pub probe_interval: Duration,
    /// How long a request to /metrics waits for fresh values before it gets the last ones.
    #[arg(long, value_name = "DURATION", default_value = "45ms", value_parser = duration)]
    pub scrape_deadline: Duration,
    /// How long requests in flight may take to finish after SIGTERM.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub shutdown_timeout: Duration,
    /// What to log to standard error.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: LogLevel,
}

/// How much to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Only what needs a person.
    Error,
    /// Also what may need one.
    Warn,
    /// Also start, stop and each change of the database's state.
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

/// The time limits; see the arguments of the same names.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Limit for opening a connection.
    pub connect_timeout: Duration,
    /// Limit for one query.
    pub query_timeout: Duration,
    /// Time between health checks.
    pub probe_interval: Duration,
    /// Time between two questions for the performance.
    pub performance_interval: Duration,
    /// Limit for waiting on fresh values.
    pub scrape_deadline: Duration,
    /// Limit for requests in flight at the end.
    pub shutdown_timeout: Duration,
}

impl Default for Timing {
    /// The defaults of the command line.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            query_timeout: Duration::from_secs(1),
            probe_interval: Duration::from_millis(500),
            performance_interval: Duration::from_secs(5),
            scrape_deadline: Duration::from_millis(45),
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

/// All that [`crate::server::run`] needs. Has no `Debug`: the options hold the password.
pub struct Config {
    /// Where the database is.
    pub database: PgConnectOptions,
    /// The time limits.
    pub timing: Timing,
}

impl Config {
    /// Reads the database URL that the arguments or `environment` name, and checks it.
    ///
    /// # Errors
    /// [`StartError`] when there is no URL, its file cannot be read, or it does not parse.
    pub fn load(args: ServeArgs, environment: impl Fn(&str) -> Option<OsString>) -> Result<Self, StartError> {
        let database = match args.database_url_file {
            Some(path) => {
                let url = read_url_file(&path).map_err(|source| StartError::DatabaseUrlFile {
                    path: path.clone(),
                    source,
                })?;
                warn_if_readable_by_others(&path);
                parse_url(url.trim(), "the file")?
            }
            None => {
                let url = environment("DATABASE_URL").unwrap_or_default();
                let Some(url) = url.to_str() else {
                    return Err(StartError::DatabaseUrl {
                        origin: "DATABASE_URL",
                        problem: "it is not UTF-8",
                    });
                };
                if url.trim().is_empty() {
                    return Err(StartError::NoDatabaseUrl);
                }
                parse_url(url.trim(), "DATABASE_URL")?
            }
        };
        let timing = Timing {
            connect_timeout: args.connect_timeout,
            query_timeout: args.query_timeout,
            probe_interval: args.probe_interval,
            scrape_deadline: args.scrape_deadline,
            shutdown_timeout: args.shutdown_timeout,
            ..Timing::default()
        };
        Ok(Self { database, timing })
    }
}

fn read_url_file(path: &Path) -> io::Result<String> {
    let mut url = String::new();
    File::open(path)?
        .take(MAX_URL_BYTES + 1)
        .read_to_string(&mut url)?;
    if url.len() as u64 > MAX_URL_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file is longer than a URL can be",
        ));
    }
    Ok(url)
}

fn warn_if_readable_by_others(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map(|metadata| metadata.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o004 != 0) {
        tracing::warn!(
            "\"{}\" holds a database URL and every user can read it",
            path.display()
        );
    }
}

/// sqlx takes any scheme and quotes parts of the input in its errors, hence the own check and the fixed
/// texts.
fn parse_url(url: &str, origin: &'static str) -> Result<PgConnectOptions, StartError> {
    let invalid = |problem| StartError::DatabaseUrl { origin, problem };
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    if !scheme.is_some_and(|scheme| ["postgres", "postgresql"].contains(&scheme)) {
        return Err(invalid(
            "it does not begin with postgresql:// (keyword=value strings are not supported)",
        ));
    }
    url.parse().map_err(|_| {
        invalid(
            "expected postgresql://user:password@host:port/database?sslmode=verify-full, with characters such \
             as @ : / ? # % in the user's name and the password percent-encoded",
        )
    })
}

/// A duration with a unit, as in `500ms`, `2s`, `1m`. Zero would turn a limit into a failure or a loop
/// without a pause, and an hour is past any use.
fn duration(text: &str) -> Result<Duration, String> {
    let value = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if value < Duration::from_millis(10) || value > Duration::from_secs(3600) {
        return Err("must be between 10ms and 1h".to_owned());
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn args(extra: &[&str]) -> ServeArgs {
        let line = ["castmatch-companion", "serve"].iter().chain(extra);
        let Command::Serve(args) = Cli::try_parse_from(line).unwrap().command;
        args
    }

    fn load(extra: &[&str], url: Option<&str>) -> Result<Config, StartError> {
        Config::load(args(extra), |name| {
            assert_eq!(name, "DATABASE_URL");
            url.map(OsString::from)
        })
    }

    #[test]
    fn command_line_defaults_bind_to_loopback_and_equal_timing_default() {
        let args = args(&[]);
        assert_eq!(args.listen, "127.0.0.1:9187".parse().unwrap());
        let timing = load(&[], Some("postgresql://h/d")).ok().unwrap().timing;
        assert_eq!(format!("{timing:?}"), format!("{:?}", Timing::default()));
    }

    #[test]
    fn missing_and_empty_database_url_are_named() {
        for url in [None, Some(""), Some(" \n")] {
            assert!(matches!(load(&[], url), Err(StartError::NoDatabaseUrl)));
        }
    }

    #[test]
    fn invalid_url_is_refused_on_one_line_without_repeating_it() {
        let bad = [
            "host=h user=u password=s3cret",
            "mysql://u:s3cret@h/d",
            "s3cret",
            "postgresql://u:s3cret@h:99999/d",
            "postgresql://u:s3/cret@h/d?sslmode=s3cret",
            "postgresql://u:p@h/d?sslmode=s3cret",
            "postgresql://u:s3cret@[::1/d",
            "postgresql://u:%ff@h/s3cret",
        ];
        for url in bad {
            let error = load(&[], Some(url)).err().expect(url).to_string();
            assert!(error.contains("DATABASE_URL"), "{error}");
            assert!(!error.contains("s3cret") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn url_file_wins_over_the_environment_and_may_end_in_a_newline() {
        let path = std::env::temp_dir().join(format!("castmatch-companion-url-{}", std::process::id()));
        std::fs::write(&path, "postgresql://someone@file-host:5433/d\n").unwrap();
        let config = load(
            &["--database-url-file", path.to_str().unwrap()],
            Some("postgresql://env-host/d"),
        );
        std::fs::remove_file(&path).unwrap();
        let database = config.ok().unwrap().database;
        assert_eq!((database.get_host(), database.get_port()), ("file-host", 5433));
    }

    #[test]
    fn unreadable_url_file_is_an_error_that_names_the_file() {
        let error = load(&["--database-url-file", "/nonexistent/url"], None)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("/nonexistent/url"), "{error}");
        let error = load(&["--database-url-file", "/dev/zero"], None)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("longer than a URL"), "{error}");
    }

    #[test]
    fn durations_without_unit_or_out_of_range_are_refused() {
        for text in ["0s", "2", "2h", "-1s", ""] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("1s 500ms").unwrap(), Duration::from_millis(1500));
    }

    #[test]
    fn database_url_cannot_be_given_as_an_argument() {
        assert!(Cli::try_parse_from(["c", "serve", "--database-url", "postgresql://h/d"]).is_err());
    }
}
