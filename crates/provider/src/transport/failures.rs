//! What errors of connections mean. Their own texts are not shown as they are: some quote what a server sent.

use std::error::Error;
use std::io;

use hyper_util::client::legacy;
use rustls::CertificateError;

use super::ConnectTimedOut;
use crate::failure::{Failure, FailureKind, quote};

/// From a request that got no head of an answer from `host`.
pub(crate) fn failure_of_request(error: &legacy::Error, host: &str) -> Failure {
    if let Some(tls) = find::<rustls::Error>(error) {
        return of_tls(tls, host);
    }
    if !error.is_connect() {
        return match find::<hyper::Error>(error) {
            Some(inner) => failure_of_body(inner),
            None => unreachable("the connection broke"),
        };
    }
    if find::<ConnectTimedOut>(error).is_some() {
        return unreachable(format!("cannot connect to {host}: {ConnectTimedOut}"));
    }
    let reason = match find::<io::Error>(error) {
        // The system's texts begin with a capital and end with a number.
        Some(system) if system.raw_os_error().is_some() => system.kind().to_string(),
        // Look-ups of names: the resolver's text.
        _ => quote(&innermost(error).to_string(), None),
    };
    unreachable(format!("cannot connect to {host}: {reason}"))
}

/// From an error after the connection was made, while the head or the body was read.
pub(crate) fn failure_of_body(error: &hyper::Error) -> Failure {
    if let Some(tls) = find::<rustls::Error>(error) {
        return unreachable(format!("TLS: {}", quote(&tls.to_string(), None)));
    }
    if error.is_parse() {
        return Failure::bad_answer(
            "expected an HTTP answer with a head of usual length, got something else",
        );
    }
    if error.is_incomplete_message() {
        return unreachable("the connection closed before the answer was whole");
    }
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            Failure::bad_answer("the answer is not cut into chunks as HTTP has it")
        }
        Some(io::ErrorKind::UnexpectedEof) => {
            unreachable("the connection closed before the answer was whole")
        }
        Some(kind) => unreachable(format!("the connection broke: {kind}")),
        None => unreachable("the connection broke"),
    }
}

/// The TLS library cannot be set up; not seen to happen.
pub(super) fn tls_unusable() -> Failure {
    unreachable("TLS cannot be set up")
}

fn of_tls(error: &rustls::Error, host: &str) -> Failure {
    let rustls::Error::InvalidCertificate(problem) = error else {
        return unreachable(format!("TLS with {host}: {}", quote(&error.to_string(), None)));
    };
    let reason = match problem {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name".to_owned()
        }
        CertificateError::UnknownIssuer => "has an issuer that is not trusted".to_owned(),
        // An authority that only has the name of a trusted one.
        CertificateError::BadSignature => "is not signed by the issuer that it names".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet".to_owned()
        }
        CertificateError::Revoked => "has been revoked".to_owned(),
        other => format!("is not valid: {}", quote(&other.to_string(), None)),
    };
    unreachable(format!("certificate of {host} {reason}"))
}

fn unreachable(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Unreachable, message)
}

/// The first error of a type in the chain of sources. An [`io::Error`] hides the error that it was made from: its source is
/// the one below.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| find(inner)) {
            return Some(found);
        }
        current = error.source();
    }
    None
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current
}
