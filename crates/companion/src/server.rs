//! Runs the monitor and the HTTP server until the shutdown future completes. `main` calls [`run`]; tests call
//! [`serve`] with port 0 and a source of their own.
//!
//! Order of the end: stop accepting, let requests in flight finish (bounded), then stop the monitor.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use crate::api;
use crate::config::{Config, Timing};
use crate::database::{Database, Source};
use crate::error::StartError;
use crate::http::{self, AppState};
use crate::instruments::Instruments;
use crate::monitor::Monitor;
use crate::prune;
use crate::prune::stop::Stop;

/// Connections served at once; more wait in the listen queue. Scrapers and probes need a handful.
const MAX_CONNECTIONS: usize = 128;

/// A client that sends no complete request head within this time loses its connection, also between requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// A client that takes nothing of an answer for so long loses its connection: whoever does not read must not keep the
/// connections from probes and scrapes.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Request line and headers together.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Pause after a failed accept: with no file descriptors left it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves with the real database until `shutdown` completes.
///
/// # Errors
/// [`StartError`] when the own metrics cannot be registered or the monitor task dies; never because of the
/// database.
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let instruments = Instruments::new()?;
    let registry = instruments.registry();
    let mut parts = Parts::default();
    if let Some(settings) = config.api {
        let metrics = api::instruments::Instruments::register(registry)?;
        parts.api = Some(api::router(settings, metrics));
    }
    if let Some(every) = config.prune.schedule {
        let metrics = prune::instruments::Instruments::register(registry)?;
        parts.prune = Some((config.prune, every, metrics));
    }
    let database = Database::new(config.database, &config.timing);
    serve_with(listener, database, config.timing, instruments, parts, shutdown).await
}

/// As [`run`], with any source of health and metrics, and nothing else.
///
/// # Errors
/// As [`run`].
pub async fn serve<S: Source>(
    listener: TcpListener,
    source: S,
    timing: Timing,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let instruments = Instruments::new()?;
    serve_with(listener, source, timing, instruments, Parts::default(), shutdown).await
}

/// What a companion does only if told to.
#[derive(Default)]
struct Parts {
    api: Option<axum::Router>,
    prune: Option<(prune::Settings, Duration, prune::instruments::Instruments)>,
}

async fn serve_with<S: Source>(
    listener: TcpListener,
    source: S,
    timing: Timing,
    instruments: Instruments,
    parts: Parts,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let instruments = Arc::new(instruments);
    let (monitor, observer) = Monitor::new(source, &timing, Arc::clone(&instruments));
    let (stop_monitor, stopped) = oneshot::channel();
    let mut monitor = tokio::spawn(monitor.run(stopped));
    let (stop_pruner, stop) = Stop::channel();
    let mut pruner = tokio::spawn(prune_until(parts.prune, stop));
    let state = AppState {
        observer,
        instruments,
    };
    let connections = Connections::new(state, parts.api);
    tokio::select! {
        () = shutdown => {}
        () = connections.accept_from(&listener) => {}
        ended = &mut monitor => return task_ended(ended),
        ended = &mut pruner => return task_ended(ended),
    }
    // Refuse new connections from here on, rather than leave them in the queue.
    drop(listener);
    // A batch in flight ends while requests in flight do.
    stop_pruner.stop();
    connections.drain(timing.shutdown_timeout).await;
    join(pruner, timing.shutdown_timeout).await?;
    // Sending fails only when the monitor is gone, and then the join says why.
    let _ = stop_monitor.send(());
    join(monitor, timing.shutdown_timeout).await
}

async fn prune_until(
    prune: Option<(prune::Settings, Duration, prune::instruments::Instruments)>,
    mut stop: Stop,
) {
    match prune {
        Some((settings, every, metrics)) => prune::schedule::run(settings, every, Some(metrics), stop).await,
        None => stop.requested().await,
    }
}

async fn join(mut task: JoinHandle<()>, limit: Duration) -> Result<(), StartError> {
    match timeout(limit, &mut task).await {
        Ok(ended) => task_ended(ended),
        Err(_) => {
            task.abort();
            Ok(())
        }
    }
}

fn task_ended(ended: Result<(), tokio::task::JoinError>) -> Result<(), StartError> {
    ended.map_err(StartError::TaskEnded)
}

/// The open HTTP connections.
struct Connections {
    protocol: http1::Builder,
    service: TowerToHyperService<axum::Router>,
    graceful: GracefulShutdown,
    permits: Arc<Semaphore>,
}

impl Connections {
    fn new(state: AppState, api: Option<axum::Router>) -> Self {
        let mut protocol = http1::Builder::new();
        protocol
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES);
        Self {
            protocol,
            service: TowerToHyperService::new(http::router(state, api)),
            graceful: GracefulShutdown::new(),
            permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        }
    }

    /// Never ends by itself.
    async fn accept_from(&self, listener: &TcpListener) {
        let mut accept_failed = false;
        // Ends only if the semaphore were closed, which nobody does.
        while let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    accept_failed = false;
                    self.spawn(stream, permit);
                }
                Err(error) => {
                    if !accept_failed {
                        tracing::warn!("cannot accept connections: {error}");
                    }
                    accept_failed = true;
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn spawn(&self, stream: TcpStream, permit: OwnedSemaphorePermit) {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let connection = self
            .protocol
            .serve_connection(TokioIo::new(Box::pin(stream)), self.service.clone());
        let connection = self.graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("HTTP connection ended: {error}");
            }
            drop(permit);
        });
    }

    async fn drain(self, limit: Duration) {
        let finished = pin!(self.graceful.shutdown());
        if timeout(limit, finished).await.is_err() {
            tracing::warn!("stopping with requests still open after {} ms", limit.as_millis());
        }
    }
}
