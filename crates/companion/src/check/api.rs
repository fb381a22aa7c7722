//! Whether the HTTP front could act as the roles of its tokens.

use std::time::Duration;

use super::connect;
use super::database::Facts;
use super::report::Report;
use crate::api::Settings;
use crate::session::{CallError, Limits, Session, within};

/// The login of the front has to be granted the roles of all tokens, which whoever watches and prunes should not have.
pub(super) fn login(report: &mut Report, settings: &Settings, facts: &Facts) {
    if settings.database.get_username() == facts.user {
        report.warning(
            "api",
            format!("the HTTP front connects as \"{}\", as the monitor does", facts.user),
            "make a LOGIN NOINHERIT role for it, grant it the roles of the tokens, and name it with --api-database-url-file",
        );
    }
}

pub(super) async fn tokens(report: &mut Report, settings: &Settings, limit: Duration) {
    let opened = Session::open(&settings.database, super::APPLICATION, settings.connect_timeout).await;
    let mut session = match opened {
        Ok(session) => session,
        Err(error) => {
            let (problem, remedy) = connect::explain(&error, &settings.database);
            return report.error("api", problem, remedy);
        }
    };
    let mut wrong = false;
    for role in settings.tokens.roles() {
        let limits = Limits {
            statement: limit,
            lock: limit,
            read_only: true,
            role: Some(role),
        };
        let question = "SELECT CURRENT_USER::pg_catalog.text";
        match within(limit, session.call(&limits, question, &[])).await {
            Ok(_) => {}
            Err(CallError::Role { role: who, problem }) => {
                wrong = true;
                let login = settings.database.get_username();
                report.error(
                    "api",
                    format!("the HTTP front cannot act as \"{role}\" (\"{who}\": {problem})"),
                    format!(
                        "the role must exist, must have been granted to \"{login}\", and neither may be a superuser"
                    ),
                );
            }
            Err(error) => {
                return report.error("api", error.to_string(), "see the log of the server");
            }
        }
    }
    session.close().await;
    if !wrong {
        report.ok(
            "api",
            format!("{} tokens, their roles can be taken", settings.tokens.count()),
        );
    }
}
