//! `/`: one page that asks `/performance` every 5 s and needs nothing else: no other file, no other host. It is put
//! together from the files beside this one when the program is compiled.
//!
//! The Content-Security-Policy names the style and the script by their hashes, so nothing else can run, whatever
//! a text of the database holds; the script itself writes texts as texts only.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = concat!(
    include_str!("format.js"),
    include_str!("charts.js"),
    include_str!("page.js")
);
const PAGE: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    "<meta name=\"color-scheme\" content=\"light dark\">\n",
    "<title>castmatch</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>",
    include_str!("style.css"),
    "</style>\n</head>\n",
    include_str!("body.html"),
    "<script>",
    include_str!("format.js"),
    include_str!("charts.js"),
    include_str!("page.js"),
    "</script>\n</html>\n"
);

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        source(STYLE),
        source(SCRIPT)
    );
    // Hashes in base64 are valid in a header; without the policy nothing of the page may run.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

pub(super) async fn page() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_holds_what_the_policy_allows_and_nothing_from_elsewhere() {
        assert_eq!(PAGE.matches("<style>").count(), 1);
        assert_eq!(PAGE.matches("<script>").count(), 1);
        assert!(PAGE.contains(&format!("<style>{STYLE}</style>")));
        assert!(PAGE.contains(&format!("<script>{SCRIPT}</script>")));
        // The namespace of SVG is a name and no address.
        let elsewhere = PAGE.replace("http://www.w3.org/2000/svg", "");
        for word in [
            "http://",
            "https://",
            "//cdn",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            " style=\"",
            " onclick",
            "@import",
            "url(",
        ] {
            assert!(!elsewhere.contains(word), "{word}");
        }
        assert!(
            POLICY
                .to_str()
                .is_ok_and(|policy| policy.contains("script-src 'sha256-"))
        );
    }
}
