//! The pages of an index relation, as the engine's algorithms reach them.

use super::hints::Hints;
use crate::pg::ahead::ReadAhead;
use crate::pg::relation::Relation;
use crate::pg::{buffer, freespace, peek};
use castmatch_engine::index::IndexError;
use castmatch_engine::index::page::{MAX_LEVEL, PageKind, UPPER_ROOM_BYTES, UPPER_ROOM_PLACE, UpperRoom};
use castmatch_engine::index::storage::{Change, PageRead, PageWrite, Place, Position};
use core::ops::Range;
use std::rc::Rc;

/// One read without a pin in this many is done with one as well, so that the server's clock sweep sees that the index is in use.
/// A pin costs about twenty reads without one; a search does some thousand reads.
const TOUCH_EVERY: u32 = 256;

/// An upper page with less room is not worth noting: an element may need as many records as there are levels.
const ENOUGH_UPPER_ROOM: u16 = MAX_LEVEL as u16;
/// The block of the meta page.
const META_BLOCK: u32 = 0;

/// The room of a page in no use, as the free space map has it.
const WHOLE_PAGE: u16 = 254;

/// What a vacuum does between steps, beside answering interrupts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As fast as possible.
    Full,
    /// With the pauses of vacuum_cost_delay.
    Vacuum,
}

/// An index relation during one call of the server.
pub struct RelationStorage {
    relation: Relation,
    hints: Rc<Hints>,
    temporary: bool,
    known_blocks: u32,
    pace: Pace,
    ahead: Option<ReadAhead>,
    tried_last: bool,
    logged: bool,
    places: Vec<peek::Place>,
    missed: Vec<i32>,
}

impl RelationStorage {
    /// The pages of `relation`.
    pub fn new(relation: Relation, hints: Rc<Hints>) -> Self {
        Self {
            relation,
            temporary: relation.is_temporary(),
            known_blocks: 0,
            pace: Pace::Full,
            ahead: None,
            tried_last: false,
            logged: true,
            places: Vec::new(),
            missed: Vec::new(),
            hints,
        }
    }

    /// Sets the pace of long work.
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Writes no WAL: for an index under construction, which is logged as a whole in the end.
    pub fn without_wal(mut self) -> Self {
        self.logged = false;
        self
    }

    fn contains(&mut self, block: u32) -> bool {
        if block >= self.known_blocks {
            self.known_blocks = self.relation.blocks();
        }
        block < self.known_blocks
    }

    /// The bytes of one place by way of a pin, or zeros outside the index.
    fn read_pinned(&mut self, place: Place, out: &mut [u8]) -> Result<(), IndexError> {
        if !self.contains(place.block) {
            out.fill(0);
            return Ok(());
        }
        let start = usize::from(place.offset);
        let ((), buffer) = buffer::read(self.relation, place.block, |page| {
            match page.get(start..start.saturating_add(out.len())) {
                Some(bytes) => out.copy_from_slice(bytes),
                None => out.fill(0),
            }
        });
        self.note_buffer(place.block, buffer)
    }

    /// Remembers where a page was found; buffers of temporary tables are this process's own.
    fn note_buffer(&mut self, block: u32, buffer: i32) -> Result<(), IndexError> {
        if !self.temporary {
            self.hints.set(block, buffer)?;
        }
        Ok(())
    }

    fn touch(&mut self, places: &[Place]) {
        if self.hints.count_reads(places.len(), TOUCH_EVERY)
            && let Some(place) = places.last()
            && self.hints.get(place.block).is_some()
        {
            buffer::touch(self.relation, place.block);
        }
    }
}

fn outside(block: u32) -> IndexError {
    IndexError::Corrupt {
        block,
        what: "block is beyond the end of the index",
    }
}

impl PageRead for RelationStorage {
    fn blocks(&mut self) -> Result<u32, IndexError> {
        self.known_blocks = self.relation.blocks();
        Ok(self.known_blocks)
    }

    fn peek(&mut self, places: &[Place], length: usize, out: &mut [u8]) -> Result<(), IndexError> {
        if length == 0 {
            return Ok(());
        }
        if self.temporary {
            for (&place, out) in places.iter().zip(out.chunks_exact_mut(length)) {
                self.read_pinned(place, out)?;
            }
            return Ok(());
        }
        self.places.clear();
        self.places.extend(places.iter().map(|place| peek::Place {
            block: place.block,
            offset: place.offset,
        }));
        let mut missed = core::mem::take(&mut self.missed);
        let locator = self.relation.locator();
        self.hints
            .with(|hints| peek::peek(locator, hints, &self.places, length, out, &mut missed));
        for &index in &missed {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            let start = index.saturating_mul(length);
            if let (Some(&place), Some(out)) = (
                places.get(index),
                out.get_mut(start..start.saturating_add(length)),
            ) {
                self.read_pinned(place, out)?;
            }
        }
        self.missed = missed;
        self.touch(places);
        Ok(())
    }

    fn prefetch(&mut self, block: u32) {
        // A page that this backend has seen is probably still there.
        if !self.temporary && self.hints.get(block).is_none() && self.contains(block) {
            buffer::prefetch(self.relation, block);
        }
    }

    fn read_in_order(&mut self, blocks: Range<u32>) {
        // What is left of an earlier pass ends first: its pages are pinned.
        self.ahead = None;
        let end = blocks.end.min(self.relation.blocks());
        if blocks.start < end {
            self.ahead = Some(ReadAhead::new(self.relation, blocks.start..end));
        }
    }

    fn read<R>(&mut self, block: u32, look: impl FnOnce(&[u8]) -> R) -> Result<R, IndexError> {
        let look = match &mut self.ahead {
            Some(ahead) => match buffer::read_ahead(ahead, block, look) {
                Ok((result, buffer)) => {
                    if ahead.is_over() {
                        self.ahead = None;
                    }
                    self.note_buffer(block, buffer)?;
                    return Ok(result);
                }
                Err(look) => look,
            },
            None => look,
        };
        let look = match self.hints.get(block) {
            Some(buffer) if !self.temporary => {
                match buffer::read_recent(self.relation, block, buffer, look) {
                    Ok(result) => return Ok(result),
                    Err(look) => look,
                }
            }
            _ => look,
        };
        self.read_anew(block, look)
    }

    fn check_interrupts(&mut self) -> Result<(), IndexError> {
        match self.pace {
            Pace::Full => crate::pg::signals::check_for_interrupts(),
            Pace::Vacuum => crate::pg::vacuum::delay_point(),
        }
        Ok(())
    }
}

fn parse_upper_room(page: &[u8]) -> UpperRoom {
    let start = usize::from(UPPER_ROOM_PLACE.offset);
    UpperRoom::parse(page.get(start..start + UPPER_ROOM_BYTES).unwrap_or_default())
}

impl RelationStorage {
    /// A node page with room: the one this backend filled last, one that vacuum found, or the last of the index, which a backend may have
    /// left unfilled.
    fn find_node_room(&mut self, needed: u16) -> Result<Option<u32>, IndexError> {
        if let Some(block) = self.hints.target() {
            return Ok(Some(block));
        }
        if let Some(block) = freespace::find(self.relation, needed) {
            return Ok(Some(block));
        }
        if core::mem::replace(&mut self.tried_last, true) {
            return Ok(None);
        }
        Ok(self.blocks()?.checked_sub(1).filter(|&block| block != META_BLOCK))
    }

    /// The upper pages that are noted to have room.
    fn upper_room(&mut self) -> Result<UpperRoom, IndexError> {
        self.read(META_BLOCK, parse_upper_room)
    }

    fn read_anew<R>(&mut self, block: u32, look: impl FnOnce(&[u8]) -> R) -> Result<R, IndexError> {
        if !self.contains(block) {
            return Err(outside(block));
        }
        let (result, buffer) = buffer::read(self.relation, block, look);
        self.note_buffer(block, buffer)?;
        Ok(result)
    }
}

impl PageWrite for RelationStorage {
    fn update<R>(
        &mut self,
        block: u32,
        change: impl FnOnce(&mut [u8]) -> (Change, R),
    ) -> Result<R, IndexError> {
        if !self.contains(block) {
            return Err(outside(block));
        }
        let change = |page: &mut [u8]| {
            let (changed, result) = change(page);
            (changed == Change::Made, result)
        };
        Ok(if self.logged {
            buffer::update(self.relation, block, change)
        } else {
            buffer::update_unlogged(self.relation, block, change)
        })
    }

    fn extend<R>(&mut self, fill: impl FnOnce(u32, &mut [u8]) -> R) -> Result<(u32, R), IndexError> {
        let (block, result) = if self.logged {
            buffer::extend(self.relation, fill)
        } else {
            buffer::extend_unlogged(self.relation, fill)
        };
        self.known_blocks = self.known_blocks.max(block.saturating_add(1));
        Ok((block, result))
    }

    fn find_room(&mut self, kind: PageKind, needed: u16) -> Result<Option<u32>, IndexError> {
        match kind {
            PageKind::Node => self.find_node_room(needed),
            PageKind::Upper => {
                let turn = crate::pg::worker::my_pid().unsigned_abs() as usize;
                Ok(self.upper_room()?.from(turn).next())
            }
            PageKind::Unused => Ok(freespace::find(self.relation, WHOLE_PAGE)),
            _ => Ok(None),
        }
    }

    fn note_room(&mut self, block: u32, kind: PageKind, free: u16) -> Result<(), IndexError> {
        match kind {
            PageKind::Node => {
                self.hints.note_target(block, free);
                // The map is for what vacuum frees; a page that is being filled is its writer's own until it is full.
                if free == 0 || self.pace == Pace::Vacuum {
                    freespace::note(self.relation, block, free);
                }
            }
            PageKind::Upper => {
                let change = |room: &mut UpperRoom| {
                    if free >= ENOUGH_UPPER_ROOM {
                        room.offer(block)
                    } else {
                        room.remove(block)
                    }
                };
                // A look first: the meta page is not to be locked exclusively for nothing.
                if change(&mut self.upper_room()?) {
                    self.update(META_BLOCK, |page| {
                        let mut room = parse_upper_room(page);
                        let changed = change(&mut room) && room.write(page).is_ok();
                        (if changed { Change::Made } else { Change::None }, ())
                    })?;
                }
            }
            PageKind::Unused => {
                let room = if free > 0 { WHOLE_PAGE } else { 0 };
                freespace::note(self.relation, block, room);
            }
            _ => {}
        }
        Ok(())
    }

    fn position(&mut self) -> Position {
        if self.relation.needs_wal() {
            Position(buffer::insert_position())
        } else {
            Position(0)
        }
    }

    fn changed_since(&mut self, block: u32, since: Position) -> Result<bool, IndexError> {
        if !self.relation.needs_wal() {
            return Ok(true);
        }
        self.read(block, |page| buffer::page_position(page) > since.0)
    }
}
