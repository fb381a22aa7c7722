//! The server: a thread with its own runtime, which stops when it is dropped.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::behaviour::Behaviour;
use crate::body::{AnyBody, Watch};
use crate::certificate::Identity;
use crate::check;
use crate::connection::{Connection, Reset};
use crate::fault::{self, Operation};

/// The longest request that is read, in bytes.
const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;

/// A request as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// With the behaviour, as in "/ok/v1/embeddings".
    pub path: String,
    /// Names in lower case, in the order of the request.
    pub headers: Vec<(String, String)>,
    /// Null if it is not JSON.
    pub body: Value,
    /// What does not conform; then the answer was 400.
    pub problems: Vec<String>,
}

impl Recorded {
    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(other, _)| other == name)?;
        Some(value)
    }
}

/// A running server.
pub struct TestEndpoint {
    address: SocketAddr,
    /// "http://127.0.0.1:1234"
    origin: String,
    ca_pem: Option<String>,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What has happened so far.
#[derive(Default)]
struct State {
    requests: Mutex<Vec<Recorded>>,
    /// How many requests each path had.
    counts: Mutex<HashMap<String, usize>>,
    accepted: AtomicUsize,
    open: AtomicUsize,
    cancelled: Arc<AtomicUsize>,
}

impl TestEndpoint {
    /// Serves on a free port of this machine.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(0)
    }

    /// Serves on this port of this machine; 0 for a free one.
    #[must_use]
    pub fn start_on(port: u16) -> Self {
        Self::launch(port, None, "127.0.0.1")
    }

    /// Serves with TLS and a certificate for these names or addresses, from an authority of its own. Its URLs name
    /// "localhost", if the certificate does, and otherwise 127.0.0.1.
    #[must_use]
    pub fn start_tls(names: &[&str]) -> Self {
        let host = if names.contains(&"localhost") {
            "localhost"
        } else {
            "127.0.0.1"
        };
        Self::launch(0, Some(Identity::new(names)), host)
    }

    fn launch(port: u16, identity: Option<Identity>, host: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a port of this machine");
        listener
            .set_nonblocking(true)
            .expect("a listener that does not block");
        let address = listener.local_addr().expect("the address of the listener");
        let scheme = if identity.is_some() { "https" } else { "http" };
        let (acceptor, ca_pem) = identity
            .map(|identity| (identity.acceptor, identity.ca_pem))
            .unzip();
        let state = Arc::new(State::default());
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener =
                    tokio::net::TcpListener::from_std(listener).expect("a listener in the runtime");
                tokio::select! {
                    () = accept(&listener, acceptor, &served) => {}
                    _ = stopped => {}
                }
            });
            // Closes the connections that are open.
            drop(runtime);
        });
        Self {
            address,
            origin: format!("{scheme}://{host}:{}", address.port()),
            ca_pem,
            state,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The base URL of an endpoint that behaves so: see [`Behaviour`].
    ///
    /// # Panics
    /// There is no such behaviour.
    #[must_use]
    pub fn url(&self, behaviour: &str) -> String {
        assert!(
            Behaviour::parse(behaviour).is_some(),
            "no behaviour \"{behaviour}\""
        );
        format!("{}/{behaviour}/v1", self.origin)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of the authority, in PEM.
    ///
    /// # Panics
    /// The server has no TLS.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.ca_pem
            .as_deref()
            .expect("only a server with TLS has an authority")
    }

    /// All requests so far, in the order in which they came.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.state.requests).clone()
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// Requests so far whose client closed the connection before the answer was whole.
    #[must_use]
    pub fn cancelled(&self) -> usize {
        self.state.cancelled.load(Ordering::SeqCst)
    }
}

impl Drop for TestEndpoint {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A test that panicked elsewhere must not hide what was recorded.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a connection as open until it is dropped.
struct Open(Arc<State>);

impl Open {
    fn new(state: &Arc<State>) -> Self {
        state.accepted.fetch_add(1, Ordering::SeqCst);
        state.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(state))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Never ends by itself.
async fn accept(listener: &tokio::net::TcpListener, acceptor: Option<TlsAcceptor>, state: &Arc<State>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptors left: others may close some.
            tokio::task::yield_now().await;
            continue;
        };
        // Pieces of a stream are to arrive as they are sent.
        let _ = stream.set_nodelay(true);
        let open = Open::new(state);
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let reset = Reset::default();
            let connection = Connection::new(stream, reset.clone());
            match acceptor {
                None => serve(connection, reset, &open.0).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(connection).await {
                        serve(stream, reset, &open.0).await;
                    }
                }
            }
            drop(open);
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, reset: Reset, state: &Arc<State>) {
    let service = service_fn(|request| {
        let watch = Watch::new(&state.cancelled);
        answer(request, watch, reset.clone(), Arc::clone(state))
    });
    // Errors are what some tests are for.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// # Errors
/// The connection is to be reset, or the request was not read to its end.
async fn answer(
    request: Request<Incoming>,
    watch: Watch,
    reset: Reset,
    state: Arc<State>,
) -> Result<Response<AnyBody>, io::Error> {
    let (head, body) = request.into_parts();
    let bytes = Limited::new(body, MAX_REQUEST_BYTES)
        .collect()
        .await
        .map_err(io::Error::other)?
        .to_bytes();
    let path = head.uri.path().to_owned();
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let behaviour = Behaviour::parse(parts.next().unwrap_or_default());
    let operation = match parts.next() {
        Some("v1/chat/completions") => Some(Operation::Chat),
        Some("v1/embeddings") => Some(Operation::Embeddings),
        _ => None,
    };
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let header = |name| {
        head.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let mut problems = match operation {
        Some(Operation::Chat) => check::chat(&body),
        Some(Operation::Embeddings) => check::embeddings(&body),
        None => Vec::new(),
    };
    if head.method != Method::POST {
        problems.push("method: not POST".to_owned());
    }
    if header(CONTENT_TYPE) != "application/json" {
        problems.push("content-type: not application/json".to_owned());
    }
    let earlier = {
        let mut counts = lock(&state.counts);
        let count = counts.entry(path.clone()).or_default();
        *count += 1;
        *count - 1
    };
    lock(&state.requests).push(Recorded {
        path,
        headers: head
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
        body: body.clone(),
        problems: problems.clone(),
    });
    let (Some(behaviour), Some(operation)) = (behaviour, operation) else {
        let (status, reply) = fault::error(StatusCode::NOT_FOUND, "no such path");
        return Ok(fault::respond(status, reply, watch));
    };
    if !problems.is_empty() {
        let (status, reply) = fault::error(StatusCode::BAD_REQUEST, &problems.join("; "));
        return Ok(fault::respond(status, reply, watch));
    }
    fault::answer(behaviour, operation, &body, earlier, header(AUTHORIZATION), watch)
        .await
        .ok_or_else(|| {
            reset.request();
            io::Error::from(io::ErrorKind::ConnectionReset)
        })
}
