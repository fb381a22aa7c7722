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
