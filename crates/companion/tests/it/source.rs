//! A source of health and metrics that follows a script, and the service on a free port round it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use castmatch_companion::config::Timing;
use castmatch_companion::database::{ReadError, Source};
use castmatch_companion::error::StartError;
use castmatch_companion::exposition::Sample;
use castmatch_companion::server;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

#[derive(Debug, Clone)]
pub enum Reply<T> {
    Now(T),
    After(Duration, T),
    Unreachable,
    /// No answer until the deadline, given here, passes.
    Hang(Duration),
    NotInstalled,
    Rejected(&'static str),
    Panic,
}

impl<T> Reply<T> {
    async fn play(self) -> Result<T, ReadError> {
        match self {
            Self::Now(value) => Ok(value),
            Self::After(delay, value) => {
                tokio::time::sleep(delay).await;
                Ok(value)
            }
            Self::Unreachable => Err(ReadError::Unreachable(sqlx::Error::WorkerCrashed)),
            Self::Hang(limit) => {
                tokio::time::sleep(limit).await;
                Err(ReadError::Deadline {
                    limit_ms: limit.as_millis(),
                })
            }
            Self::NotInstalled => Err(ReadError::NotInstalled),
            Self::Rejected(code) => Err(ReadError::Rejected {
                question: "castmatch.health()",
                sqlstate: code.to_owned(),
                message: "secret detail of the server".to_owned(),
            }),
            Self::Panic => panic!("as the script says"),
        }
    }
}

#[derive(Debug)]
pub struct Script {
    pub health: Mutex<Reply<Value>>,
    pub metrics: Mutex<Reply<Vec<Sample>>>,
    pub performance: Mutex<Reply<Value>>,
    pub reads: AtomicUsize,
    running: AtomicUsize,
    pub most_running: AtomicUsize,
}

impl Script {
    pub fn new(health: Reply<Value>, metrics: Reply<Vec<Sample>>) -> Arc<Self> {
        Arc::new(Self {
            health: Mutex::new(health),
            metrics: Mutex::new(metrics),
            performance: Mutex::new(Reply::NotInstalled),
            reads: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
        })
    }

    pub fn healthy() -> Arc<Self> {
        Self::new(Reply::Now(report("ok")), Reply::Now(vec![hits(7.0)]))
    }

    pub fn set(&self, health: Reply<Value>, metrics: Reply<Vec<Sample>>) {
        *self.health.lock().unwrap() = health;
        *self.metrics.lock().unwrap() = metrics;
    }

    async fn alone<T>(&self, reply: Reply<T>) -> Result<T, ReadError> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(running, Ordering::SeqCst);
        let answer = reply.play().await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        answer
    }
}

pub fn report(status: &str) -> Value {
    json!({"status": status, "version": "0.1.0", "preloaded": true, "pending": 0, "failed": 0})
}

pub fn hits(value: f64) -> Sample {
    Sample {
        name: Some("castmatch_cache_hits_total".to_owned()),
        kind: Some("counter".to_owned()),
        help: Some("Cache hits.".to_owned()),
        labels: Some(r#"{"cache":"reply"}"#.to_owned()),
        value: Some(value),
    }
}

struct Scripted(Arc<Script>);

impl Source for Scripted {
    async fn health(&mut self) -> Result<Value, ReadError> {
        let reply = self.0.health.lock().unwrap().clone();
        self.0.alone(reply).await
    }

    async fn metrics(&mut self) -> Result<Vec<Sample>, ReadError> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        let reply = self.0.metrics.lock().unwrap().clone();
        self.0.alone(reply).await
    }

    async fn performance(&mut self) -> Result<Value, ReadError> {
        let reply = self.0.performance.lock().unwrap().clone();
        self.0.alone(reply).await
    }

    async fn close(&mut self) {}
}

pub fn timing() -> Timing {
    Timing {
        probe_interval: Duration::from_millis(20),
        performance_interval: Duration::from_millis(50),
        ..Timing::default()
    }
}

/// The running service; stops when dropped.
pub struct Service {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), StartError>>>,
}

impl Service {
    pub fn start(script: &Arc<Script>, timing: Timing) -> Self {
        let source = Scripted(Arc::clone(script));
        let (stop, stopped) = oneshot::channel();
        let (tell_address, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell_address.send(listener.local_addr().unwrap()).unwrap();
                server::serve(listener, source, timing, async {
                    let _ = stopped.await;
                })
                .await
            })
        });
        Self {
            address: address.recv().unwrap(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn request_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub fn join(mut self) -> Result<(), StartError> {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An answer of `castmatch.performance()` in which everything has a value, after so many calls of match of 1 to
/// 2 ms. One text tries to be markup.
pub fn performance(matches: u64) -> Value {
    let operation = |requests: u64| {
        json!({"requests": requests, "errors": requests / 50, "average_ms": 1.5, "p50_ms": 1.5, "p95_ms": 1.95, "p99_ms": 1.99,
               "buckets": [0, requests, 0, 0]})
    };
    json!({
        "since": "2026-11-23T06:00:00Z", "at": "2026-11-23T07:00:00Z", "uptime_seconds": 93_784, "version": "0.1.0",
        "postgres": "15.20", "in_recovery": false, "requests": matches, "errors": matches / 50, "error_ratio": 0.02,
        "operations": {"match": operation(matches), "chat": operation(0)},
        "bucket_bounds_ms": [1.0, 2.0, 10.0],
        "caches": [
            {"cache": "embedding", "level": "session", "requests": 2 * matches, "hits": matches, "hit_ratio": 0.5, "entries": null, "bytes": null},
            {"cache": "reply", "level": "shared", "requests": matches, "hits": matches / 4, "hit_ratio": 0.25, "entries": 812, "bytes": 4_299_161}],
        "queue": {"pending": 1234, "failed": 4, "oldest_seconds": 84.2, "rows_per_second": 61.5, "eta_seconds": 20.1},
        "models": [
            {"model": "builtin", "task": "embed", "provider": "local", "state": "ready", "breaker": null, "requests": 9, "errors": 0, "p95_ms": 4.25},
            {"model": "<b>big</b>", "task": "chat", "provider": "openai", "state": null, "breaker": "half_open", "requests": 7, "errors": 3, "p95_ms": 1420.0}],
        "indexes": [
            {"index": "talents_embedding_idx", "table": "talents", "method": "castmatch_hnsw", "rows": 1_000_000, "bytes": 2_147_483_648u64, "dead_ratio": 0.031, "valid": true},
            {"index": "broken_idx", "table": "jobs", "method": "castmatch_ivf", "rows": 0, "bytes": 8192, "dead_ratio": null, "valid": false}],
        "conversations": {"conversations": 12_011, "messages": 1_003_912, "last_prune": "2026-11-23T06:30:00Z", "pruned_messages": 88_123},
        "embedder": {"state": "ready", "pid": 48_213, "resident_bytes": 178_257_920, "cpu_seconds": 3725.0, "threads": 2},
        "memory": {"shared_bytes": 134_217_728, "backend_cache_bytes": 8_388_608}
    })
}
