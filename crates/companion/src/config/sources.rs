//! Where a setting comes from: the flag, else the environment, else the file. A setting `prune.schedule` of the file is
//! `CASTMATCH_COMPANION_PRUNE_SCHEDULE` in the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;
use toml::Value;

use super::file::{self, TomlFile};
use super::url;
use crate::error::StartError;

/// Every setting of the file; docs/companion.md has the table.
pub const KEYS: [&str; 29] = [
    "listen",
    "database_url_file",
    "connect_timeout",
    "query_timeout",
    "probe_interval",
    "scrape_deadline",
    "shutdown_timeout",
    "log_level",
    "log_format",
    "prune.schedule",
    "prune.jitter",
    "prune.policy",
    "prune.max_age",
    "prune.max_idle",
    "prune.max_messages",
    "prune.max_bytes",
    "prune.max_request_age",
    "prune.batch_pause",
    "prune.batch_timeout",
    "prune.lock_timeout",
    "prune.dry_run_timeout",
    "prune.database_url_file",
    "api.enabled",
    "api.token_file",
    "api.database_url_file",
    "api.deadline",
    "api.queue_timeout",
    "api.connections",
    "api.body_limit",
];

/// The environment variable of a setting. `api.enabled` is the flag --api, hence `CASTMATCH_COMPANION_API`.
#[must_use]
pub fn variable(key: &str) -> String {
    let name = key.strip_suffix(".enabled").unwrap_or(key);
    format!(
        "CASTMATCH_COMPANION_{}",
        name.replace('.', "_").to_ascii_uppercase()
    )
}

/// Where a setting was found; the greater one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The file.
    File,
    /// The environment.
    Environment,
    /// A flag.
    Flag,
}

/// Environment and file.
pub struct Sources<'a> {
    environment: &'a dyn Fn(&str) -> Option<OsString>,
    file: Option<TomlFile>,
}

impl<'a> Sources<'a> {
    /// Reads the file that the flag or the environment names.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML or has settings that do not exist.
    pub fn open(
        flag: Option<&Path>,
        environment: &'a dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, StartError> {
        let without_file = Self {
            environment,
            file: None,
        };
        let named = match flag {
            Some(path) => Some(path.to_owned()),
            None => without_file.path_variable("config"),
        };
        let Some(path) = named else {
            return Ok(without_file);
        };
        let file = TomlFile::open(&path)?;
        file.allow(&KEYS)?;
        Ok(Self {
            environment,
            file: Some(file),
        })
    }

    /// Where the file is.
    #[must_use]
    pub fn file_path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    /// Where a setting is taken from, if it is set anywhere.
    ///
    /// # Errors
    /// When its variable is not UTF-8.
    pub fn origin(&self, key: &str, has_flag: bool) -> Result<Option<Origin>, StartError> {
        if has_flag {
            return Ok(Some(Origin::Flag));
        }
        if self.environment(key)?.is_some() {
            return Ok(Some(Origin::Environment));
        }
        Ok(self.of_file(key).map(|_| Origin::File))
    }

    /// A setting, if it is set anywhere. A flag has been parsed already.
    ///
    /// # Errors
    /// When the value is wrong; names the variable or the key and file.
    pub fn value<T>(
        &self,
        key: &str,
        flag: Option<T>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, StartError> {
        if flag.is_some() {
            return Ok(flag);
        }
        if let Some(text) = self.environment(key)? {
            let value = parse(&text).map_err(|problem| Self::variable_error(key, problem))?;
            return Ok(Some(value));
        }
        let Some((file, value)) = self.of_file(key) else {
            return Ok(None);
        };
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Boolean(flag) => flag.to_string(),
            _ => return Err(file.error(&format!("{key} must be one value"))),
        };
        let value = parse(&text).map_err(|problem| file.error(&format!("{key}: {problem}")))?;
        Ok(Some(value))
    }

    /// As [`Self::value`], then checks it wherever it comes from.
    ///
    /// # Errors
    /// As there.
    pub fn checked<T>(
        &self,
        key: &str,
        flag: Option<T>,
        parse: impl Fn(&str) -> Result<T, String>,
        check: impl Fn(T) -> Result<T, String>,
    ) -> Result<Option<T>, StartError> {
        let flag = match flag {
            Some(value) => {
                let name = key.replace(['.', '_'], "-");
                let checked = check(value).map_err(|problem| StartError::Setting {
                    origin: format!("--{name}"),
                    problem,
                });
                Some(checked?)
            }
            None => None,
        };
        self.value(key, flag, |text| parse(text).and_then(&check))
    }

    /// A path. One in the file is relative to the folder of the file.
    ///
    /// # Errors
    /// When it is no text.
    pub fn path(&self, key: &str, flag: Option<PathBuf>) -> Result<Option<PathBuf>, StartError> {
        if let Some(path) = flag.or_else(|| self.path_variable(key)) {
            return Ok(Some(path));
        }
        let Some((file, value)) = self.of_file(key) else {
            return Ok(None);
        };
        let Some(text) = value.as_str() else {
            return Err(file.error(&format!("{key} must be a path")));
        };
        let folder = file.path.parent().unwrap_or(Path::new(""));
        Ok(Some(folder.join(text)))
    }

    /// A JSON value: as text in the flag and the environment, as such or as text in the file.
    ///
    /// # Errors
    /// When it is not JSON, or `check` refuses it.
    pub fn json(
        &self,
        key: &str,
        flag: Option<&str>,
        check: impl Fn(&serde_json::Value) -> Result<(), String>,
    ) -> Result<Option<serde_json::Value>, StartError> {
        let parse = |text: &str| {
            // Not serde_json's own text, which may show a part of it.
            let value = serde_json::from_str(text).map_err(|_| "it is not JSON".to_owned())?;
            check(&value).map(|()| value)
        };
        if let Some(text) = flag {
            let value = parse(text).map_err(|problem| StartError::Setting {
                origin: format!("--{}", key.replace(['.', '_'], "-")),
                problem,
            })?;
            return Ok(Some(value));
        }
        if let Some(text) = self.environment(key)? {
            let value = parse(&text).map_err(|problem| Self::variable_error(key, problem))?;
            return Ok(Some(value));
        }
        let Some((file, value)) = self.of_file(key) else {
            return Ok(None);
        };
        let value = match value {
            Value::String(text) => parse(text),
            other => {
                let value = file::to_json(other);
                check(&value).map(|()| value)
            }
        };
        let value = value.map_err(|problem| file.error(&format!("{key}: {problem}")))?;
        Ok(Some(value))
    }

    /// The database that a file names, else DATABASE_URL.
    ///
    /// # Errors
    /// When there is none, or the URL does not parse. Never repeats it.
    pub fn database(&self, flag: Option<PathBuf>) -> Result<PgConnectOptions, StartError> {
        match self.path("database_url_file", flag)? {
            Some(path) => url::from_file(&path),
            None => url::from_environment((self.environment)("DATABASE_URL")),
        }
    }

    /// The database that the file of a part names, else `shared`.
    ///
    /// # Errors
    /// As [`Self::database`].
    pub fn database_of(
        &self,
        key: &str,
        flag: Option<PathBuf>,
        shared: &PgConnectOptions,
    ) -> Result<PgConnectOptions, StartError> {
        match self.path(key, flag)? {
            Some(path) => url::from_file(&path),
            None => Ok(shared.clone()),
        }
    }

    /// An empty variable counts as none: compose files and units set such.
    fn environment(&self, key: &str) -> Result<Option<String>, StartError> {
        let Some(value) = (self.environment)(&variable(key)).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        value
            .into_string()
            .map(Some)
            .map_err(|_| Self::variable_error(key, "it is not UTF-8".to_owned()))
    }

    fn path_variable(&self, key: &str) -> Option<PathBuf> {
        let value = (self.environment)(&variable(key))?;
        (!value.is_empty()).then(|| value.into())
    }

    fn of_file(&self, key: &str) -> Option<(&TomlFile, &Value)> {
        let file = self.file.as_ref()?;
        Some((file, file.get(key)?))
    }

    fn variable_error(key: &str, problem: String) -> StartError {
        StartError::Setting {
            origin: variable(key),
            problem,
        }
    }
}
