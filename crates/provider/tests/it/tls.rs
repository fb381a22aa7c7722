//! Certificates are checked, against the system's authorities and those of a file.

use std::fs;
use std::path::{Path, PathBuf};

use castmatch_provider::{Client, FailureKind};
use castmatch_test_endpoint::TestEndpoint;

use crate::session::{chat, chat_answer, endpoint, failure, outcome, streamed};

fn file_with(text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn a_server_of_a_trusted_authority_is_reached_over_one_connection() {
    let client = Client::start().unwrap();
    for names in [&["localhost"], &["127.0.0.1"]] {
        let server = TestEndpoint::start_tls(names);
        let (_folder, path) = file_with(server.ca_pem());
        let endpoint = endpoint(&server.url("ok")).ca_file(&path);
        assert_eq!(chat_answer(&client, &endpoint, chat("REPLY: yes")).text, "yes");
        assert_eq!(
            chat_answer(&client, &endpoint, streamed("REPLY: yes")).text,
            "yes"
        );
        assert_eq!(server.connections(), 1);
    }
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let server = TestEndpoint::start_tls(&["api.example.com"]);
    let (_folder, path) = file_with(server.ca_pem());
    let client = Client::start().unwrap();
    let failure = failure(
        &client,
        &endpoint(&server.url("ok")).ca_file(&path),
        chat("hello"),
    );
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert_eq!(
        failure.message,
        format!("certificate of {} is for another name", server.address())
    );
    assert_eq!(server.requests(), []);
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let server = TestEndpoint::start_tls(&["127.0.0.1"]);
    let other = TestEndpoint::start_tls(&["127.0.0.1"]);
    let (_folder, path) = file_with(other.ca_pem());
    let client = Client::start().unwrap();
    let failure = failure(
        &client,
        &endpoint(&server.url("ok")).ca_file(&path),
        chat("hello"),
    );
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert_eq!(
        failure.message,
        format!(
            "certificate of {} has an issuer that is not trusted",
            server.address()
        )
    );
    assert_eq!(server.requests(), []);
}

#[test]
fn a_connection_of_one_authority_is_not_used_for_another() {
    let server = TestEndpoint::start_tls(&["127.0.0.1"]);
    let other = TestEndpoint::start_tls(&["127.0.0.1"]);
    let (_folder, path) = file_with(server.ca_pem());
    let (_other_folder, other_path) = file_with(other.ca_pem());
    let client = Client::start().unwrap();
    let url = server.url("ok");
    assert!(
        outcome(&client, &endpoint(&url).ca_file(&path), chat("hello"))
            .result
            .is_ok()
    );
    assert!(
        outcome(&client, &endpoint(&url).ca_file(&other_path), chat("hello"))
            .result
            .is_err()
    );
    // The same file with another content counts at once.
    fs::write(&path, format!("{}{}", other.ca_pem(), "\n")).unwrap();
    assert!(
        outcome(&client, &endpoint(&url).ca_file(&path), chat("hello"))
            .result
            .is_err()
    );
}

#[test]
fn a_file_of_authorities_that_cannot_be_used_is_a_failure_without_retries() {
    let client = Client::start().unwrap();
    let of = |path: &Path| {
        let endpoint = endpoint("https://127.0.0.1:1/v1").ca_file(path).max_attempts(3);
        let outcome = outcome(&client, &endpoint, chat("hello"));
        assert_eq!(outcome.failed_attempts, []);
        let failure = outcome.result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unreachable);
        failure.message
    };
    let text =
        |path: &Path, problem: &str| format!("certificate authorities of \"{}\": {problem}", path.display());
    let (folder, path) = file_with("no certificate");
    assert_eq!(of(&path), text(&path, "holds no certificate"));
    let absent = folder.path().join("absent");
    assert_eq!(of(&absent), text(&absent, "entity not found"));
    assert_eq!(of(folder.path()), text(folder.path(), "not a regular file"));
    let (_folder, path) = file_with("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_eq!(of(&path), text(&path, "holds a certificate that does not parse"));
    let (_folder, path) = file_with("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    assert_eq!(of(&path), text(&path, "not PEM"));
    let (_folder, path) = file_with(vec![b'\n'; 1024 * 1024 + 1]);
    assert_eq!(of(&path), text(&path, "longer than 1048576 bytes"));
}

#[test]
fn tls_to_a_server_without_it_is_unreachable() {
    let server = TestEndpoint::start();
    let tls = TestEndpoint::start_tls(&["127.0.0.1"]);
    let (_folder, path) = file_with(tls.ca_pem());
    let client = Client::start().unwrap();
    let url = server.url("ok").replace("http://", "https://");
    let failure = failure(&client, &endpoint(&url).ca_file(&path), chat("hello"));
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.message.starts_with("TLS with "), "{}", failure.message);
}
