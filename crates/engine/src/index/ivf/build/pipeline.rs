//! Rows are read on the caller's thread and coded on others. When those are busy the caller codes as well.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::index::hnsw::build::Supervisor;
use crate::index::quantize::Rankable;
use crate::index::{HeapTid, IndexError};

use super::super::index::Index;
use super::super::insert::NewElement;
use super::assembly::{Assembly, Batch, TapeMaker};
use super::train::Model;
use super::{Coder, record_bytes};

/// How long the caller waits for a thread before it asks whether to go on.
const NAP: Duration = Duration::from_millis(20);

/// Takes rows.
pub type Feed<'a> = dyn FnMut(&NewElement<'_>) -> Result<(), IndexError> + 'a;

/// Rows that are to be coded.
#[derive(Default)]
struct Rows {
    vectors: Vec<f32>,
    places: Vec<(HeapTid, Rankable)>,
    keys: Vec<u8>,
}

impl Rows {
    fn push(&mut self, element: &NewElement<'_>) -> Result<(), IndexError> {
        let bytes = size_of_val(self.vectors.as_slice()) + size_of_val(element.transformed);
        let out_of_memory = |_| IndexError::OutOfMemory {
            what: "rows of a build",
            bytes,
        };
        self.vectors
            .try_reserve(element.transformed.len())
            .map_err(out_of_memory)?;
        self.vectors.extend_from_slice(element.transformed);
        self.keys.extend_from_slice(element.keys);
        self.places.push((element.tid, element.rankable));
        Ok(())
    }

    fn code(&self, index: &Index, model: &Model, coder: &mut Coder) -> Result<Batch, IndexError> {
        let mut batch = Batch::default();
        let bytes = self.places.len() * record_bytes(index);
        batch
            .records
            .try_reserve_exact(bytes)
            .map_err(|_| IndexError::OutOfMemory {
                what: "rows of a build",
                bytes,
            })?;
        let key_bytes = index.layout.key_bytes;
        let vectors = self.vectors.chunks_exact(index.layout.dims);
        for (at, ((tid, rankable), transformed)) in self.places.iter().zip(vectors).enumerate() {
            let element = NewElement {
                transformed,
                rankable: *rankable,
                tid: *tid,
                keys: self
                    .keys
                    .get(at * key_bytes..(at + 1) * key_bytes)
                    .unwrap_or_default(),
            };
            let list = coder.code(index, model, &element, &mut batch.records)?;
            batch.lists.push(list);
        }
        Ok(batch)
    }
}

type Coded = Result<Batch, IndexError>;

/// Has `feed` read all rows, and collects them, coded, in the assembly, with so many threads beside the caller's.
///
/// # Errors
/// Those of `feed`, [`IndexError::Interrupted`], [`IndexError::OutOfMemory`], [`IndexError::Failed`] if a thread panicked.
pub fn run<M: TapeMaker>(
    assembly: &mut Assembly<'_, M>,
    threads: usize,
    supervisor: &dyn Supervisor,
    feed: impl FnOnce(&mut Feed<'_>) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let (index, model) = assembly.parts();
    let rows_at_once = assembly.rows_at_once(threads);
    let (work, waiting) = sync_channel::<Rows>(2 * threads.max(1));
    let waiting = Mutex::new(waiting);
    let (done, results) = channel::<Coded>();
    thread::scope(|scope| {
        // Whatever ends this closure drops the sender, and that ends the threads.
        let (work, done) = (work, done);
        let mut handles = Vec::new();
        supervisor.before_spawn();
        for _ in 0..threads {
            let (waiting, done) = (&waiting, done.clone());
            let labour = move || labour(index, model, waiting, &done);
            match thread::Builder::new()
                .name("castmatch build".into())
                .spawn_scoped(scope, labour)
            {
                Ok(handle) => handles.push(handle),
                Err(_) => break,
            }
        }
        supervisor.after_spawn();
        drop(done);
        let mut caller = Caller {
            assembly,
            work: (!handles.is_empty()).then_some(work),
            results: &results,
            rows_at_once,
            coder: Coder::default(),
            rows: Rows::default(),
        };
        feed(&mut |element| caller.push(element))?;
        caller.finish(supervisor)?;
        let outcomes: Vec<_> = handles.into_iter().map(|handle| handle.join()).collect();
        if outcomes.iter().any(Result::is_err) {
            return Err(IndexError::Failed {
                what: "a thread of the build broke off",
            });
        }
        Ok(())
    })
}

/// A thread: codes what it is handed until there is no more.
fn labour(index: &Index, model: &Model, waiting: &Mutex<Receiver<Rows>>, done: &Sender<Coded>) {
    let mut coder = Coder::default();
    loop {
        // The lock is let go of before the rows are coded.
        let rows = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(rows) = rows else { return };
        if done.send(rows.code(index, model, &mut coder)).is_err() {
            return;
        }
    }
}

/// The caller's side.
struct Caller<'c, 'a, M: TapeMaker> {
    assembly: &'c mut Assembly<'a, M>,
    /// None without threads, and after the last rows.
    work: Option<SyncSender<Rows>>,
    results: &'c Receiver<Coded>,
    rows_at_once: usize,
    coder: Coder,
    rows: Rows,
}

impl<M: TapeMaker> Caller<'_, '_, M> {
    fn push(&mut self, element: &NewElement<'_>) -> Result<(), IndexError> {
        self.rows.push(element)?;
        if self.rows.places.len() < self.rows_at_once {
            return Ok(());
        }
        self.hand_over()?;
        while let Ok(coded) = self.results.try_recv() {
            self.assembly.absorb(coded?)?;
        }
        Ok(())
    }

    /// Gives the rows to a thread, or codes them where all are busy.
    fn hand_over(&mut self) -> Result<(), IndexError> {
        let rows = core::mem::take(&mut self.rows);
        let left = match &self.work {
            None => Some(rows),
            Some(work) => match work.try_send(rows) {
                Ok(()) => None,
                Err(TrySendError::Full(rows) | TrySendError::Disconnected(rows)) => Some(rows),
            },
        };
        if let Some(rows) = left {
            let (index, model) = self.assembly.parts();
            let batch = rows.code(index, model, &mut self.coder)?;
            self.assembly.absorb(batch)?;
        }
        Ok(())
    }

    /// Waits for what the threads are still at.
    fn finish(&mut self, supervisor: &dyn Supervisor) -> Result<(), IndexError> {
        self.hand_over()?;
        self.work = None;
        loop {
            supervisor.check()?;
            match self.results.recv_timeout(NAP) {
                Ok(coded) => self.assembly.absorb(coded?)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }
}
