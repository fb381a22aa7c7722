//! Settings: flags, environment, file, in that order, and their checks. No error here repeats the database URL, a token
//! or any other value of a file.

pub mod cli;
pub mod file;
mod parse;
pub mod sources;
mod timing;
mod url;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

pub use cli::{
    BenchmarkArgs, CheckArgs, Cli, Command, CommonArgs, LogFormat, LogLevel, PruneArgs, ServeArgs,
};
pub use sources::Sources;
pub use timing::Timing;

use crate::error::StartError;
use crate::prune::policy;
use crate::{api, prune};
use parse::{count, count_up_to, duration, long_duration, switch, word};

/// Connections of the HTTP front to the database; it is beside the application's own.
const MAX_API_CONNECTIONS: u32 = 64;

/// A message of chat is at most 64 KiB, and JSON may take several bytes for one.
const MAX_BODY_LIMIT: u32 = 1024 * 1024;

/// How the log is to be.
///
/// # Errors
/// When a setting is wrong.
pub fn logging(sources: &Sources, args: &CommonArgs) -> Result<(LogLevel, LogFormat), StartError> {
    let level = sources.value("log_level", args.log_level, word)?;
    let format = sources.value("log_format", args.log_format, word)?;
    Ok((level.unwrap_or(LogLevel::Info), format.unwrap_or(LogFormat::Text)))
}

/// Where to serve HTTP.
///
/// # Errors
/// When the setting is wrong.
pub fn listen_address(sources: &Sources, args: &ServeArgs) -> Result<SocketAddr, StartError> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|_| "must be ADDRESS:PORT, such as 127.0.0.1:9187".to_owned())
    };
    let listen = sources.value("listen", args.listen, parse)?;
    Ok(listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 9187))))
}

/// Where the database is and how long to try to connect.
///
/// # Errors
/// When there is no URL, its file cannot be read, or it does not parse.
pub fn database(sources: &Sources, args: &CommonArgs) -> Result<(PgConnectOptions, Duration), StartError> {
    let timeout = sources.value("connect_timeout", args.connect_timeout, duration)?;
    let options = sources.database(args.database_url_file.clone())?;
    Ok((options, timeout.unwrap_or(Timing::default().connect_timeout)))
}

/// All that [`crate::server::run`] needs. Has no `Debug`: the options hold the password.
pub struct Config {
    /// Where to serve HTTP.
    pub listen: SocketAddr,
    /// Where the database is.
    pub database: PgConnectOptions,
    /// The time limits.
    pub timing: Timing,
    /// Pruning; done where it has a schedule.
    pub prune: prune::Settings,
    /// The HTTP front, if it is on.
    pub api: Option<api::Settings>,
}

impl Config {
    /// Reads what the sources say and the files that they name.
    ///
    /// # Errors
    /// [`StartError`] when a setting is wrong, there is no database URL, or a file cannot be read.
    pub fn load(args: &ServeArgs, sources: &Sources) -> Result<Self, StartError> {
        let timing = Timing::load(sources, args)?;
        let (database, _) = database(sources, &args.common)?;
        let prune_args = PruneArgs {
            schedule: args.prune_schedule,
            policy: args.prune_policy.clone(),
            ..PruneArgs::default()
        };
        Ok(Self {
            listen: listen_address(sources, args)?,
            prune: prune_settings(sources, &prune_args, &database, &timing)?,
            api: api_settings(sources, args, &database, &timing)?,
            database,
            timing,
        })
    }
}

/// As [`Config::load`], for `prune`: where the database is and how to prune.
///
/// # Errors
/// As there.
pub fn prune_only(args: &PruneArgs, sources: &Sources) -> Result<prune::Settings, StartError> {
    let serve = ServeArgs {
        common: args.common.clone(),
        ..ServeArgs::default()
    };
    let timing = Timing::load(sources, &serve)?;
    let (database, _) = database(sources, &args.common)?;
    prune_settings(sources, args, &database, &timing)
}

fn prune_settings(
    sources: &Sources,
    args: &PruneArgs,
    database: &PgConnectOptions,
    timing: &Timing,
) -> Result<prune::Settings, StartError> {
    let limit = |key, flag, otherwise| {
        let value = sources.value(key, flag, duration)?;
        Ok::<_, StartError>(value.unwrap_or(otherwise))
    };
    let schedule = sources.value("prune.schedule", args.schedule, long_duration)?;
    let jitter = sources.value("prune.jitter", args.jitter, long_duration)?;
    let whole = sources.json("prune.policy", args.policy.as_deref(), policy::check)?;
    let limits = &args.limits;
    let single = [
        ("prune.max_age", &limits.max_age),
        ("prune.max_idle", &limits.max_idle),
        ("prune.max_messages", &limits.max_messages),
        ("prune.max_bytes", &limits.max_bytes),
        ("prune.max_request_age", &limits.max_request_age),
    ];
    let mut policy = whole;
    let policy_origin = sources.origin("prune.policy", args.policy.is_some())?;
    for (key, flag) in single {
        let parse = |text: &str| policy::value(key, text);
        let flag = flag.as_deref().map(parse).transpose();
        let flag = flag.map_err(|problem| StartError::Setting {
            origin: format!("--{}", key.trim_start_matches("prune.").replace('_', "-")),
            problem,
        })?;
        // A policy that was given stands: a limit of the file does not come into one of the command line.
        let origin = sources.origin(key, flag.is_some())?;
        if let Some(value) = sources.value(key, flag, parse)?
            && origin >= policy_origin
        {
            policy = Some(policy::with(policy, key, value));
        }
    }
    Ok(prune::Settings {
        database: sources.database_of(
            "prune.database_url_file",
            args.prune_database_url_file.clone(),
            database,
        )?,
        connect_timeout: timing.connect_timeout,
        policy,
        schedule,
        jitter: jitter.unwrap_or_else(|| prune::default_jitter(schedule)),
        batch_pause: sources.value("prune.batch_pause", args.batch_pause, duration)?,
        batch_timeout: limit("prune.batch_timeout", args.batch_timeout, Duration::from_secs(10))?,
        lock_timeout: limit("prune.lock_timeout", args.lock_timeout, Duration::from_secs(1))?,
        dry_run_timeout: limit(
            "prune.dry_run_timeout",
            args.dry_run_timeout,
            Duration::from_secs(600),
        )?,
        stop_timeout: timing.shutdown_timeout,
    })
}

/// The HTTP front, if it is on.
fn api_settings(
    sources: &Sources,
    args: &ServeArgs,
    database: &PgConnectOptions,
    timing: &Timing,
) -> Result<Option<api::Settings>, StartError> {
    let enabled = sources.value("api.enabled", args.api.then_some(true), switch)?;
    let token_file = sources.path("api.token_file", args.api_token_file.clone())?;
    let limit = |key, flag, otherwise| {
        let value = sources.value(key, flag, duration)?;
        Ok::<_, StartError>(value.unwrap_or(otherwise))
    };
    let deadline = limit("api.deadline", args.api_deadline, Duration::from_secs(30))?;
    let queue_timeout = limit(
        "api.queue_timeout",
        args.api_queue_timeout,
        Duration::from_secs(2),
    )?;
    let connections = sources.checked(
        "api.connections",
        args.api_connections,
        count,
        count_up_to(MAX_API_CONNECTIONS),
    )?;
    let body_limit = sources.checked(
        "api.body_limit",
        args.api_body_limit,
        count,
        count_up_to(MAX_BODY_LIMIT),
    )?;
    let own_database = sources.database_of(
        "api.database_url_file",
        args.api_database_url_file.clone(),
        database,
    )?;
    if enabled != Some(true) {
        return Ok(None);
    }
    let Some(token_file) = token_file else {
        return Err(StartError::NoTokenFile);
    };
    Ok(Some(api::Settings {
        database: own_database,
        connect_timeout: timing.connect_timeout,
        tokens: api::Tokens::open(&token_file)?,
        deadline,
        queue_timeout,
        connections: connections.unwrap_or(4),
        body_limit: body_limit.unwrap_or(64 * 1024),
    }))
}

#[cfg(test)]
mod tests;
