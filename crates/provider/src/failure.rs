//! Why there is no answer. A server's own words are quoted, and they are untrusted: they may hold anything, the key that
//! was sent to it included, and what becomes of them is shown to users and written to logs.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::Value;

use crate::secret::Secret;

/// The most characters of a server's own words.
const MAX_QUOTED_CHARS: usize = 200;

/// Why an attempt, and with the last one the call, has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which sort of failure.
    pub kind: FailureKind,
    /// What happened, in lower case and without a full stop; at its end, if the server gave any, its own words in at most
    /// 200 characters. Never holds the key.
    pub message: String,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// How long the endpoint asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// The sorts of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The endpoint does not accept the call: status 4xx except 429. Also a call that cannot be sent, then without status.
    Refused,
    /// Status 429.
    RateLimited,
    /// The endpoint is in trouble: status 5xx.
    Unavailable,
    /// The time of an attempt is over.
    TimedOut,
    /// No connection, or one that broke: names, TCP, TLS, reset.
    Unreachable,
    /// An answer that is not as the protocol has it, or longer than is read.
    BadAnswer,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            status: None,
            retry_after: None,
        }
    }

    pub(crate) fn bad_answer(message: impl Into<String>) -> Self {
        Self::new(FailureKind::BadAnswer, message)
    }

    /// From an answer whose status is no success; `body` as far as it was read.
    pub(crate) fn of_status(status: StatusCode, body: &[u8], secret: Option<&Secret>) -> Self {
        let kind = match status.as_u16() {
            429 => FailureKind::RateLimited,
            400..=499 => FailureKind::Refused,
            500..=599 => FailureKind::Unavailable,
            _ => FailureKind::BadAnswer,
        };
        let mut message = match kind {
            FailureKind::Refused => format!("the endpoint refuses the call with status {}", status.as_u16()),
            FailureKind::RateLimited => "the endpoint limits the rate of calls (status 429)".to_owned(),
            FailureKind::Unavailable => format!("the endpoint fails with status {}", status.as_u16()),
            _ => format!(
                "the endpoint answers with the unexpected status {}",
                status.as_u16()
            ),
        };
        let own_words = serde_json::from_slice::<Value>(body)
            .ok()
            .and_then(|body| words_of(&body).map(str::to_owned));
        if let Some(words) = own_words {
            message.push_str(": ");
            message.push_str(&quote(&words, secret));
        }
        Self {
            kind,
            message,
            status: Some(status.as_u16()),
            retry_after: None,
        }
    }

    /// From an error object in the place of an answer: some servers send one with status 200, and within a stream there is
    /// no other way. Its code counts as a status, if it is one.
    pub(crate) fn of_error_object(body: &Value, secret: Option<&Secret>) -> Self {
        let code = body.pointer("/error/code").or_else(|| body.get("code"));
        let code = code.and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
        let kind = match code {
            Some(429) => FailureKind::RateLimited,
            Some(400..=499) => FailureKind::Refused,
            _ => FailureKind::Unavailable,
        };
        let mut message = "the endpoint answers with an error".to_owned();
        if let Some(words) = words_of(body) {
            message.push_str(": ");
            message.push_str(&quote(words, secret));
        }
        Self::new(kind, message)
    }

    /// Whether another attempt may end otherwise.
    pub(crate) fn is_transient(&self) -> bool {
        match self.kind {
            FailureKind::Refused => self.status == Some(408),
            // A redirection, which is not followed.
            FailureKind::BadAnswer => !self.status.is_some_and(|status| (300..400).contains(&status)),
            _ => true,
        }
    }
}

/// The text of an error: `{"error": {"message": …}}` as published; `{"error": …}`, `{"message": …}` and `{"detail": …}` of
/// servers that speak nearly the same.
fn words_of(body: &Value) -> Option<&str> {
    ["/error/message", "/error", "/message", "/detail"]
        .iter()
        .find_map(|place| body.pointer(place)?.as_str())
        .filter(|words| !words.trim().is_empty())
}

/// A server's own words, fit to be shown: one line, without the key, without characters that change how the rest of a line
/// is shown, of bounded length.
pub(crate) fn quote(words: &str, secret: Option<&Secret>) -> String {
    let line: String = words
        .chars()
        .map(|c| {
            if c.is_control() || changes_display(c) {
                ' '
            } else {
                c
            }
        })
        .collect();
    // A key holds no such characters, so it is found after their removal as before, and never cut in two.
    let line = match secret {
        Some(secret) => line.trim().replace(secret.reveal(), "…"),
        None => line.trim().to_owned(),
    };
    if line.chars().count() <= MAX_QUOTED_CHARS {
        return line;
    }
    line.chars().take(MAX_QUOTED_CHARS - 1).chain(['…']).collect()
}

/// Line and paragraph separators, and the invisible characters that reorder text (Unicode Standard Annex 9, 2.1 to 2.6) or
/// hide parts of it.
fn changes_display(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}')
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
