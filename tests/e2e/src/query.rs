//! Short forms of SQL questions.

use postgres::Client;
use postgres::error::{DbError, SqlState};
use postgres::types::FromSqlOwned;

/// The one value that the statement returns.
///
/// # Panics
/// If it fails or returns anything else.
pub fn value<T: FromSqlOwned>(client: &mut Client, sql: &str) -> T {
    match client.query_one(sql, &[]) {
        Ok(row) => row.get(0),
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

/// The first column of the rows that the statement returns.
///
/// # Panics
/// If it fails.
pub fn column<T: FromSqlOwned>(client: &mut Client, sql: &str) -> Vec<T> {
    let rows = client
        .query(sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

/// Runs statements, separated by semicolons, for their effect.
///
/// # Panics
/// If one fails.
pub fn run(client: &mut Client, sql: &str) {
    client
        .batch_execute(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// The error that the statements raise.
///
/// # Panics
/// If they raise none, or the connection is lost.
pub fn failure(client: &mut Client, sql: &str) -> DbError {
    match client.batch_execute(sql) {
        Ok(()) => panic!("{sql}: succeeded"),
        Err(error) => error
            .as_db_error()
            .unwrap_or_else(|| panic!("{sql}: {error:?}"))
            .clone(),
    }
}

/// Asserts that the statements raise an error of that SQLSTATE; returns it.
///
/// # Panics
/// If they do not.
pub fn fails_with(client: &mut Client, state: &SqlState, sql: &str) -> DbError {
    let error = failure(client, sql);
    assert_eq!(error.code(), state, "{sql}: {error:?}");
    error
}
