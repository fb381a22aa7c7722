//! `castmatch-companion check`: what is wrong with configuration, database and castmatch, and how to mend it.

mod api;
mod connect;
mod database;
mod local;
pub mod report;

use std::ffi::OsString;
use std::time::Duration;

use crate::config::{self, CheckArgs, Config, ServeArgs, Sources};
use crate::error::StartError;
use crate::session::Session;
use report::Report;
use sqlx::postgres::PgConnectOptions;

const APPLICATION: &str = "castmatch-companion check";

/// For each question: a person waits, but a busy server is not at fault.
const QUESTION_LIMIT: Duration = Duration::from_secs(5);

/// Looks at everything that `serve` with these arguments would use.
pub async fn run(args: &CheckArgs, environment: &dyn Fn(&str) -> Option<OsString>) -> Report {
    let mut report = Report::default();
    let serve = &args.serve;
    let sources = match Sources::open(serve.common.config.as_deref(), environment) {
        Ok(sources) => sources,
        Err(error) => {
            report.error("configuration", error.to_string(), "correct it");
            return report;
        }
    };
    files(&mut report, &sources, serve);
    if let Ok(address) = config::listen_address(&sources, serve) {
        local::address(&mut report, address);
    }
    match Config::load(serve, &sources) {
        Ok(config) => {
            let origin = sources
                .file_path()
                .map(|path| format!("\"{}\" is right", path.display()));
            report.ok(
                "configuration",
                origin.unwrap_or_else(|| "no file, which is fine".to_owned()),
            );
            server(&mut report, &config).await;
        }
        Err(error) => report.error("configuration", error.to_string(), remedy(&error)),
    }
    report
}

fn remedy(error: &StartError) -> &'static str {
    match error {
        StartError::NoDatabaseUrl => "it looks like postgresql://companion:password@127.0.0.1:5432/app",
        StartError::NoTokenFile => "give one, or leave --api out",
        StartError::DatabaseUrlFile { .. } => "give a file that this account may read",
        _ => "correct it; docs/companion.md has the table of settings",
    }
}

fn files(report: &mut Report, sources: &Sources, serve: &ServeArgs) {
    let named = [
        (
            "database_url_file",
            serve.common.database_url_file.clone(),
            "a database URL",
        ),
        ("prune.database_url_file", None, "a database URL"),
        (
            "api.database_url_file",
            serve.api_database_url_file.clone(),
            "a database URL",
        ),
        ("api.token_file", serve.api_token_file.clone(), "tokens"),
    ];
    for (key, flag, holds) in named {
        if let Ok(Some(path)) = sources.path(key, flag) {
            local::file(report, &path, holds);
        }
    }
}

async fn server(report: &mut Report, config: &Config) {
    let opened = Session::open(&config.database, APPLICATION, config.timing.connect_timeout).await;
    let mut session = match opened {
        Ok(session) => session,
        Err(error) => {
            let (problem, remedy) = connect::explain(&error, &config.database);
            return report.error("connection", problem, remedy);
        }
    };
    let facts = match database::facts(&mut session, QUESTION_LIMIT).await {
        Ok(facts) => facts,
        Err(error) => return report.error("connection", error.to_string(), "see the log of the server"),
    };
    report.ok("connection", format!("connected as \"{}\"", facts.user));
    if facts.standby {
        report.warning(
            "standby",
            "this is a standby: match works, chat and pruning do not",
            "connect to the primary if these are wanted",
        );
    }
    let prunes = config.prune.is_configured();
    if database::extension(report, &facts) {
        database::privileges(report, &facts, prunes);
        castmatch(report, &facts, &mut session).await;
        if prunes {
            pruning(report, &facts, config).await;
        }
        if let Some(settings) = &config.api {
            api::login(report, settings, &facts);
            api::tokens(report, settings, QUESTION_LIMIT).await;
        }
    }
    session.close().await;
}

/// The pruner may have a login of its own, even at another server: the primary of the standby that is watched.
async fn pruning(report: &mut Report, facts: &database::Facts, config: &Config) {
    let prune = &config.prune;
    let same = |of: fn(&PgConnectOptions) -> String| of(&prune.database) == of(&config.database);
    if same(|options| options.get_username().to_owned())
        && same(|options| options.get_host().to_owned())
        && same(|options| options.get_port().to_string())
        && same(|options| options.get_database().unwrap_or_default().to_owned())
    {
        return database::pruning(report, facts, prune.policy.is_some());
    }
    match Session::open(&prune.database, APPLICATION, prune.connect_timeout).await {
        Ok(mut session) => match database::facts(&mut session, QUESTION_LIMIT).await {
            Ok(facts) => {
                database::pruning(report, &facts, prune.policy.is_some());
                database::prune_privilege(report, &facts);
            }
            Err(error) => report.error("pruning", error.to_string(), "see the log of the server"),
        },
        Err(error) => {
            let (problem, remedy) = connect::explain(&error, &prune.database);
            report.error("pruning", problem, remedy);
        }
    }
}

async fn castmatch(report: &mut Report, facts: &database::Facts, session: &mut Session) {
    let question = "SELECT castmatch.health()::pg_catalog.text";
    let answer = match database::ask(session, question, QUESTION_LIMIT).await {
        Ok(text) => serde_json::from_str(&text).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match answer {
        Ok(health) => database::health(report, facts, &health),
        Err(problem) => report.error(
            "health",
            format!("castmatch.health() failed: {problem}"),
            "see the log of the server",
        ),
    }
}
