//! Why there is no connection, and what to do about it. Names the host, the port and the user, which the operator has
//! given; never the password.

use std::io::ErrorKind;

use sqlx::Error;
use sqlx::postgres::PgConnectOptions;

use crate::session::CallError;

/// What is wrong and how to mend it.
#[must_use]
pub fn explain(error: &CallError, options: &PgConnectOptions) -> (String, String) {
    let place = place(options);
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    let (problem, remedy): (String, String) = match error {
        CallError::Deadline { limit_ms } => (
            format!("{place} did not answer within {limit_ms} ms"),
            "check the host and firewalls between, or raise --connect-timeout".into(),
        ),
        CallError::Unreachable(Error::Io(error)) => of_io(error, &place),
        CallError::Unreachable(Error::Tls(_)) => (
            format!("no TLS connection to {place}"),
            "with sslmode=verify-full the server's certificate must name the host and come from an authority that \
             the system or sslrootcert trusts; sslmode=require asks for less"
                .into(),
        ),
        CallError::Unreachable(Error::Database(report)) => {
            let code = report.code().unwrap_or_default();
            match code.as_ref() {
                "28P01" => (
                    format!("the server refused the password of user \"{user}\""),
                    "correct the password in the database URL (percent-encoded), or set it by ALTER ROLE".into(),
                ),
                "28000" => (
                    format!("the server does not let user \"{user}\" in from here"),
                    "the role must exist and have LOGIN, and pg_hba.conf must have a line for it; where the line says \
                     hostssl, add sslmode=require to the URL"
                        .into(),
                ),
                "3D000" => (
                    format!("there is no database \"{database}\" at {place}"),
                    "correct the name at the end of the database URL".into(),
                ),
                "42501" => (
                    format!("user \"{user}\" may not connect to database \"{database}\""),
                    format!("run GRANT CONNECT ON DATABASE {database} TO {user}"),
                ),
                "53300" => (
                    format!("{place} has no connection left"),
                    "raise max_connections, or use a pooler".into(),
                ),
                "57P03" => (
                    format!("the server at {place} is starting up or shutting down"),
                    "try again later".into(),
                ),
                _ => (
                    format!("the server at {place} refused the connection with SQLSTATE {code}"),
                    "the log of the server, or of the pooler, says why".into(),
                ),
            }
        }
        CallError::Unreachable(_) => (
            format!("no connection to {place}: it does not speak PostgreSQL's protocol as expected"),
            "check that host and port are those of PostgreSQL or PgBouncer, and its authentication method (scram-sha-256 \
             or md5)"
                .into(),
        ),
        CallError::Server { code, .. } => (
            format!("the server at {place} refused the connection with SQLSTATE {code}"),
            "the log of the server says why".into(),
        ),
        CallError::Role { .. } | CallError::Malformed(_) => (
            format!("{place} gave an unexpected answer"),
            "check that host and port are those of PostgreSQL".into(),
        ),
    };
    (problem, remedy)
}

fn place(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(folder) => format!("the socket in {} (port {})", folder.display(), options.get_port()),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

fn of_io(error: &std::io::Error, place: &str) -> (String, String) {
    match error.kind() {
        ErrorKind::ConnectionRefused => (
            format!("nothing listens at {place}"),
            "start the server, or correct host and port of the database URL (listen_addresses of the server must have \
             that address)"
                .into(),
        ),
        ErrorKind::NotFound => (
            format!("{place} is not there"),
            "start the server, or correct the folder of the socket and the port in the database URL".into(),
        ),
        ErrorKind::PermissionDenied => (
            format!("{place} may not be used by this account"),
            "see unix_socket_permissions of the server".into(),
        ),
        ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => (
            format!("{place} cannot be reached"),
            "check the host and the network".into(),
        ),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => (
            format!("{place} closed the connection"),
            "check that host and port are those of PostgreSQL or PgBouncer; the log of the server may say more".into(),
        ),
        _ => (
            format!("no connection to {place} ({})", error.kind()),
            "check the host's name and the network".into(),
        ),
    }
}
