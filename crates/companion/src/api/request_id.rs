//! A name for each request, so that a client's report and a line of the log come together.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header in both directions.
pub(super) static HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longer or stranger ones are replaced: they end up in the log.
const MAX_CHARS: usize = 64;

/// That of the client, else a new one.
pub(super) fn of(headers: &HeaderMap) -> String {
    let given = headers.get(&HEADER).and_then(|value| value.to_str().ok());
    match given.filter(|id| is_plain(id)) {
        Some(id) => id.to_owned(),
        None => new(),
    }
}

fn is_plain(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=MAX_CHARS).contains(&id.len()) && id.bytes().all(plain)
}

fn new() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Seeded at random each time; not a secret, only different.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
    format!("{:016x}", hasher.finish())
}

pub(super) fn header_value(id: &str) -> HeaderValue {
    HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_ids_of_the_client_are_kept_and_others_replaced() {
        let id = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER.clone(), header_value(text));
            of(&headers)
        };
        assert_eq!(id("a-1_B.2"), "a-1_B.2");
        for text in ["", "a b", "a\"b", &"x".repeat(65)] {
            let replaced = id(text);
            assert!(
                replaced.len() == 16 && replaced != id(text),
                "{text:?}: {replaced}"
            );
        }
        assert_eq!(of(&HeaderMap::new()).len(), 16);
    }
}
