#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Parser;
use serde_json::json;

use super::*;

const URL: &str = "postgresql://h/d";

/// A file for the time of a test.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(text: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("castmatch-companion-config-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn command(line: &[&str]) -> Command {
    Cli::try_parse_from(["castmatch-companion"].iter().chain(line))
        .unwrap()
        .command
}

fn load_with(extra: &[&str], environment: &[(&str, &str)]) -> Result<Config, StartError> {
    let line: Vec<&str> = ["serve"].iter().chain(extra).copied().collect();
    let Command::Serve(args) = command(&line) else {
        panic!("not serve")
    };
    let environment: HashMap<&str, &str> = environment.iter().copied().collect();
    let environment = |name: &str| environment.get(name).map(OsString::from);
    let sources = Sources::open(args.common.config.as_deref(), &environment)?;
    Config::load(&args, &sources)
}

fn load(extra: &[&str], url: Option<&str>) -> Result<Config, StartError> {
    let environment: Vec<_> = url.map(|url| ("DATABASE_URL", url)).into_iter().collect();
    load_with(extra, &environment)
}

fn error(extra: &[&str], environment: &[(&str, &str)]) -> String {
    let mut all = vec![("DATABASE_URL", URL)];
    all.extend(environment);
    load_with(extra, &all).err().expect("an error").to_string()
}

#[test]
fn defaults_bind_to_loopback_and_neither_prune_nor_offer_anything() {
    let config = load(&[], Some(URL)).ok().unwrap();
    assert_eq!(config.listen, "127.0.0.1:9187".parse().unwrap());
    assert_eq!(config.timing, Timing::default());
    assert!(config.prune.schedule.is_none() && config.prune.policy.is_none() && config.api.is_none());
}

#[test]
fn defaults_are_those_of_the_help_texts() {
    let help = |name: &str| {
        let mut cli = <Cli as clap::CommandFactory>::command();
        cli.find_subcommand_mut(name)
            .unwrap()
            .render_long_help()
            .to_string()
    };
    let serve = help("serve");
    for default in [
        "2s",
        "127.0.0.1:9187",
        "1s",
        "500ms",
        "45ms",
        "5s",
        "never",
        "30s",
        "4",
        "65536",
        "info",
        "text",
    ] {
        assert!(
            serve.contains(&format!("[default: {default}]")),
            "{default}\n{serve}"
        );
    }
    let prune = help("prune");
    let settings = load(&[], Some(URL)).ok().unwrap().prune;
    assert!(prune.contains("[default: 10s]") && settings.batch_timeout == Duration::from_secs(10));
    assert!(prune.contains("[default: 1s]") && settings.lock_timeout == Duration::from_secs(1));
    assert!(prune.contains("[default: 10m]") && settings.dry_run_timeout == Duration::from_secs(600));
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = TemporaryFile::new(
        "query_timeout = \"3s\"\nprobe_interval = \"3s\"\nscrape_deadline = \"30ms\"\n[prune]\nschedule = \"3h\"\njitter = \"3s\"",
    );
    let environment = [
        ("DATABASE_URL", URL),
        ("CASTMATCH_COMPANION_CONFIG", file.name()),
        ("CASTMATCH_COMPANION_QUERY_TIMEOUT", "2s"),
        ("CASTMATCH_COMPANION_PROBE_INTERVAL", "2s"),
        // An empty variable is none.
        ("CASTMATCH_COMPANION_SCRAPE_DEADLINE", ""),
        ("CASTMATCH_COMPANION_PRUNE_SCHEDULE", "2h"),
    ];
    let config = load_with(&["--query-timeout", "1s500ms"], &environment)
        .ok()
        .unwrap();
    assert_eq!(config.timing.query_timeout, Duration::from_millis(1500));
    assert_eq!(config.timing.probe_interval, Duration::from_secs(2));
    assert_eq!(config.timing.scrape_deadline, Duration::from_millis(30));
    assert_eq!(config.timing.connect_timeout, Timing::default().connect_timeout);
    assert_eq!(config.prune.schedule, Some(Duration::from_secs(7200)));
    assert_eq!(config.prune.jitter, Duration::from_secs(3));
    let config = load_with(&["--prune-schedule", "1h"], &environment).ok().unwrap();
    assert_eq!(config.prune.schedule, Some(Duration::from_secs(3600)));
}

#[test]
fn every_flag_has_its_variable_and_its_key() {
    for name in ["serve", "prune", "check"] {
        let cli = <Cli as clap::CommandFactory>::command();
        let subcommand = cli.find_subcommand(name).unwrap();
        for flag in subcommand
            .get_arguments()
            .filter_map(|argument| argument.get_long())
        {
            if ["help", "config", "json", "once", "dry-run"].contains(&flag) {
                continue;
            }
            let flag = flag.replace('-', "_");
            let key = ["prune_", "api_"].iter().find_map(|part| {
                let rest = flag.strip_prefix(part)?;
                Some(format!("{}.{rest}", part.trim_end_matches('_')))
            });
            let key = match (key, name) {
                (Some(key), _) => key,
                (None, _) if flag == "api" => "api.enabled".to_owned(),
                (None, "prune") if !sources::KEYS.contains(&flag.as_str()) => format!("prune.{flag}"),
                (None, _) => flag.clone(),
            };
            assert!(sources::KEYS.contains(&key.as_str()), "--{flag}: {key}");
        }
    }
    assert_eq!(
        sources::variable("scrape_deadline"),
        "CASTMATCH_COMPANION_SCRAPE_DEADLINE"
    );
    assert_eq!(
        sources::variable("prune.max_age"),
        "CASTMATCH_COMPANION_PRUNE_MAX_AGE"
    );
    assert_eq!(sources::variable("api.enabled"), "CASTMATCH_COMPANION_API");
}

#[test]
fn the_manual_has_every_setting() {
    let manual = include_str!("../../../../docs/companion.md");
    for key in sources::KEYS {
        assert!(
            manual.contains(&format!("| `{key}` |")),
            "{key} is missing in docs/companion.md"
        );
    }
}

#[test]
fn wrong_files_are_told_by_name_line_and_key_and_no_value_is_repeated() {
    let cases = [
        ("probe_intervall = \"s3cret\"", "\"probe_intervall\""),
        ("password = \"s3cret\"", "\"password\""),
        ("[prune]\nshedule = \"s3cret\"", "\"prune.shedule\""),
        ("[api]\ntoken = \"s3cret\"", "\"api.token\""),
        ("[database]\nurl = \"s3cret\"", "\"database\""),
        ("prune = \"s3cret\"", "\"prune\""),
        ("\n\nlisten = s3cret", "line 3"),
        ("listen = \"s3cret\"", "listen: must be ADDRESS:PORT"),
        (
            "log_level = \"s3cret\"",
            "log_level: must be one of error, warn, info, debug",
        ),
        (
            "connect_timeout = [\"s3cret\"]",
            "connect_timeout must be one value",
        ),
        ("database_url_file = 5", "database_url_file must be a path"),
        (
            "[api]\nenabled = \"s3cret\"",
            "api.enabled: must be true or false",
        ),
        ("[api]\nconnections = 1000", "api.connections: must be at most 64"),
        ("[prune]\npolicy = \"s3cret\"", "prune.policy: it is not JSON"),
        ("[prune]\npolicy = {max_agee = \"s3cret\"}", "max_agee"),
        (
            "[prune]\nmax_messages = \"s3cret\"",
            "prune.max_messages: must be a whole number",
        ),
    ];
    for (text, expected) in cases {
        let file = TemporaryFile::new(text);
        let arguments = ["--config", file.name()];
        let said = match text.starts_with("log_level") {
            true => {
                let environment = |_: &str| None;
                let sources = Sources::open(Some(&file.0), &environment).ok().unwrap();
                logging(&sources, &CommonArgs::default())
                    .err()
                    .unwrap()
                    .to_string()
            }
            false => error(&arguments, &[]),
        };
        assert!(
            said.contains(expected) && said.contains(file.name()),
            "{text}\n{said}"
        );
        assert!(
            !said.contains("s3cret") && said.lines().count() == 1,
            "{text}\n{said}"
        );
    }
    let said = error(&["--config", "/nonexistent/settings"], &[]);
    assert!(said.contains("/nonexistent/settings"), "{said}");
}

#[test]
fn wrong_variables_are_told_by_name() {
    let said = error(&[], &[("CASTMATCH_COMPANION_QUERY_TIMEOUT", "5h")]);
    assert_eq!(
        said,
        "CASTMATCH_COMPANION_QUERY_TIMEOUT: must be between 10ms and 1h"
    );
    let said = error(&[], &[("CASTMATCH_COMPANION_PRUNE_POLICY", "{s3cret")]);
    assert_eq!(said, "CASTMATCH_COMPANION_PRUNE_POLICY: it is not JSON");
    let said = error(&["--api-connections", "65"], &[]);
    assert_eq!(said, "--api-connections: must be at most 64");
}

#[test]
fn a_policy_is_put_together_from_its_sources() {
    let file = TemporaryFile::new(
        "[prune]\nmax_idle = \"7 days\"\n[prune.policy]\nmax_age = \"90 days\"\nmax_messages = 100\nroles = {app = {max_age = \"1 day\"}}",
    );
    let settings = |extra: &[&str], variables: &[(&str, &str)]| {
        let line: Vec<&str> = ["prune", "--config", file.name()]
            .iter()
            .chain(extra)
            .copied()
            .collect();
        let Command::Prune(args) = command(&line) else {
            panic!("not prune")
        };
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        let environment = |name: &str| match name {
            "DATABASE_URL" => Some(URL.into()),
            name => variables.get(name).map(OsString::from),
        };
        let sources = Sources::open(args.common.config.as_deref(), &environment).unwrap();
        prune_only(&args, &sources).ok().unwrap().policy.unwrap()
    };
    let of_file = json!({"max_age": "90 days", "max_messages": 100, "max_idle": "7 days", "roles": {"app": {"max_age": "1 day"}}});
    assert_eq!(settings(&[], &[]), of_file);
    let flags = settings(
        &["--policy", r#"{"max_bytes": "1GB"}"#, "--max-messages", "5"],
        &[("CASTMATCH_COMPANION_PRUNE_MAX_IDLE", "8 days")],
    );
    // What ranks below the policy stays out of it.
    assert_eq!(flags, json!({"max_bytes": "1GB", "max_messages": 5}));
    let variables = settings(
        &["--max-messages", "5"],
        &[
            ("CASTMATCH_COMPANION_PRUNE_POLICY", r#"{"max_bytes": "1GB"}"#),
            ("CASTMATCH_COMPANION_PRUNE_MAX_AGE", "9 days"),
        ],
    );
    assert_eq!(
        variables,
        json!({"max_bytes": "1GB", "max_messages": 5, "max_age": "9 days"})
    );
}

#[test]
fn the_http_front_is_off_unless_it_is_asked_for_and_has_tokens() {
    let tokens = TemporaryFile::new(
        "[[token]]\nname = \"shop\"\nrole = \"app\"\noperations = [\"match\"]\ntoken = \"0123456789-0123456789\"\n",
    );
    let name = tokens.name();
    let url = Some(URL);
    assert!(load(&["--api-token-file", name], url).ok().unwrap().api.is_none());
    assert!(matches!(load(&["--api"], url), Err(StartError::NoTokenFile)));
    let api = load(&["--api", "--api-token-file", name], url)
        .ok()
        .unwrap()
        .api
        .unwrap();
    assert_eq!(
        (api.connections, api.body_limit, api.deadline),
        (4, 65_536, Duration::from_secs(30))
    );
    assert_eq!(api.tokens.roles(), ["app"]);
    // A path in the file is relative to the file.
    let base = tokens.0.file_name().unwrap().to_str().unwrap();
    let file = TemporaryFile::new(&format!(
        "[api]\nenabled = true\ntoken_file = \"{base}\"\nconnections = 2"
    ));
    let api = load(&["--config", file.name()], url).ok().unwrap().api.unwrap();
    assert_eq!(api.connections, 2);
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
    let file = TemporaryFile::new("postgresql://someone@file-host:5433/d\n");
    let config = load(
        &["--database-url-file", file.name()],
        Some("postgresql://env-host/d"),
    )
    .ok()
    .unwrap();
    assert_eq!(
        (config.database.get_host(), config.database.get_port()),
        ("file-host", 5433)
    );
    // The parts use it too, unless they have one of their own.
    assert_eq!(config.prune.database.get_host(), "file-host");
    let environment = [
        ("DATABASE_URL", URL),
        ("CASTMATCH_COMPANION_PRUNE_DATABASE_URL_FILE", file.name()),
    ];
    let config = load_with(&[], &environment).ok().unwrap();
    assert_eq!(
        (config.database.get_host(), config.prune.database.get_host()),
        ("h", "file-host")
    );
}

#[test]
fn unreadable_url_file_is_an_error_that_names_the_file() {
    let said = error(&["--database-url-file", "/nonexistent/url"], &[]);
    assert!(said.contains("/nonexistent/url"), "{said}");
    let said = error(&["--database-url-file", "/dev/zero"], &[]);
    assert!(said.contains("longer than 64 KiB"), "{said}");
}

#[test]
fn secrets_cannot_be_given_as_arguments() {
    for arguments in [
        ["serve", "--database-url", "postgresql://h/d"],
        ["serve", "--api-token", "0123456789-0123456789"],
    ] {
        assert!(Cli::try_parse_from(["c"].iter().chain(&arguments)).is_err());
    }
}
