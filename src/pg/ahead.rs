//! Pages of a relation that are read one after the other, fetched ahead of their use: since PostgreSQL 17 by the server's read streams, which
//! read several pages in one call and since 18 without waiting for each; before that by telling the operating system.

use super::buffer::Pinned;
use super::relation::Relation;
use core::ops::Range;

/// Blocks that will be read in ascending order.
///
/// Lives within one call of the server, in the memory context in which it was made. An ERROR releases what it holds with the transaction's
/// abort.
pub struct ReadAhead {
    /// The block that the next page of `source` is.
    next: u32,
    end: u32,
    source: source::Source,
}

impl ReadAhead {
    /// Blocks of a relation, all of which it has.
    pub fn new(relation: Relation, blocks: Range<u32>) -> Self {
        Self {
            next: blocks.start,
            end: blocks.end,
            source: source::Source::new(relation, blocks),
        }
    }

    /// Whether no block is left.
    pub fn is_over(&self) -> bool {
        self.next >= self.end
    }

    /// The page of a block that is yet to come, pinned; those before it are passed over. None for any other block.
    pub(super) fn take(&mut self, block: u32) -> Option<Pinned> {
        if !(self.next..self.end).contains(&block) {
            return None;
        }
        while self.next < block {
            self.source.next(self.next)?.release();
            self.next += 1;
        }
        self.next += 1;
        self.source.next(block)
    }
}

#[cfg(not(any(feature = "pg14", feature = "pg15", feature = "pg16")))]
mod source {
    use super::{Pinned, Range, Relation};
    use core::ffi::c_void;
    use pgrx::pg_sys;

    /// Our callback only counts, so it may run while the server collects reads.
    #[cfg(feature = "pg18")]
    const WHILE_COLLECTING: u32 = pg_sys::READ_STREAM_USE_BATCHING;
    #[cfg(not(feature = "pg18"))]
    const WHILE_COLLECTING: u32 = 0;

    /// A read stream, and the blocks that it has not asked for yet: in a place of their own, for the stream keeps their address.
    pub struct Source {
        stream: *mut pg_sys::ReadStream,
        _left: Box<Range<u32>>,
    }

    impl Source {
        pub fn new(relation: Relation, blocks: Range<u32>) -> Self {
            let mut left = Box::new(blocks);
            let flags = pg_sys::READ_STREAM_MAINTENANCE
                | pg_sys::READ_STREAM_SEQUENTIAL
                | pg_sys::READ_STREAM_FULL
                | WHILE_COLLECTING;
            // SAFETY: an open relation; the blocks stay where they are until the stream has ended.
            let stream = unsafe {
                pg_sys::read_stream_begin_relation(
                    flags as i32,
                    core::ptr::null_mut(),
                    relation.as_ptr(),
                    pg_sys::ForkNumber::MAIN_FORKNUM,
                    Some(next_block),
                    (&raw mut *left).cast(),
                    0,
                )
            };
            Self { stream, _left: left }
        }

        pub fn next(&mut self, _block: u32) -> Option<Pinned> {
            // SAFETY: a stream that has not ended; the buffer is pinned for us.
            let buffer = unsafe { pg_sys::read_stream_next_buffer(self.stream, core::ptr::null_mut()) };
            Pinned::from_server(buffer)
        }
    }

    impl Drop for Source {
        fn drop(&mut self) {
            // An abort gives the pins and the memory back by itself.
            if !std::thread::panicking() {
                // SAFETY: made by `new`, not used after this.
                unsafe { pg_sys::read_stream_end(self.stream) };
            }
        }
    }

    /// Cannot raise an error.
    unsafe extern "C-unwind" fn next_block(
        _stream: *mut pg_sys::ReadStream,
        left: *mut c_void,
        _page_data: *mut c_void,
    ) -> pg_sys::BlockNumber {
        // SAFETY: the blocks that `Source::new` gave to the stream, which nobody else looks at.
        let left = unsafe { &mut *left.cast::<Range<u32>>() };
        left.next().unwrap_or(pg_sys::InvalidBlockNumber)
    }
}

#[cfg(any(feature = "pg14", feature = "pg15", feature = "pg16"))]
mod source {
    use super::super::buffer;
    use super::{Pinned, Range, Relation};

    /// Blocks that the operating system is asked for before the first of them is read.
    const WINDOW: u32 = 32;

    /// A relation, and the blocks that it has not been asked for yet.
    pub struct Source {
        relation: Relation,
        left: Range<u32>,
    }

    impl Source {
        pub fn new(relation: Relation, blocks: Range<u32>) -> Self {
            Self {
                relation,
                left: blocks,
            }
        }

        pub fn next(&mut self, block: u32) -> Option<Pinned> {
            while self.left.start < block.saturating_add(WINDOW)
                && let Some(next) = self.left.next()
            {
                buffer::prefetch(self.relation, next);
            }
            Some(Pinned::read(self.relation, block))
        }
    }
}
