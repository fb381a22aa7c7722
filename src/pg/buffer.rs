//! Pages of a relation through shared buffers: reading under a shared lock, changing under an exclusive one with a WAL record.
//!
//! No guard object leaves this module: a closure gets the page, the lock is released when it returns, and a server ERROR in between
//! releases it by the transaction's abort. Closures must not call the server.

use super::ahead::ReadAhead;
use super::relation::Relation;
use pgrx::pg_sys;

/// Bytes of a page.
pub const PAGE_BYTES: usize = pg_sys::BLCKSZ as usize;
/// Bytes of the special area at the end of our pages.
const SPECIAL_BYTES: usize = 8;

/// A pinned buffer, locked or not.
#[derive(Clone, Copy)]
pub(super) struct Pinned(pg_sys::Buffer);

impl Pinned {
    /// A buffer that the server has pinned for this process, if it is one.
    #[cfg(not(any(feature = "pg14", feature = "pg15", feature = "pg16")))]
    pub(super) fn from_server(buffer: pg_sys::Buffer) -> Option<Self> {
        (buffer != pg_sys::InvalidBuffer as pg_sys::Buffer).then_some(Self(buffer))
    }

    pub(super) fn read(relation: Relation, block: u32) -> Self {
        // SAFETY: an open relation; the server checks the block.
        Self(unsafe { pg_sys::ReadBuffer(relation.as_ptr(), block) })
    }

    fn lock(self, mode: u32) {
        // SAFETY: pinned by this process, not locked yet.
        unsafe { pg_sys::LockBuffer(self.0, mode as i32) };
    }

    pub(super) fn release(self) {
        // SAFETY: pinned by this process.
        unsafe { pg_sys::ReleaseBuffer(self.0) };
    }

    fn unlock_and_release(self) {
        // SAFETY: pinned and locked by this process.
        unsafe { pg_sys::UnlockReleaseBuffer(self.0) };
    }

    fn page(&self) -> *mut u8 {
        // SAFETY: pinned, so the address is the page's.
        unsafe { pg_sys::BufferGetBlock(self.0) }.cast()
    }

    /// The page's bytes; the caller holds at least a shared lock.
    fn bytes(&self) -> &[u8] {
        // SAFETY: a page has BLCKSZ bytes; the share lock keeps writers out, hint bits are not used on our pages.
        unsafe { core::slice::from_raw_parts(self.page(), PAGE_BYTES) }
    }

    /// The page's bytes; the caller holds the exclusive lock.
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; the exclusive lock makes this process the only one to touch them.
        unsafe { core::slice::from_raw_parts_mut(self.page(), PAGE_BYTES) }
    }
}

/// Shows a page under a shared lock. Returns the buffer that it was in, too, as a hint for later.
pub fn read<R>(relation: Relation, block: u32, look: impl FnOnce(&[u8]) -> R) -> (R, i32) {
    show(Pinned::read(relation, block), look)
}

/// Like [`read`], by way of pages that are read ahead.
///
/// # Errors
/// Gives `look` back unused if the page is not one of those to come.
pub fn read_ahead<R, F: FnOnce(&[u8]) -> R>(
    ahead: &mut ReadAhead,
    block: u32,
    look: F,
) -> Result<(R, i32), F> {
    match ahead.take(block) {
        Some(pinned) => Ok(show(pinned, look)),
        None => Err(look),
    }
}

fn show<R>(pinned: Pinned, look: impl FnOnce(&[u8]) -> R) -> (R, i32) {
    pinned.lock(pg_sys::BUFFER_LOCK_SHARE);
    let result = look(pinned.bytes());
    pinned.unlock_and_release();
    (result, pinned.0)
}

/// Runs `work` while a page is pinned, which keeps VACUUM from what needs it alone. Unlike a closure that is shown a page, `work` may call
/// the server.
pub fn keep_pinned<R>(relation: Relation, block: u32, work: impl FnOnce() -> R) -> R {
    let pinned = Pinned::read(relation, block);
    // An ERROR in it releases the page by the transaction's abort.
    let result = work();
    pinned.release();
    result
}

/// Like [`read`], by way of the buffer where the page was before, which saves the look-up in the buffer table.
///
/// # Errors
/// Gives `look` back unused if the page is elsewhere by now.
pub fn read_recent<R, F: FnOnce(&[u8]) -> R>(
    relation: Relation,
    block: u32,
    buffer: i32,
    look: F,
) -> Result<R, F> {
    if !pin_recent(relation, block, buffer) {
        return Err(look);
    }
    Ok(show(Pinned(buffer), look).0)
}

/// Pins and releases a page, so that the server sees that it is in use. By the ordinary way: ReadRecentBuffer does not raise the usage
/// count of a buffer before PostgreSQL 18.
pub fn touch(relation: Relation, block: u32) {
    Pinned::read(relation, block).release();
}

fn pin_recent(relation: Relation, block: u32, buffer: i32) -> bool {
    #[cfg(any(feature = "pg14", feature = "pg15"))]
    // SAFETY: an open relation.
    let file = unsafe { (*relation.as_ptr()).rd_node };
    #[cfg(not(any(feature = "pg14", feature = "pg15")))]
    // SAFETY: an open relation.
    let file = unsafe { (*relation.as_ptr()).rd_locator };
    // SAFETY: the server checks that the buffer still holds the page.
    unsafe { pg_sys::ReadRecentBuffer(file, pg_sys::ForkNumber::MAIN_FORKNUM, block, buffer) }
}

/// Gives a page under an exclusive lock to `change`. When that returns true, the change becomes one WAL record; otherwise
/// nothing has happened: `change` works on a copy.
pub fn update<R>(relation: Relation, block: u32, change: impl FnOnce(&mut [u8]) -> (bool, R)) -> R {
    let pinned = Pinned::read(relation, block);
    pinned.lock(pg_sys::BUFFER_LOCK_EXCLUSIVE);
    // A crash between the growth of the file and the record of the new page leaves zeroes. Such a page gets its header now, and is
    // logged as a whole: recovery passes over mere changes to a page that is new to it, and everything on the page would be lost.
    let is_new = is_new(pinned.bytes());
    let flags = if is_new {
        pg_sys::GENERIC_XLOG_FULL_IMAGE
    } else {
        0
    };
    let result = log_change(relation, pinned, flags, |page| {
        if is_new {
            init(page);
        }
        change(page)
    });
    pinned.unlock_and_release();
    result
}

/// Adds a page, initialised and then written by `fill`, as one WAL record. Returns its block.
pub fn extend<R>(relation: Relation, fill: impl FnOnce(u32, &mut [u8]) -> R) -> (u32, R) {
    let (pinned, block) = new_buffer(relation);
    let result = log_change(relation, pinned, pg_sys::GENERIC_XLOG_FULL_IMAGE, |page| {
        init(page);
        (true, fill(block, page))
    });
    pinned.unlock_and_release();
    (block, result)
}

/// Like [`update`] without a WAL record: for an index under construction, logged as a whole by [`log_all`].
pub fn update_unlogged<R>(relation: Relation, block: u32, change: impl FnOnce(&mut [u8]) -> (bool, R)) -> R {
    let mut pinned = Pinned::read(relation, block);
    pinned.lock(pg_sys::BUFFER_LOCK_EXCLUSIVE);
    // On a copy, as with WAL: a change that is not made leaves no trace.
    let mut copy = [0_u8; PAGE_BYTES];
    copy.copy_from_slice(pinned.bytes());
    let (changed, result) = change(&mut copy);
    if changed {
        pinned.bytes_mut().copy_from_slice(&copy);
        // SAFETY: pinned and exclusively locked.
        unsafe { pg_sys::MarkBufferDirty(pinned.0) };
    }
    pinned.unlock_and_release();
    result
}

/// Like [`extend`] without a WAL record.
pub fn extend_unlogged<R>(relation: Relation, fill: impl FnOnce(u32, &mut [u8]) -> R) -> (u32, R) {
    let (mut pinned, block) = new_buffer(relation);
    let page = pinned.bytes_mut();
    init(page);
    let result = fill(block, page);
    // SAFETY: pinned and exclusively locked.
    unsafe { pg_sys::MarkBufferDirty(pinned.0) };
    pinned.unlock_and_release();
    (block, result)
}

/// Appends a finished page without a WAL record: for an index under construction, logged as a whole by [`log_all`].
pub fn append_unlogged(relation: Relation, expected_block: u32, content: &[u8]) {
    let (mut pinned, block) = new_buffer(relation);
    if block != expected_block {
        pgrx::error!("castmatch: page {expected_block} became block {block}");
    }
    let page = pinned.bytes_mut();
    init(page);
    if let (Some(target), Some(source)) = (
        page.get_mut(HEADER_BYTES..),
        content.get(HEADER_BYTES..PAGE_BYTES),
    ) {
        target.copy_from_slice(source);
    }
    // SAFETY: pinned and exclusively locked.
    unsafe { pg_sys::MarkBufferDirty(pinned.0) };
    pinned.unlock_and_release();
}

/// Bytes of PostgreSQL's own page header.
const HEADER_BYTES: usize = 24;
/// Where `pd_upper` stands in it.
const PD_UPPER: usize = core::mem::offset_of!(pg_sys::PageHeaderData, pd_upper);

/// Writes the first `blocks` pages of a new relation to the WAL, if the relation is logged at all.
pub fn log_all(relation: Relation, blocks: u32) {
    if relation.needs_wal() && blocks > 0 {
        // SAFETY: an open relation that nobody else writes to yet; its pages have the standard header.
        unsafe {
            pg_sys::log_newpage_range(
                relation.as_ptr(),
                pg_sys::ForkNumber::MAIN_FORKNUM,
                0,
                blocks,
                true,
            )
        };
    }
}

/// Writes one page of the init fork: what an unlogged index is after a crash. It is logged even though the index is not, because
/// recovery copies it over the main fork.
pub fn write_init_fork(relation: Relation, contents: &[Box<[u8; PAGE_BYTES]>]) {
    for content in contents {
        // SAFETY: an open relation; a new page at the end of its init fork, exclusively locked.
        let buffer = unsafe {
            pg_sys::ReadBufferExtended(
                relation.as_ptr(),
                pg_sys::ForkNumber::INIT_FORKNUM,
                pg_sys::InvalidBlockNumber,
                pg_sys::ReadBufferMode::RBM_NORMAL,
                core::ptr::null_mut(),
            )
        };
        let mut pinned = Pinned(buffer);
        pinned.lock(pg_sys::BUFFER_LOCK_EXCLUSIVE);
        let page = pinned.bytes_mut();
        init(page);
        if let Some(target) = page.get_mut(HEADER_BYTES..) {
            target.copy_from_slice(&content[HEADER_BYTES..]);
        }
        // A critical section, as everywhere where a page and its WAL record must not part.
        // SAFETY: pinned and locked; nothing in between can raise an ERROR but the logging itself.
        unsafe {
            pg_sys::CritSectionCount += 1;
            pg_sys::MarkBufferDirty(pinned.0);
            pg_sys::log_newpage_buffer(pinned.0, true);
            pg_sys::CritSectionCount -= 1;
        }
        pinned.unlock_and_release();
    }
}

/// The position of the page's last change in the WAL.
pub fn page_position(page: &[u8]) -> u64 {
    let half = |at: usize| {
        page.get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u32::from_le_bytes)
    };
    (u64::from(half(0)) << 32) | u64::from(half(4))
}

/// Where the next WAL record will stand.
pub fn insert_position() -> u64 {
    // SAFETY: reads shared state; only called by a server that accepts writes.
    unsafe { pg_sys::GetXLogInsertRecPtr() }
}

/// Asks the operating system to read a block ahead of its use.
pub fn prefetch(relation: Relation, block: u32) {
    // SAFETY: an open relation.
    unsafe { pg_sys::PrefetchBuffer(relation.as_ptr(), pg_sys::ForkNumber::MAIN_FORKNUM, block) };
}

/// A new page at the end, pinned and exclusively locked.
fn new_buffer(relation: Relation) -> (Pinned, u32) {
    let shared = !relation.is_temporary();
    // SAFETY: an open relation. The lock keeps two backends from adding the same block; it is released at once.
    let buffer = unsafe {
        if shared {
            pg_sys::LockRelationForExtension(relation.as_ptr(), pg_sys::ExclusiveLock as i32);
        }
        // Locked before anybody else can see it: whoever looks for room on the last page would take it for one that a crash left, and
        // what is stored there would be overwritten here.
        let buffer = pg_sys::ReadBufferExtended(
            relation.as_ptr(),
            pg_sys::ForkNumber::MAIN_FORKNUM,
            pg_sys::InvalidBlockNumber,
            pg_sys::ReadBufferMode::RBM_ZERO_AND_LOCK,
            core::ptr::null_mut(),
        );
        if shared {
            pg_sys::UnlockRelationForExtension(relation.as_ptr(), pg_sys::ExclusiveLock as i32);
        }
        buffer
    };
    // SAFETY: pinned just now.
    let block = unsafe { pg_sys::BufferGetBlockNumber(buffer) };
    (Pinned(buffer), block)
}

/// Runs `change` on the WAL machinery's copy of the page and logs it, or forgets the copy.
fn log_change<R>(
    relation: Relation,
    pinned: Pinned,
    flags: u32,
    change: impl FnOnce(&mut [u8]) -> (bool, R),
) -> R {
    // SAFETY: an open relation and a buffer that is pinned and exclusively locked; the copy is a page of BLCKSZ bytes that belongs
    // to the state until it is finished or aborted.
    let (state, copy) = unsafe {
        let state = pg_sys::GenericXLogStart(relation.as_ptr());
        let page = pg_sys::GenericXLogRegisterBuffer(state, pinned.0, flags as i32).cast::<u8>();
        (state, core::slice::from_raw_parts_mut(page, PAGE_BYTES))
    };
    let (changed, result) = change(copy);
    // SAFETY: the state made above, used once.
    unsafe {
        if changed {
            pg_sys::GenericXLogFinish(state);
        } else {
            pg_sys::GenericXLogAbort(state);
        }
    }
    result
}

/// Whether the page has no header yet, as PostgreSQL asks it: `pd_upper` is zero.
fn is_new(page: &[u8]) -> bool {
    page.get(PD_UPPER..PD_UPPER + 2)
        .is_some_and(|upper| upper == [0, 0])
}

/// PostgreSQL's page header, with everything between header and special area in use: nothing of our pages is a hole that the WAL
/// may leave out.
fn init(page: &mut [u8]) {
    let start = page.as_mut_ptr();
    // SAFETY: `page` has BLCKSZ bytes and is aligned as pages are.
    unsafe {
        pg_sys::PageInit(start.cast(), PAGE_BYTES, SPECIAL_BYTES);
        let header = start.cast::<pg_sys::PageHeaderData>();
        (*header).pd_lower = (*header).pd_upper;
    }
}
