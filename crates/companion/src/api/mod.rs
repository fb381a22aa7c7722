//! The HTTP front: POST /match, /chat and /benchmark call the functions of these names, as the role of the token that
//! comes with the request. Off unless asked for. No SQL comes over HTTP: the statement is made of constants and the values
//! are bound.
//!
//! What a request passes, in this order: the token (401), its operations (403), its rate (429), a place among those in
//! flight (503), the type and length of the body (415, 413, 408), its fields (400, 422), a connection (503), the database.

pub mod body;
pub mod instruments;
pub mod limiter;
pub mod openapi;
pub mod operation;
pub mod pool;
pub mod problem;
mod request_id;
pub mod tokens;

use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use instruments::Instruments;
use operation::{OPERATIONS, Operation};
use pool::{Pool, PoolError};
use problem::Problem;
use tokens::Holder;
pub use tokens::Tokens;

/// Requests in flight for each connection; more are told to come again at once. Together with the most connections
/// ([`crate::config`]) that leaves room for probes and scrapes among the connections that the server accepts.
const REQUESTS_PER_CONNECTION: u32 = 8;

/// No more than this, however many connections there are.
const MAX_IN_FLIGHT: u32 = 96;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How the front is to be. Has no `Debug`: the options hold the password.
pub struct Settings {
    /// Where the database is.
    pub database: PgConnectOptions,
    /// Limit for opening a connection.
    pub connect_timeout: Duration,
    /// Who may use it.
    pub tokens: Tokens,
    /// Limit for a request.
    pub deadline: Duration,
    /// Limit for waiting on a connection.
    pub queue_timeout: Duration,
    /// Connections to the database.
    pub connections: u32,
    /// Longest body in bytes.
    pub body_limit: u32,
}

struct Front {
    tokens: Tokens,
    pool: Pool,
    in_flight: Semaphore,
    instruments: Instruments,
    deadline: Duration,
    body_limit: u32,
}

/// The routes of the front.
pub fn router(settings: Settings, instruments: Instruments) -> Router {
    let in_flight = (settings.connections * REQUESTS_PER_CONNECTION).min(MAX_IN_FLIGHT);
    let document = Bytes::from(openapi::document(&settings).to_string());
    let body_limit = settings.body_limit;
    // One connection, and what is in flight for it, is left to the others, where there are others.
    let others = u32::from(settings.tokens.count() > 1);
    let share = |all: u32, one: u32| all.saturating_sub(others * one).max(one) as usize;
    settings.tokens.share_out(
        share(settings.connections, 1),
        share(in_flight, REQUESTS_PER_CONNECTION),
    );
    let front = Arc::new(Front {
        tokens: settings.tokens,
        pool: Pool::new(
            settings.database,
            settings.connections,
            settings.connect_timeout,
            settings.queue_timeout,
        ),
        in_flight: Semaphore::new(in_flight as usize),
        instruments,
        deadline: settings.deadline,
        body_limit,
    });
    let mut router = Router::new().route(
        "/openapi.json",
        get(move || async move { json_response(document) }),
    );
    for operation in OPERATIONS {
        let front = Arc::clone(&front);
        let handler = move |request| async move { front.answer(operation, request).await };
        router = router.route(&format!("/{}", operation.name), post(handler));
    }
    router.layer(DefaultBodyLimit::max(body_limit as usize))
}

fn json_response(text: impl Into<Bytes>) -> Response {
    ([(CONTENT_TYPE, "application/json")], text.into()).into_response()
}

impl Front {
    /// The answer with its id, counted and logged. The log has neither texts nor values.
    async fn answer(&self, operation: &'static Operation, request: Request) -> Response {
        let started = StdInstant::now();
        let id = request_id::of(request.headers());
        let (holder, result) = match self.admit(operation, request.headers()) {
            Ok(holder) => (Some(holder), self.serve(operation, holder, &id, request).await),
            Err(problem) => (None, Err(problem)),
        };
        let mut response = result.map_or_else(IntoResponse::into_response, json_response);
        let status = response.status().as_u16();
        let took = started.elapsed();
        self.instruments.count(operation.name, status);
        if holder.is_some() {
            self.instruments.observe(operation.name, took);
        }
        let token = holder.map_or("", |holder| &holder.name);
        tracing::info!(
            request_id = id,
            token,
            operation = operation.name,
            status,
            ms = took.as_secs_f64() * 1e3,
            "request"
        );
        let header = request_id::header_value(&id);
        response.headers_mut().insert(request_id::HEADER.clone(), header);
        response
    }

    fn admit(&self, operation: &Operation, headers: &HeaderMap) -> Result<&Holder, Problem> {
        let token = bearer(headers).ok_or_else(Problem::no_token)?;
        let holder = self.tokens.holder(token).ok_or_else(Problem::wrong_token)?;
        if !holder.may(operation.name) {
            return Err(Problem::not_allowed(operation));
        }
        let limiter = &holder.limiter;
        limiter
            .take(StdInstant::now())
            .map_err(|seconds| Problem::too_many_requests(limiter.per_minute(), seconds))?;
        Ok(holder)
    }

    async fn serve(
        &self,
        operation: &Operation,
        holder: &Holder,
        id: &str,
        request: Request,
    ) -> Result<String, Problem> {
        let _own_place = holder.in_flight.try_acquire().map_err(|_| Problem::busy())?;
        let _place = self.in_flight.try_acquire().map_err(|_| Problem::busy())?;
        let deadline = Instant::now() + self.deadline;
        let body = self.body(request).await?;
        let statement = body::decode(operation, &body)?;
        drop(body);
        let called = self.pool.call(holder, operation.read_only, &statement, deadline);
        match called.await {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Ok("null".to_owned()),
            Err(PoolError::Exhausted) => Err(Problem::busy()),
            Err(PoolError::Call(error)) => {
                let problem = Problem::of_call(&error);
                // A fault of the request is the client's affair, and its message may hold a part of the request.
                if problem.status.is_server_error() {
                    let token = &holder.name;
                    tracing::warn!(
                        request_id = id,
                        token,
                        operation = operation.name,
                        "{}",
                        reason(&error)
                    );
                }
                Err(problem)
            }
        }
    }

    async fn body(&self, request: Request) -> Result<Bytes, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::not_json());
        }
        match timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await {
            Err(_) => Err(Problem::body_too_slow()),
            Ok(Ok(body)) => Ok(body),
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Problem::body_too_long(self.body_limit))
            }
            Ok(Err(_)) => Err(Problem::body_unreadable()),
        }
    }
}

/// For the log: a message of the server may hold a text of the user, its code does not.
fn reason(error: &crate::session::CallError) -> String {
    match error.sqlstate() {
        Some(code) => format!("the database failed with SQLSTATE {code}; its log has the message"),
        None => error.to_string(),
    }
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| {
        let kind = value.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn bearer_tokens_are_read_as_the_rfc_has_it() {
        let token = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").unwrap(), "abc");
        assert_eq!(token("bearer  abc").unwrap(), "abc");
        for value in ["", "Bearer", "Bearer ", "Basic abc", "abc", "Bearerabc"] {
            assert_eq!(token(value), None, "{value:?}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn only_json_is_json() {
        let is = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            is_json(&headers)
        };
        assert!(is("application/json") && is("Application/JSON; charset=utf-8"));
        assert!(!is("text/json") && !is("application/jsonp") && !is("") && !is_json(&HeaderMap::new()));
    }
}
