//! What went wrong, as status, headers and the body `{"code", "message", "detail", "hint"}`.
//!
//! The server's own words reach the client only where the request is at fault; anything else is a fixed text, and the log
//! has the rest. `code` is the SQLSTATE then, else a word.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::operation::{Operation, Parameter};
use crate::session::CallError;

/// The body of an error.
#[derive(Debug, Serialize)]
pub struct Body {
    /// A word of this service, or the SQLSTATE.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// An answer that is none.
#[derive(Debug)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Box<Body>,
    /// Seconds after which to come again.
    pub retry_after: Option<u64>,
    /// What the client has to prove.
    pub challenge: Option<&'static str>,
}

impl Problem {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            body: Box::new(Body {
                code: code.to_owned(),
                message: message.into(),
                detail: None,
                hint: None,
            }),
            retry_after: None,
            challenge: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.body.hint = Some(hint.into());
        self
    }

    fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds.max(1));
        self
    }

    /// 401: no token.
    #[must_use]
    pub fn no_token() -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "no_token", "a token is needed")
            .hint("Send the header: Authorization: Bearer TOKEN");
        problem.challenge = Some("Bearer realm=\"castmatch\"");
        problem
    }

    /// 401: a token that is none of ours.
    #[must_use]
    pub fn wrong_token() -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "wrong_token", "the token is not known");
        problem.challenge = Some("Bearer realm=\"castmatch\", error=\"invalid_token\"");
        problem
    }

    /// 403: the token is not for this operation.
    #[must_use]
    pub fn not_allowed(operation: &Operation) -> Self {
        let message = format!("the token does not allow {}", operation.name);
        Self::new(StatusCode::FORBIDDEN, "not_allowed", message)
    }

    /// 429: too many requests with this token.
    #[must_use]
    pub fn too_many_requests(per_minute: u32, seconds: u64) -> Self {
        let message = format!("the token allows {per_minute} requests a minute");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message).retry_after(seconds)
    }

    /// 413.
    #[must_use]
    pub fn body_too_long(limit: u32) -> Self {
        let message = format!("the body may be {limit} bytes long");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_long", message)
    }

    /// 408: the body does not arrive.
    #[must_use]
    pub fn body_too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            "the body did not arrive in time",
        )
    }

    /// 400: the body broke off.
    #[must_use]
    pub fn body_unreadable() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "body_unreadable",
            "the body could not be read",
        )
    }

    /// 415.
    #[must_use]
    pub fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            "the body must be of type application/json",
        )
        .hint("Send the header: Content-Type: application/json")
    }

    /// 400: no JSON object.
    #[must_use]
    pub fn invalid_json(place: &str) -> Self {
        let message = format!("the body is not a JSON object ({place})");
        Self::new(StatusCode::BAD_REQUEST, "invalid_json", message)
    }

    /// 422: a field that is no argument.
    #[must_use]
    pub fn unknown_parameter(operation: &Operation, name: &str) -> Self {
        // A long or strange name is not repeated in full.
        let shown: String = name.chars().take(64).collect();
        let known: Vec<&str> = operation
            .parameters
            .iter()
            .map(|parameter| parameter.name)
            .collect();
        let message = format!("{} has no parameter \"{shown}\"", operation.name);
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_parameter", message)
            .hint(format!("There are {}.", known.join(", ")))
    }

    /// 422: an argument without a default is not there.
    #[must_use]
    pub fn missing_parameter(parameter: &Parameter) -> Self {
        let message = format!("parameter \"{}\" is missing", parameter.name);
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "missing_parameter", message)
    }

    /// 422: an argument of another kind.
    #[must_use]
    pub fn wrong_kind(parameter: &Parameter) -> Self {
        let message = format!(
            "parameter \"{}\" must be {}",
            parameter.name,
            parameter.kind.words()
        );
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong_parameter", message)
    }

    /// 503: all connections are in use.
    #[must_use]
    pub fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "too many requests at once",
        )
        .retry_after(1)
    }

    /// 504.
    #[must_use]
    pub fn deadline() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "deadline",
            "the database did not answer in time",
        )
    }

    fn unavailable(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the request failed; the log of the companion says why",
        )
    }

    /// What a failed call means for the client.
    #[must_use]
    pub fn of_call(error: &CallError) -> Self {
        match error {
            CallError::Unreachable(_) => Self::unavailable("the database is not there").retry_after(1),
            CallError::Deadline { .. } => Self::deadline(),
            CallError::Role { .. } => {
                Self::unavailable("the token is not set up; the log of the companion says why")
            }
            CallError::Malformed(_) => Self::internal(),
            CallError::Server {
                code,
                message,
                detail,
                hint,
            } => {
                let (status, shown) = status_of(code);
                let mut problem = if shown {
                    let mut problem = Self::new(status, code, message.clone());
                    problem.body.detail.clone_from(detail);
                    problem.body.hint.clone_from(hint);
                    problem
                } else if code == "57014" {
                    Self::deadline()
                } else if status == StatusCode::SERVICE_UNAVAILABLE {
                    Self::unavailable("the database cannot answer this now").retry_after(1)
                } else if status == StatusCode::CONFLICT {
                    Self::new(status, "conflict", "another row is in the way")
                } else {
                    Self::internal()
                };
                if matches!(code.as_str(), "53400" | "40001" | "40P01") {
                    problem.retry_after = Some(1);
                }
                problem
            }
        }
    }
}

/// The status of an SQLSTATE, and whether its message is meant for the client. As PostgREST has it, where that is not
/// plainly unfit: functions of castmatch that are not there are no fault of the client.
#[must_use]
pub fn status_of(sqlstate: &str) -> (StatusCode, bool) {
    match sqlstate {
        "42501" => (StatusCode::FORBIDDEN, true),
        "42P01" | "3F000" | "P0002" => (StatusCode::NOT_FOUND, true),
        // A name of the request that is none of the database: a column of a filter, a model, a kind of relation.
        "42703" | "42704" | "42809" | "42804" | "42P10" | "P0001" | "42602" => {
            (StatusCode::BAD_REQUEST, true)
        }
        "40001" | "40P01" | "55000" => (StatusCode::CONFLICT, true),
        // A budget is used up.
        "53400" => (StatusCode::TOO_MANY_REQUESTS, true),
        "57014" => (StatusCode::GATEWAY_TIMEOUT, false),
        // A standby, or a database that is being held read-only.
        "25006" => (StatusCode::SERVICE_UNAVAILABLE, true),
        "42883" | "55P03" => (StatusCode::SERVICE_UNAVAILABLE, false),
        _ => match sqlstate.get(..2).unwrap_or_default() {
            "22" | "0A" | "54" => (StatusCode::BAD_REQUEST, true),
            "23" => (StatusCode::CONFLICT, false),
            "08" | "53" | "57" => (StatusCode::SERVICE_UNAVAILABLE, false),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, false),
        },
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.challenge {
            let challenge = HeaderValue::from_static(challenge);
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(code: &str) -> Problem {
        Problem::of_call(&CallError::Server {
            code: code.to_owned(),
            message: "message of the server".to_owned(),
            detail: Some("detail of the server".to_owned()),
            hint: None,
        })
    }

    #[test]
    fn faults_of_the_request_are_told_in_the_servers_words_and_nothing_else_is() {
        let shown = [
            ("22023", 400),
            ("22P02", 400),
            ("0A000", 400),
            ("54000", 400),
            ("42703", 400),
            ("42704", 400),
            ("P0001", 400),
            ("42501", 403),
            ("42P01", 404),
            ("3F000", 404),
            ("P0002", 404),
            ("40001", 409),
            ("40P01", 409),
            ("55000", 409),
            ("53400", 429),
            ("25006", 503),
        ];
        for (code, status) in shown {
            let problem = problem(code);
            assert_eq!(problem.status.as_u16(), status, "{code}");
            assert_eq!(
                (problem.body.code.as_str(), problem.body.message.as_str()),
                (code, "message of the server")
            );
            assert_eq!(problem.body.detail.as_deref(), Some("detail of the server"));
        }
        let hidden = [
            ("XX000", 500),
            ("XX002", 500),
            ("42601", 500),
            ("25001", 500),
            ("58030", 500),
            ("23505", 409),
            ("42883", 503),
            ("08006", 503),
            ("53200", 503),
            ("53300", 503),
            ("55P03", 503),
            ("57014", 504),
            ("", 500),
            ("é", 500),
        ];
        for (code, status) in hidden {
            let problem = problem(code);
            assert_eq!(problem.status.as_u16(), status, "{code}");
            assert!(!format!("{:?}", problem.body).contains("of the server"), "{code}");
        }
    }

    #[test]
    fn who_may_try_again_is_told_when() {
        for code in ["40001", "53300", "53400", "08006"] {
            assert!(problem(code).retry_after.is_some(), "{code}");
        }
        for code in ["22023", "42501", "XX000"] {
            assert!(problem(code).retry_after.is_none(), "{code}");
        }
        let response = Problem::too_many_requests(6, 0).into_response();
        assert_eq!(
            response.headers().get(RETRY_AFTER),
            Some(&HeaderValue::from_static("1"))
        );
    }
}
