//! TOML files: the settings of --config and the tokens of the HTTP front. An error names the file, the place and the key,
//! never a value: it may be a secret.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::error::StartError;

/// A longer file is neither settings, nor tokens, nor a database URL.
const MAX_BYTES: u64 = 64 * 1024;

/// A file with its content.
#[derive(Debug, Clone)]
pub struct TomlFile {
    /// As the user named it.
    pub path: PathBuf,
    /// What it holds.
    pub table: Table,
}

impl TomlFile {
    /// Reads and parses it.
    ///
    /// # Errors
    /// When it cannot be read or is not TOML.
    pub fn open(path: &Path) -> Result<Self, StartError> {
        let text = read(path).map_err(|error| Self::at(path, &error.to_string()))?;
        let table = text.parse().map_err(|error: toml::de::Error| {
            // Its own Display would show the line.
            let before = error
                .span()
                .map_or("", |span| text.get(..span.start).unwrap_or(""));
            let line = before.matches('\n').count() + 1;
            Self::at(path, &format!("line {line}: {}", error.message()))
        })?;
        Ok(Self {
            path: path.to_owned(),
            table,
        })
    }

    /// An error of this file.
    #[must_use]
    pub fn error(&self, problem: &str) -> StartError {
        Self::at(&self.path, problem)
    }

    fn at(path: &Path, problem: &str) -> StartError {
        StartError::File {
            path: path.to_owned(),
            problem: problem.to_owned(),
        }
    }

    /// The value at a key such as `listen` or `prune.schedule`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        match key.split_once('.') {
            Some((table, key)) => self.table.get(table)?.as_table()?.get(key),
            None => self.table.get(key),
        }
    }

    /// Whether only those keys occur.
    ///
    /// # Errors
    /// On the first other one, with the keys that could be meant.
    pub fn allow(&self, known: &[&str]) -> Result<(), StartError> {
        for (name, value) in &self.table {
            let prefix = format!("{name}.");
            match value.as_table() {
                Some(inner) if known.iter().any(|key| key.starts_with(&prefix)) => {
                    for key in inner.keys() {
                        self.allow_key(&format!("{prefix}{key}"), &prefix, known)?;
                    }
                }
                _ => self.allow_key(name, "", known)?,
            }
        }
        Ok(())
    }

    fn allow_key(&self, key: &str, prefix: &str, known: &[&str]) -> Result<(), StartError> {
        if known.contains(&key) {
            return Ok(());
        }
        let mut siblings: Vec<&str> = Vec::new();
        for name in known {
            let Some(name) = name.strip_prefix(prefix) else {
                continue;
            };
            let name = name.split('.').next().unwrap_or(name);
            if !siblings.contains(&name) {
                siblings.push(name);
            }
        }
        Err(self.error(&format!(
            "there is no setting \"{key}\" (there are {})",
            siblings.join(", ")
        )))
    }
}

/// A small text file.
///
/// # Errors
/// When it cannot be read, is too long or not UTF-8.
pub fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        let problem = format!("the file is longer than {} KiB", MAX_BYTES / 1024);
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    Ok(text)
}

/// Whether every user of the machine may read a file.
#[must_use]
pub fn is_readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// Logs it if every user of the machine may read a file.
pub fn warn_if_readable_by_others(path: &Path, holds: &str) {
    if is_readable_by_others(path) {
        tracing::warn!("\"{}\" holds {holds} and every user can read it", path.display());
    }
}

/// TOML's value as JSON has it.
#[must_use]
pub fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Boolean(flag) => (*flag).into(),
        Value::Datetime(time) => time.to_string().into(),
        Value::Array(values) => values.iter().map(to_json).collect(),
        Value::Table(table) => table
            .iter()
            .map(|(key, value)| (key.clone(), to_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}
