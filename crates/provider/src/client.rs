//! The client of a process: one thread with its own runtime, which no other thread waits for. Calls go to it over a
//! channel, events come back over another, and a descriptor says that there are some.
//!
//! The thread never calls PostgreSQL. A call of which nobody waits for the end any more is dropped, and with it its
//! connection; the thread ends when its [`Client`] is dropped.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::mpsc::{self as blocking, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use tokio::runtime::{self, Runtime};
use tokio::sync::{mpsc, oneshot};

use crate::answer::Answer;
use crate::attempt::Exchange;
use crate::call::Call;
use crate::endpoint::Endpoint;
use crate::failure::{Failure, FailureKind};
use crate::retry;
use crate::transport::{HttpClient, Transports};

/// How long the end of the thread is waited for. It holds nothing that needs to be saved.
const STOP_TIMEOUT: Duration = Duration::from_millis(100);

/// Look-ups of names run in threads of their own, at most so many at once.
const MAX_LOOKUP_THREADS: usize = 4;

/// The client of a process: one thread, its runtime, its pool of connections. Not to be taken through a fork.
pub struct Client {
    /// Gone when the client is being dropped, which ends the thread.
    jobs: Option<mpsc::UnboundedSender<Job>>,
    ready: Ready,
    /// In a mutex only so that the client can be a static.
    ended: Mutex<blocking::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A call under way. Dropping it closes its connection at once.
pub struct Pending {
    events: blocking::Receiver<Event>,
    /// Never sent: the task sees that it is dropped.
    _cancel: oneshot::Sender<()>,
    done: bool,
}

/// News of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A piece of a streamed answer, in order; together they are the answer's text.
    Piece(String),
    /// The end; nothing follows.
    Done(Outcome),
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The whole answer (also of a stream), or why there is none.
    pub result: Result<Answer, Failure>,
    /// How the attempts before the last one ended.
    pub failed_attempts: Vec<Failure>,
}

struct Job {
    exchange: Result<Exchange, Failure>,
    report: Report,
    cancelled: oneshot::Receiver<()>,
}

/// Where the events of a call go. That it is dropped is news, too: a call without an end is over.
struct Report {
    events: Option<blocking::Sender<Event>>,
    ready: Ready,
}

/// The descriptor that says that there are events.
#[derive(Clone)]
struct Ready(Arc<OwnedFd>);

impl Client {
    /// Starts the thread. It takes over the caller's signal mask: in a PostgreSQL backend the caller blocks all signals
    /// while it calls this, so that none is ever handled outside its main thread.
    ///
    /// # Errors
    /// No thread, or no descriptors.
    pub fn start() -> std::io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let ready = Ready(Arc::new(eventfd(0, flags)?));
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(MAX_LOOKUP_THREADS)
            .build()?;
        let (jobs, received) = mpsc::unbounded_channel();
        let (tell_end, ended) = blocking::channel();
        let thread = Builder::new().name("castmatch-http".to_owned()).spawn(move || {
            serve(runtime, received);
            drop(tell_end);
        })?;
        Ok(Self {
            jobs: Some(jobs),
            ready,
            ended: Mutex::new(ended),
            thread: Some(thread),
        })
    }

    /// Begins a call. What comes of it, also if it cannot be sent, is an event of the pending call.
    #[must_use]
    pub fn send(&self, endpoint: &Endpoint, call: Call) -> Pending {
        let (events, received) = blocking::channel();
        let (cancel, cancelled) = oneshot::channel();
        let job = Job {
            exchange: Exchange::new(endpoint.clone(), call),
            report: Report {
                events: Some(events),
                ready: self.ready.clone(),
            },
            cancelled,
        };
        if let Some(jobs) = &self.jobs {
            // If the thread is gone, the report is dropped here, and the pending call sees it.
            let _ = jobs.send(job);
        }
        Pending {
            events: received,
            _cancel: cancel,
            done: false,
        }
    }

    /// A descriptor that becomes readable when a pending call has news: an eventfd, non-blocking, closed on exec. Clear it
    /// with [`Client::clear_ready`] before asking the pending calls.
    #[must_use]
    pub fn ready_fd(&self) -> RawFd {
        self.ready.0.as_raw_fd()
    }

    /// Makes the descriptor unreadable until there is more news.
    pub fn clear_ready(&self) {
        // Fails when it is clear already.
        let _ = rustix::io::read(&*self.ready.0, &mut [0_u8; 8]);
    }
}

/// The descriptor of [`Client::ready_fd`].
impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.0.as_fd()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.jobs = None;
        // The thread may be reading certificates; then it ends by itself a little later.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(STOP_TIMEOUT) == Err(RecvTimeoutError::Disconnected)
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

impl Pending {
    /// The next event, if there is one. Never blocks.
    #[expect(
        clippy::should_implement_trait,
        reason = "of an iterator, None would be the end"
    )]
    pub fn next(&mut self) -> Option<Event> {
        if self.done {
            return None;
        }
        let event = match self.events.try_recv() {
            Ok(event) => event,
            Err(TryRecvError::Empty) => return None,
            // A defect of ours, but nobody must wait for it for ever.
            Err(TryRecvError::Disconnected) => Event::Done(Outcome {
                result: Err(Failure::new(
                    FailureKind::Unreachable,
                    "the thread of the client has ended without an answer",
                )),
                failed_attempts: Vec::new(),
            }),
        };
        self.done = matches!(event, Event::Done(_));
        Some(event)
    }
}

impl Ready {
    fn set(&self) {
        // Fails only when it has been set 2^64 - 2 times without being cleared, and then it is set.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

impl Report {
    fn send(&self, event: Event) {
        if let Some(events) = &self.events {
            // Fails if the pending call has been dropped: then nobody cares.
            let _ = events.send(event);
        }
        self.ready.set();
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.events = None;
        self.ready.set();
    }
}

fn serve(runtime: Runtime, mut jobs: mpsc::UnboundedReceiver<Job>) {
    runtime.block_on(async {
        let mut transports = Transports::new();
        while let Some(job) = jobs.recv().await {
            let client = job
                .exchange
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|exchange| transports.client(exchange.endpoint()));
            let Job {
                exchange,
                report,
                cancelled,
            } = job;
            match (exchange, client) {
                (Ok(exchange), Ok(client)) => {
                    tokio::spawn(async move {
                        tokio::select! {
                            biased;
                            _ = cancelled => {}
                            outcome = run(&exchange, &client, &report) => report.send(Event::Done(outcome)),
                        }
                    });
                }
                (Err(failure), _) | (_, Err(failure)) => report.send(Event::Done(Outcome {
                    result: Err(failure),
                    failed_attempts: Vec::new(),
                })),
            }
        }
    });
    // Drops the calls under way, but does not wait for a look-up of a name.
    runtime.shutdown_background();
}

/// Tries until there is an answer or no attempt left. Once a piece of an answer has been given out there is no further one:
/// it would begin from the start.
async fn run(exchange: &Exchange, client: &HttpClient, report: &Report) -> Outcome {
    let endpoint = exchange.endpoint();
    let mut failed_attempts = Vec::new();
    let mut attempt = 1;
    loop {
        let mut begun = false;
        let mut piece = |text| {
            begun = true;
            report.send(Event::Piece(text));
        };
        let failure = match exchange.attempt(client, &mut piece).await {
            Ok(answer) => {
                return Outcome {
                    result: Ok(answer),
                    failed_attempts,
                };
            }
            Err(failure) => failure,
        };
        let wait = retry::wait_after(&failure, attempt, endpoint.attempt_timeout(), retry::chance());
        let (Some(wait), true) = (wait, !begun && attempt < endpoint.attempts()) else {
            return Outcome {
                result: Err(failure),
                failed_attempts,
            };
        };
        failed_attempts.push(failure);
        tokio::time::sleep(wait).await;
        attempt += 1;
    }
}
