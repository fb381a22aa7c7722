//! Connections to endpoints: TCP and TLS with a bound on the time to connect, kept alive between calls. No proxies, no
//! redirections, no cookies, no decoding of contents: this layer can only send a request to the host that it names.

mod authorities;
mod failures;

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::endpoint::{Endpoint, Scheme};
use crate::failure::Failure;
use authorities::Stamp;

pub(crate) use failures::{failure_of_body, failure_of_request};

/// The most time to connect: to look the name up, for TCP and for TLS together.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that is not used for so long is closed. Less than what servers and balancers usually wait, so that a request
/// seldom meets a connection that the other side is closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Idle connections to one host.
const MAX_IDLE_PER_HOST: usize = 4;

/// Bytes of an answer's head, and of what is read from a connection at once.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// Headers of an answer.
const MAX_HEADERS: usize = 100;

/// Sends requests over connections that are kept.
pub(crate) type HttpClient = legacy::Client<TimedConnector, Full<Bytes>>;

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;
type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// The pools of a process. Endpoints with different certificate authorities never share a connection.
pub(crate) struct Transports {
    plain: Option<HttpClient>,
    tls: HashMap<Option<PathBuf>, (Stamp, HttpClient)>,
}

impl Transports {
    pub(crate) fn new() -> Self {
        Self {
            plain: None,
            tls: HashMap::new(),
        }
    }

    /// The client for an endpoint. A file of authorities that has changed is read again.
    ///
    /// # Errors
    /// No certificate authorities, or a file of them that cannot be used.
    pub(crate) fn client(&mut self, endpoint: &Endpoint) -> Result<HttpClient, Failure> {
        if endpoint.scheme() == Scheme::Http {
            if self.plain.is_none() {
                self.plain = Some(http_client(&RootCertStore::empty())?);
            }
            return self.plain.clone().ok_or_else(failures::tls_unusable);
        }
        let path = endpoint.authorities();
        let stamp = Stamp::of(path)?;
        let key = path.map(PathBuf::from);
        if let Some((old, client)) = self.tls.get(&key)
            && *old == stamp
        {
            return Ok(client.clone());
        }
        let client = http_client(&authorities::load(path)?)?;
        self.tls.insert(key, (stamp, client.clone()));
        Ok(client)
    }
}

fn http_client(authorities: &RootCertStore) -> Result<HttpClient, Failure> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| failures::tls_unusable())?
        .with_root_certificates(authorities.clone())
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .http1_max_buf_size(MAX_BUFFER_BYTES)
        .http1_max_headers(MAX_HEADERS)
        .build(TimedConnector(connector)))
}

/// Connects within [`CONNECT_TIMEOUT`].
#[derive(Clone)]
pub(crate) struct TimedConnector(HttpsConnector<HttpConnector>);

/// Connecting took too long.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} ms", CONNECT_TIMEOUT.as_millis())]
struct ConnectTimedOut;

impl Service<Uri> for TimedConnector {
    type Response = Stream;
    type Error = BoxedError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxedError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxedError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            tokio::time::timeout(CONNECT_TIMEOUT, connecting)
                .await
                .unwrap_or_else(|_| Err(Box::new(ConnectTimedOut)))
        })
    }
}
