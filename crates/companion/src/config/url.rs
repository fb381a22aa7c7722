//! The database URL: from DATABASE_URL or from a file, never from an argument, because arguments are visible to every
//! user of the machine. No error here repeats any part of it.

use std::ffi::OsString;
use std::path::Path;

use sqlx::postgres::PgConnectOptions;

use super::file;
use crate::error::StartError;

pub(super) fn from_file(path: &Path) -> Result<PgConnectOptions, StartError> {
    let url = file::read(path).map_err(|source| StartError::DatabaseUrlFile {
        path: path.to_owned(),
        source,
    })?;
    file::warn_if_readable_by_others(path, "a database URL");
    parse(url.trim(), "the file")
}

pub(super) fn from_environment(value: Option<OsString>) -> Result<PgConnectOptions, StartError> {
    let url = value.unwrap_or_default();
    let Some(url) = url.to_str() else {
        return Err(StartError::DatabaseUrl {
            origin: "DATABASE_URL",
            problem: "it is not UTF-8",
        });
    };
    if url.trim().is_empty() {
        return Err(StartError::NoDatabaseUrl);
    }
    parse(url.trim(), "DATABASE_URL")
}

/// sqlx takes any scheme and quotes parts of the input in its errors, hence the own check and the fixed
/// texts.
fn parse(url: &str, origin: &'static str) -> Result<PgConnectOptions, StartError> {
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
