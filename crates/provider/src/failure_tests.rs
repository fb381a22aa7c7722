#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn key() -> Secret {
    // Cargo sets it for every test.
    Secret::from_environment("CARGO_PKG_NAME").unwrap()
}

fn of(status: u16, body: &Value) -> Failure {
    Failure::of_status(
        StatusCode::from_u16(status).unwrap(),
        body.to_string().as_bytes(),
        Some(&key()),
    )
}

#[test]
fn kinds_follow_the_status() {
    for (status, kind) in [
        (400, FailureKind::Refused),
        (408, FailureKind::Refused),
        (429, FailureKind::RateLimited),
        (500, FailureKind::Unavailable),
        (599, FailureKind::Unavailable),
        (302, FailureKind::BadAnswer),
        (600, FailureKind::BadAnswer),
    ] {
        let failure = of(status, &json!({}));
        assert_eq!((failure.kind, failure.status), (kind, Some(status)));
    }
}

#[test]
fn the_words_of_the_server_follow_ours() {
    for body in [
        json!({"error": {"message": "no such model"}}),
        json!({"error": "no such model"}),
        json!({"message": "no such model"}),
        json!({"detail": "no such model"}),
    ] {
        let message = of(404, &body).message;
        assert_eq!(
            message,
            "the endpoint refuses the call with status 404: no such model"
        );
    }
    for body in [
        json!({"error": {"message": " "}}),
        json!({"error": 7}),
        json!([]),
        json!(null),
    ] {
        assert_eq!(of(503, &body).message, "the endpoint fails with status 503");
    }
    let failure = Failure::of_status(StatusCode::BAD_GATEWAY, b"<html>canary</html>", None);
    assert_eq!(failure.message, "the endpoint fails with status 502");
}

#[test]
fn error_objects_count_by_their_code() {
    for (code, kind) in [
        (json!(429), FailureKind::RateLimited),
        (json!("400"), FailureKind::Refused),
        (json!("server_error"), FailureKind::Unavailable),
        (json!(null), FailureKind::Unavailable),
    ] {
        let failure = Failure::of_error_object(&json!({"error": {"message": "m", "code": code}}), None);
        assert_eq!(failure.kind, kind);
        assert_eq!(failure.message, "the endpoint answers with an error: m");
    }
}

#[test]
fn every_occurrence_of_the_key_is_replaced_also_at_the_cut() {
    let key = key();
    let words = format!("{0}, {0}x{0}", key.reveal());
    assert_eq!(quote(&words, Some(&key)), "…, …x…");
    let words = format!("{}{}", "a".repeat(MAX_QUOTED_CHARS - 5), key.reveal());
    let quoted = quote(&words, Some(&key));
    assert!(quoted.ends_with("a…") && !quoted.contains("cast"), "{quoted}");
}

#[test]
fn words_are_one_line_that_nothing_reorders() {
    assert_eq!(quote("a\r\nb\tc\u{202e}d\u{2028}e\u{7f}", None), "a  b c d e");
}

proptest! {
    #[test]
    fn any_words_are_short_and_without_the_key(before: String, after: String, repeat in 0_usize..9) {
        let key = key();
        let words = format!("{before}{}{after}", key.reveal()).repeat(repeat);
        let quoted = quote(&words, Some(&key));
        prop_assert!(!quoted.contains(key.reveal()));
        prop_assert!(quoted.chars().count() <= MAX_QUOTED_CHARS);
        prop_assert!(!quoted.chars().any(char::is_control));
    }
}
