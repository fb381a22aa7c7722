//! Where a model is reached and how: what an administrator sets once and every call to the model uses.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Uri;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::secret::Secret;

/// The longest base URL, in bytes.
const MAX_URL_BYTES: usize = 2048;

/// The most headers beside the client's own.
const MAX_HEADERS: usize = 32;

/// Where the key goes in the value of a header.
const PLACEHOLDER: &str = "{secret}";

/// The client sets these itself, or they belong to the connection rather than to the request (RFC 9110, 7.6.1).
const RESERVED: [&str; 17] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept",
    "accept-encoding",
    "range",
    "http2-settings",
    "cookie",
];

/// A header whose name has one of these words carries a credential. In a setting its value would be readable, so it must
/// come from a [`Secret`].
const CREDENTIALS: [&str; 12] = [
    "auth",
    "authorization",
    "authentication",
    "key",
    "apikey",
    "token",
    "secret",
    "password",
    "bearer",
    "credential",
    "credentials",
    "session",
];

/// Where a model is reached and how. Its Debug shows no key and no value of a header.
#[derive(Clone)]
pub struct Endpoint {
    /// Without a slash at the end.
    url: String,
    scheme: Scheme,
    headers: Vec<(HeaderName, String)>,
    secret: Option<Secret>,
    timeout: Duration,
    max_attempts: u32,
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// Why an endpoint cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The URL does not parse or has parts that it must not have. Holds nothing of it: it may contain a password.
    #[error("the URL of an endpoint is not valid: {problem}")]
    Url {
        /// A fixed text.
        problem: &'static str,
    },
    /// The URL is too long.
    #[error("the URL of an endpoint has {bytes} bytes, at most {MAX_URL_BYTES} are allowed")]
    UrlTooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not the name of a header.
    #[error("\"{name}\" is not the name of a header")]
    HeaderName {
        /// As given.
        name: String,
    },
    /// Not the value of a header.
    #[error("the value of header \"{name}\" holds characters that a header cannot hold")]
    HeaderValue {
        /// The header.
        name: String,
    },
    /// The client sets this header itself.
    #[error("header \"{name}\" is set by the client")]
    Reserved {
        /// The header.
        name: String,
    },
    /// A header that carries a credential must take it from the key.
    #[error("header \"{name}\" carries a credential and must take it from the key, as {PLACEHOLDER}")]
    Credential {
        /// The header.
        name: String,
    },
    /// The same header twice.
    #[error("header \"{name}\" is given twice")]
    Duplicate {
        /// The header.
        name: String,
    },
    /// Too many headers.
    #[error("more than {MAX_HEADERS} headers")]
    TooManyHeaders,
}

impl Endpoint {
    /// From a base URL such as "https://api.example.com/v1"; a slash at its end is allowed.
    ///
    /// # Errors
    /// Not a URL; another scheme than http or https; user information, a query or a fragment; more than 2,048 bytes.
    pub fn new(url: &str) -> Result<Self, EndpointError> {
        let problem = |problem| EndpointError::Url { problem };
        if url.len() > MAX_URL_BYTES {
            return Err(EndpointError::UrlTooLong { bytes: url.len() });
        }
        // The parser drops fragments in silence.
        if url.contains('#') {
            return Err(problem("it has a fragment"));
        }
        let parsed: Uri = url.parse().map_err(|_| problem("it does not parse"))?;
        let scheme = match parsed.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(problem("it does not begin with http:// or https://")),
        };
        let authority = parsed.authority().ok_or_else(|| problem("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(problem("it has user information"));
        }
        if authority.host().is_empty() {
            return Err(problem("it names no host"));
        }
        let port = authority.as_str().strip_prefix(authority.host());
        if port.is_some_and(|port| !port.is_empty()) && parsed.port_u16().is_none_or(|port| port == 0) {
            return Err(problem("its port is no number from 1 to 65535"));
        }
        if parsed.query().is_some() {
            return Err(problem("it has a query"));
        }
        let path = parsed.path().trim_end_matches('/');
        let name = match scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        Ok(Self {
            url: format!("{name}://{authority}{path}"),
            scheme,
            headers: Vec::new(),
            secret: None,
            timeout: Duration::from_secs(30),
            max_attempts: 3,
            ca_file: None,
        })
    }

    /// Another header of every request. `{secret}` in its value stands for the key, which is then not sent as a bearer
    /// token; a call to an endpoint with such a header and without a key fails as refused.
    ///
    /// # Errors
    /// A name or value that is no header; a header that the client sets itself; a header that carries a credential
    /// (authorization, api-key and their like) without `{secret}`; one twice; more than 32.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, EndpointError> {
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| EndpointError::HeaderName {
            name: name.chars().take(100).collect(),
        })?;
        let name = || parsed.as_str().to_owned();
        if RESERVED.contains(&parsed.as_str()) {
            return Err(EndpointError::Reserved { name: name() });
        }
        if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || value.trim() != value {
            return Err(EndpointError::HeaderValue { name: name() });
        }
        let mut words = parsed.as_str().split(['-', '_', '.']);
        if words.any(|word| CREDENTIALS.contains(&word)) && !value.contains(PLACEHOLDER) {
            return Err(EndpointError::Credential { name: name() });
        }
        if self.headers.iter().any(|(other, _)| *other == parsed) {
            return Err(EndpointError::Duplicate { name: name() });
        }
        if self.headers.len() >= MAX_HEADERS {
            return Err(EndpointError::TooManyHeaders);
        }
        self.headers.push((parsed, value.to_owned()));
        Ok(self)
    }

    /// The key: sent as `Authorization: Bearer …`, or in place of `{secret}` in a header, and then not as a bearer token.
    #[must_use]
    pub fn secret(mut self, secret: Secret) -> Self {
        self.secret = Some(secret);
        self
    }

    /// The time of one attempt, from its start to the last byte of its answer, also of a stream; 30 seconds unless set.
    /// To connect there are two seconds of it.
    #[must_use]
    pub fn timeout(mut self, of_an_attempt: Duration) -> Self {
        self.timeout = of_an_attempt;
        self
    }

    /// How often a call is tried before it fails; 3 unless set, and at least once.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// A PEM file with certificate authorities that are trusted beside the system's. It is read when first needed; a
    /// failure then is one of the call.
    #[must_use]
    pub fn ca_file(mut self, path: &Path) -> Self {
        self.ca_file = Some(path.to_owned());
        self
    }

    pub(crate) fn url_of(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(crate) fn key(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    pub(crate) fn attempt_timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.max_attempts
    }

    pub(crate) fn authorities(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// The headers of every request, with the key in its place.
    ///
    /// # Errors
    /// The name of a header that needs a key where there is none, or whose value is none with the key in it.
    pub(crate) fn request_headers(&self) -> Result<HeaderMap, HeaderName> {
        let mut map = HeaderMap::new();
        let mut used = false;
        for (name, value) in &self.headers {
            let mut sent = if value.contains(PLACEHOLDER) {
                let key = self.secret.as_ref().ok_or_else(|| name.clone())?;
                used = true;
                let text = zeroize::Zeroizing::new(value.replace(PLACEHOLDER, key.reveal()));
                HeaderValue::from_str(&text)
            } else {
                HeaderValue::from_str(value)
            }
            .map_err(|_| name.clone())?;
            sent.set_sensitive(true);
            map.insert(name.clone(), sent);
        }
        if let (false, Some(key)) = (used, &self.secret) {
            let text = zeroize::Zeroizing::new(format!("Bearer {}", key.reveal()));
            let mut sent = HeaderValue::from_str(&text).map_err(|_| header::AUTHORIZATION)?;
            sent.set_sensitive(true);
            map.insert(header::AUTHORIZATION, sent);
        }
        Ok(map)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Endpoint")
            .field("url", &self.url)
            .field("headers", &names)
            .field("secret", &self.secret)
            .field("timeout", &self.timeout)
            .field("max_attempts", &self.max_attempts)
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
