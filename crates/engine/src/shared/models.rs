//! The embedding models that the worker holds or is asked for: a table of a fixed number of entries.
//!
//! The first entry is `builtin`'s for ever. A backend that wants another model finds its entry or claims one; the worker
//! loads what is wanted. An entry whose model is not loaded and which no request names may be given to another model: each
//! such change raises its tenure, and a [`ModelRef`] that names an earlier tenure is void.
//!
//! Changes are made under a lock that is held for some dozens of instructions, none of which waits or fails. Reading
//! takes no lock: an odd tenure says that the entry is being changed, and one that is the same before and after the
//! reading says that what was read belongs together.

use crate::model_name::{BUILTIN, MAX_NAME_BYTES};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

/// Models at a time.
pub const MODELS: usize = 8;

/// Longest message of the worker, in bytes.
const MESSAGE_BYTES: usize = 384;

/// What is known about a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Condition {
    /// Not loaded: no worker runs, nobody asked for it, or it was unused for long.
    Stopped = 0,
    /// The worker is loading it.
    Starting = 1,
    /// It is loaded.
    Ready = 2,
    /// Its files are not there.
    ModelMissing = 3,
    /// It could not be loaded for another reason.
    Failed = 4,
}

impl Condition {
    fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Starting,
            2 => Self::Ready,
            3 => Self::ModelMissing,
            4 => Self::Failed,
            _ => Self::Stopped,
        }
    }

    /// Its name for users.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::ModelMissing | Self::Failed => "failed",
        }
    }
}

/// An entry of the table in one of its tenures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelRef {
    index: u32,
    tenure: u32,
}

impl ModelRef {
    /// The model that comes with castmatch.
    pub const BUILTIN: Self = Self { index: 0, tenure: 0 };

    /// The place in the table.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// As one number, for an atomic.
    pub fn to_bits(self) -> u64 {
        u64::from(self.tenure) << 32 | u64::from(self.index)
    }

    /// What [`Self::to_bits`] made a number of.
    pub fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32,
            tenure: (bits >> 32) as u32,
        }
    }
}

/// What an entry says about its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether it can be used.
    pub condition: Condition,
    /// Dimensions of its vectors; 0 before it was loaded.
    pub dimensions: usize,
    /// A number that changes with everything that decides its vectors; 0 before it was loaded.
    pub version: u64,
    /// Attempts to load it so far.
    pub load_attempts: u64,
}

/// Text in shared memory. A reader may see parts of two texts; whoever minds looks at the tenure.
#[repr(C)]
struct SharedText<const BYTES: usize> {
    length: AtomicU32,
    bytes: [AtomicU8; BYTES],
}

impl<const BYTES: usize> SharedText<BYTES> {
    // Each use is a value of its own, as it is to be.
    #[cfg(test)]
    #[allow(clippy::declare_interior_mutable_const)]
    const ZERO: Self = Self {
        length: AtomicU32::new(0),
        bytes: [const { AtomicU8::new(0) }; BYTES],
    };

    /// Writes the text, cut at a character boundary if it is too long.
    fn write(&self, text: &str) {
        let end = text.floor_char_boundary(BYTES);
        for (byte, value) in self.bytes.iter().zip(text.as_bytes().iter().take(end)) {
            byte.store(*value, Ordering::Relaxed);
        }
        self.length.store(end as u32, Ordering::Relaxed);
    }

    fn stored(&self) -> impl Iterator<Item = u8> {
        let length = self.length.load(Ordering::Relaxed) as usize;
        self.bytes
            .iter()
            .take(length)
            .map(|byte| byte.load(Ordering::Relaxed))
    }

    fn read(&self) -> String {
        String::from_utf8_lossy(&self.stored().collect::<Vec<u8>>()).into_owned()
    }

    fn is(&self, text: &str) -> bool {
        self.stored().eq(text.bytes())
    }
}

/// A model.
#[repr(C)]
struct Entry {
    /// Even and above 0: taken by a model. Odd: being changed. 0: taken by none so far, but for the first entry.
    tenure: AtomicU32,
    condition: AtomicU32,
    dimensions: AtomicU32,
    load_wanted: AtomicU32,
    version: AtomicU64,
    load_attempts: AtomicU64,
    last_use_ms: AtomicU64,
    name: SharedText<MAX_NAME_BYTES>,
    message: SharedText<MESSAGE_BYTES>,
}

impl Entry {
    fn facts(&self) -> Facts {
        Facts {
            condition: self.condition(),
            dimensions: self.dimensions.load(Ordering::Relaxed) as usize,
            version: self.version.load(Ordering::Relaxed),
            load_attempts: self.load_attempts.load(Ordering::Relaxed),
        }
    }

    fn condition(&self) -> Condition {
        Condition::from_number(self.condition.load(Ordering::Acquire))
    }

    /// Whether the worker neither holds its model nor is to load it.
    fn is_idle(&self) -> bool {
        let holds = matches!(self.condition(), Condition::Starting | Condition::Ready);
        !holds && self.load_wanted.load(Ordering::Acquire) == 0
    }

    /// The condition last, so that who sees it sees the rest.
    fn set(&self, condition: Condition, message: &str) {
        self.message.write(message);
        self.condition.store(condition as u32, Ordering::Release);
    }

    /// What is loaded next may be another model.
    fn forget_model(&self) {
        self.version.store(0, Ordering::Release);
        self.dimensions.store(0, Ordering::Release);
    }
}

/// Every entry is taken by a model in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFull;

/// The table. Valid when all bytes are zero: `builtin` is not loaded, the other entries are free.
#[repr(C)]
pub struct ModelTable {
    lock: AtomicU32,
    entries: [Entry; MODELS],
}

/// Gives the lock back.
struct Locked<'a>(&'a AtomicU32);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}

impl ModelTable {
    /// What a process finds in fresh shared memory.
    #[cfg(test)]
    #[allow(clippy::declare_interior_mutable_const)]
    pub(super) const ZERO: Self = Self {
        lock: AtomicU32::new(0),
        entries: [const {
            Entry {
                tenure: AtomicU32::new(0),
                condition: AtomicU32::new(0),
                dimensions: AtomicU32::new(0),
                load_wanted: AtomicU32::new(0),
                version: AtomicU64::new(0),
                load_attempts: AtomicU64::new(0),
                last_use_ms: AtomicU64::new(0),
                name: SharedText::ZERO,
                message: SharedText::ZERO,
            }
        }; MODELS],
    };

    fn lock(&self) -> Locked<'_> {
        while self
            .lock
            .compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            std::thread::yield_now();
        }
        Locked(&self.lock)
    }

    /// Entries that are taken, in their present tenure.
    fn taken(&self) -> impl Iterator<Item = (ModelRef, &Entry)> {
        (0..).zip(&self.entries).filter_map(|(index, entry)| {
            let tenure = entry.tenure.load(Ordering::Acquire);
            let taken = index == 0 || (tenure != 0 && tenure.is_multiple_of(2));
            taken.then_some((ModelRef { index, tenure }, entry))
        })
    }

    /// What `read` finds in the entry, unless that is no more, or not yet, the model's.
    fn read<R>(&self, model: ModelRef, read: impl FnOnce(&Entry) -> R) -> Option<R> {
        let entry = self.entries.get(model.index())?;
        if entry.tenure.load(Ordering::Acquire) != model.tenure {
            return None;
        }
        let found = read(entry);
        fence(Ordering::Acquire);
        (entry.tenure.load(Ordering::Relaxed) == model.tenure).then_some(found)
    }

    /// Has `change` change the entry if it still is the model's; says whether.
    fn change(&self, model: ModelRef, change: impl FnOnce(&Entry)) -> bool {
        let _locked = self.lock();
        let entry = self.entries.get(model.index());
        let Some(entry) = entry.filter(|entry| entry.tenure.load(Ordering::Relaxed) == model.tenure) else {
            return false;
        };
        change(entry);
        true
    }

    /// The entry of the model of that name.
    pub fn find(&self, name: &str) -> Option<ModelRef> {
        if name == BUILTIN {
            return Some(ModelRef::BUILTIN);
        }
        self.taken()
            .skip(1)
            .find(|&(model, _)| self.read(model, |entry| entry.name.is(name)) == Some(true))
            .map(|(model, _)| model)
    }

    /// The entry of the model of that name, a new one if it has none. `is_in_use` says whether a request names an entry:
    /// whoever makes a request first writes down the entry and then asks [`Self::is_current`].
    ///
    /// # Errors
    /// If all entries are taken by models that are in use.
    pub fn claim(
        &self,
        name: &str,
        now_ms: u64,
        is_in_use: impl Fn(ModelRef) -> bool,
    ) -> Result<ModelRef, TableFull> {
        let _locked = self.lock();
        if let Some(model) = self.find(name) {
            return Ok(model);
        }
        // Free ones first, then those that were used longest ago.
        let mut candidates: Vec<(u64, u32, &Entry)> = (0..)
            .zip(&self.entries)
            .skip(1)
            .map(|(index, entry)| (entry.last_use_ms.load(Ordering::Relaxed), index, entry))
            .collect();
        candidates.sort_by_key(|&(last_use_ms, index, entry)| {
            (entry.tenure.load(Ordering::Relaxed) != 0, last_use_ms, index)
        });
        for (_, index, entry) in candidates {
            let tenure = entry.tenure.load(Ordering::Relaxed);
            if !entry.is_idle() {
                continue;
            }
            entry.tenure.store(tenure | 1, Ordering::SeqCst);
            // Either this process sees the request, or who makes it sees the tenure.
            fence(Ordering::SeqCst);
            if tenure != 0 && is_in_use(ModelRef { index, tenure }) {
                entry.tenure.store(tenure, Ordering::Release);
                continue;
            }
            entry.name.write(name);
            entry.set(Condition::Stopped, "");
            entry.forget_model();
            entry.load_attempts.store(0, Ordering::Relaxed);
            entry.last_use_ms.store(now_ms, Ordering::Relaxed);
            // Nobody else may take it before its model could be loaded.
            entry.load_wanted.store(1, Ordering::Release);
            let tenure = tenure.wrapping_add(2).max(2);
            entry.tenure.store(tenure, Ordering::Release);
            return Ok(ModelRef { index, tenure });
        }
        Err(TableFull)
    }

    /// Whether the entry still is the model's.
    pub fn is_current(&self, model: ModelRef) -> bool {
        fence(Ordering::SeqCst);
        self.entries
            .get(model.index())
            .is_some_and(|entry| entry.tenure.load(Ordering::SeqCst) == model.tenure)
    }

    /// What is known about the model; `None` if the entry is another's.
    pub fn facts(&self, model: ModelRef) -> Option<Facts> {
        self.read(model, Entry::facts)
    }

    /// The model's name.
    pub fn name(&self, model: ModelRef) -> Option<String> {
        if model == ModelRef::BUILTIN {
            return Some(BUILTIN.to_owned());
        }
        self.read(model, |entry| entry.name.read())
    }

    /// What explains the model's condition: the reason, or the folder of one that is loaded.
    pub fn message(&self, model: ModelRef) -> String {
        self.read(model, |entry| entry.message.read()).unwrap_or_default()
    }

    /// The models that the table knows, `builtin` first.
    pub fn all(&self) -> Vec<(String, ModelRef, Facts)> {
        self.taken()
            .filter_map(|(model, _)| Some((self.name(model)?, model, self.facts(model)?)))
            .collect()
    }

    /// Notes that the model is being used.
    pub fn touch(&self, model: ModelRef, now_ms: u64) {
        let _ = self.read(model, |entry| entry.last_use_ms.store(now_ms, Ordering::Relaxed));
    }

    /// Asks for the model to be loaded. Should the entry be another's by now, that one is loaded, which does no harm.
    pub fn want(&self, model: ModelRef) {
        let _ = self.read(model, |entry| entry.load_wanted.store(1, Ordering::Release));
    }

    /// A model that is to be loaded and is not, from here on noted as being loaded; with its name.
    pub fn start_wanted(&self) -> Option<(ModelRef, String)> {
        let wanted = |entry: &Entry| entry.load_wanted.swap(0, Ordering::AcqRel) == 1;
        self.taken().find_map(|(model, entry)| {
            (wanted(entry) && entry.condition() != Condition::Ready)
                .then(|| self.start(model))
                .flatten()
        })
    }

    /// Notes that the model is being loaded; its name. `None` if the entry is another's.
    pub fn start(&self, model: ModelRef) -> Option<(ModelRef, String)> {
        self.change(model, |entry| entry.set(Condition::Starting, ""))
            .then(|| Some((model, self.name(model)?)))
            .flatten()
    }

    /// Notes that the model is loaded, from the folder of that name.
    pub fn loaded(&self, model: ModelRef, dimensions: usize, version: u64, folder: &str) {
        self.change(model, |entry| {
            entry.dimensions.store(dimensions as u32, Ordering::Release);
            entry.version.store(version, Ordering::Release);
            entry.set(Condition::Ready, folder);
            entry.load_attempts.fetch_add(1, Ordering::AcqRel);
        });
    }

    /// Notes why the model could not be loaded.
    pub fn not_loaded(&self, model: ModelRef, condition: Condition, message: &str) {
        self.change(model, |entry| {
            // No cached vector is one of the model that is there now.
            entry.forget_model();
            entry.set(condition, message);
            entry.load_attempts.fetch_add(1, Ordering::AcqRel);
        });
    }

    /// Notes that the model is not held any more; its dimensions and version stay known until it is loaded again.
    pub fn unloaded(&self, model: ModelRef) {
        self.change(model, |entry| entry.set(Condition::Stopped, ""));
    }

    /// Notes that what is known about a model that is not loaded may be wrong by now.
    pub fn forget(&self, model: ModelRef) {
        self.change(model, |entry| {
            entry.forget_model();
            entry.set(Condition::Stopped, "");
        });
    }

    /// Notes that no model is held, as no worker is there.
    pub fn stop_all(&self) {
        for (model, _) in self.taken() {
            self.unloaded(model);
        }
    }

    /// Milliseconds since the model was used.
    pub fn unused_ms(&self, model: ModelRef, now_ms: u64) -> u64 {
        let last_use_ms = self.read(model, |entry| entry.last_use_ms.load(Ordering::Relaxed));
        now_ms.saturating_sub(last_use_ms.unwrap_or(0))
    }
}

#[cfg(test)]
#[path = "models_tests.rs"]
mod tests;
