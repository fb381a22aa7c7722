//! What can go wrong outside the database. At start, [`StartError`]: one line on standard error, exit code 1.
//! While a request is answered, [`Error`]: logged here, shown to the client only as a status code. Failures of
//! the database are values of [`crate::database::ReadError`] and never end a request or the process.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Why the service did not start, or stopped without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Neither DATABASE_URL nor --database-url-file was given.
    #[error("no database: set DATABASE_URL or give --database-url-file FILE")]
    NoDatabaseUrl,
    /// The file named by --database-url-file cannot be read.
    #[error("cannot read the database URL from \"{}\": {source}", path.display())]
    DatabaseUrlFile {
        /// As given on the command line.
        path: PathBuf,
        /// What the operating system or the UTF-8 check said.
        source: io::Error,
    },
    /// The URL does not parse. Holds no part of the URL: it may contain a password.
    #[error("the database URL from {origin} is not valid: {problem}")]
    DatabaseUrl {
        /// Where the URL came from.
        origin: &'static str,
        /// A fixed text, never a part of the input.
        problem: &'static str,
    },
    /// A setting of the command line or the environment is wrong.
    #[error("{origin}: {problem}")]
    Setting {
        /// The flag or variable.
        origin: String,
        /// What is allowed; never the value.
        problem: String,
    },
    /// A TOML file cannot be read or is wrong.
    #[error("\"{}\": {problem}", path.display())]
    File {
        /// As the user named it.
        path: PathBuf,
        /// Names the key; never the value.
        problem: String,
    },
    /// The HTTP front was asked for without saying who may use it.
    #[error("--api needs --api-token-file FILE: there is no HTTP front without tokens")]
    NoTokenFile,
    /// The HTTP address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// As given by --listen.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The metrics of the companion itself cannot be registered.
    #[error("cannot register the companion's metrics: {0}")]
    Instruments(#[from] prometheus::Error),
    /// No runtime or no signal handler.
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
    /// A background task is gone, so every answer from now on would be stale, or nothing pruned.
    #[error("a background task ended unexpectedly: {0}")]
    TaskEnded(tokio::task::JoinError),
}

/// Why a request could not be answered as it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The metrics could not be written in the text format.
    #[error("cannot encode the metrics: {0}")]
    Encode(#[from] prometheus::Error),
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        tracing::error!("{self}");
        (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response()
    }
}
