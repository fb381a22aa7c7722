#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

const KEY: &str = "sk-canary-7f3a";

fn key() -> Secret {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, KEY).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    Secret::from_file(&path).unwrap()
}

fn endpoint() -> Endpoint {
    Endpoint::new("https://api.example.com/v1").unwrap()
}

#[test]
fn urls_are_joined_with_and_without_a_slash() {
    for url in [
        "https://api.example.com/v1",
        "https://api.example.com/v1/",
        "HTTPS://api.example.com/v1",
    ] {
        let endpoint = Endpoint::new(url).unwrap();
        assert_eq!(
            endpoint.url_of("/embeddings"),
            "https://api.example.com/v1/embeddings"
        );
        assert_eq!(endpoint.scheme(), Scheme::Https);
    }
    for (url, joined) in [
        ("http://localhost:8080", "http://localhost:8080/x"),
        ("http://[::1]:8080/", "http://[::1]:8080/x"),
        ("http://127.0.0.1", "http://127.0.0.1/x"),
    ] {
        assert_eq!(Endpoint::new(url).unwrap().url_of("/x"), joined);
    }
}

#[test]
fn urls_with_other_parts_are_refused_and_not_shown() {
    for url in [
        "",
        "canary",
        "/canary",
        "canary:80",
        "ftp://canary/",
        "file:///canary",
        "https://user:canary@example.com/",
        "https://canary@example.com/",
        "https://example.com/?canary=1",
        "https://example.com/?",
        "https://example.com/#canary",
        "https://:80/canary",
        "https://canary:0/",
        "https://canary:99999/",
        "https://canary:/",
        "https://canary:x/",
        "https://exa mple.com/canary",
        "https://example.com/canary\r\n",
    ] {
        let error = Endpoint::new(url).unwrap_err();
        assert!(matches!(error, EndpointError::Url { .. }), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
    let longest = format!("https://example.com/{}", "a".repeat(MAX_URL_BYTES - 20));
    assert_eq!(longest.len(), MAX_URL_BYTES);
    assert!(Endpoint::new(&longest).is_ok());
    assert_eq!(
        Endpoint::new(&format!("{longest}a")).unwrap_err(),
        EndpointError::UrlTooLong { bytes: 2049 }
    );
}

#[test]
fn headers_of_the_client_and_of_credentials_are_refused() {
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "CONNECTION",
        "te",
        "upgrade",
        "accept-encoding",
        "content-type",
        "cookie",
    ] {
        let error = endpoint().header(name, "{secret}").unwrap_err();
        assert!(matches!(error, EndpointError::Reserved { .. }), "{name}: {error}");
    }
    for name in [
        "Authorization",
        "proxy-authorization",
        "api-key",
        "X-Api-Key",
        "x-goog-api-key",
        "x-auth-token",
    ] {
        let error = endpoint().header(name, "canary").unwrap_err();
        assert!(
            matches!(error, EndpointError::Credential { .. }),
            "{name}: {error}"
        );
        assert!(!format!("{error} {error:?}").contains("canary"));
        assert!(endpoint().header(name, "{secret}").is_ok());
    }
    for name in ["", "a b", "a:b", "a\r\nb", "ä"] {
        let error = endpoint().header(name, "x").unwrap_err();
        assert!(
            matches!(error, EndpointError::HeaderName { .. }),
            "{name}: {error}"
        );
    }
    for value in ["a\r\nb: c", "a\0", " a", "a\n", "ä"] {
        let error = endpoint().header("x-title", value).unwrap_err();
        assert!(
            matches!(error, EndpointError::HeaderValue { .. }),
            "{value:?}: {error}"
        );
    }
    let twice = endpoint().header("x-title", "a").unwrap().header("X-Title", "b");
    assert!(matches!(twice.unwrap_err(), EndpointError::Duplicate { .. }));
}

#[test]
fn headers_are_bounded() {
    let mut full = endpoint();
    for i in 0..MAX_HEADERS {
        full = full.header(&format!("x-{i}"), "v").unwrap();
    }
    assert_eq!(
        full.header("x-more", "v").unwrap_err(),
        EndpointError::TooManyHeaders
    );
}

#[test]
fn the_key_goes_where_its_placeholder_is_or_else_to_authorization() {
    let headers = endpoint().secret(key()).request_headers().unwrap();
    assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
    let headers = endpoint()
        .header("x-api-key", "{secret}")
        .unwrap()
        .header("x-title", "demo")
        .unwrap()
        .secret(key())
        .request_headers()
        .unwrap();
    assert_eq!(headers["x-api-key"], KEY);
    assert_eq!(headers["x-title"], "demo");
    assert!(!headers.contains_key("authorization"));
    assert!(headers["x-api-key"].is_sensitive());
    let headers = endpoint()
        .header("authorization", "Key {secret}")
        .unwrap()
        .secret(key())
        .request_headers()
        .unwrap();
    assert_eq!(headers["authorization"], format!("Key {KEY}"));
    assert!(endpoint().request_headers().unwrap().is_empty());
    let missing = endpoint()
        .header("x-api-key", "{secret}")
        .unwrap()
        .request_headers();
    assert_eq!(missing.unwrap_err(), "x-api-key");
}

#[test]
fn debug_shows_no_key_and_no_value() {
    let endpoint = endpoint().header("x-title", "hidden").unwrap().secret(key());
    let text = format!("{endpoint:?}");
    assert!(
        text.contains("api.example.com") && text.contains("x-title"),
        "{text}"
    );
    assert!(!text.contains(KEY) && !text.contains("hidden"), "{text}");
}

proptest! {
    #[test]
    fn any_text_is_an_endpoint_that_hyper_can_use_or_an_error(url in "(https?://)?[a-z0-9@:/?#\\[\\]. %\\-\u{e4}]{0,40}") {
        if let Ok(endpoint) = Endpoint::new(&url) {
            let uri: Uri = endpoint.url_of("/embeddings").parse().unwrap();
            prop_assert!(uri.path().ends_with("/embeddings"));
            prop_assert!(uri.query().is_none());
            prop_assert!(uri.host().is_some_and(|host| !host.is_empty()));
        }
    }

    #[test]
    fn any_text_is_a_header_or_an_error(name: String, value: String) {
        if let Ok(endpoint) = endpoint().header(&name, &value) {
            prop_assert!(endpoint.secret(key()).request_headers().is_ok());
        }
    }
}
