//! Upper records that no element claims: what an insertion leaves that crashes after it wrote the lists above level 0 and before
//! it raised its element.
//!
//! Such an insertion may as well be under way. So the record is not freed: the element is raised in its place, to the very level
//! and records that the insertion would give it. Only a record that no insertion can come to claim is freed: its owner is no
//! element of the graph any more, or has other records.
//!
//! The page of the records, that of the owner, and again that of the records are locked one after the other, never two at a time. In
//! between, nothing can turn a record that is to be freed into one that is in use:
//!
//! * The record stays what it was read as. Only vacuum frees records, and one vacuum runs at a time; an insertion writes to
//!   free records only.
//! * A record is claimed by nobody but the insertion that wrote it, whose slot was live before. If the slot, read afterwards under
//!   its lock, is no element, that insertion has ended long ago, and whoever takes the slot writes records of its own.
//! * An owner that has other records keeps them while it is an element, and vacuum frees slots after this. An insertion that comes to
//!   raise an element which is raised already leaves it as it is (`insert/own.rs`). So either it came first, and this is seen
//!   here, or it finds what was seen here.

use crate::index::page::{
    NodePage, NodePageMut, PageError, PageKind, SlotHead, SlotState, UpperId, UpperPage, UpperPageMut,
    page_kind,
};
use crate::index::storage::{Change, PageRead, PageWrite};
use crate::index::{IndexError, SlotId};

use super::super::Index;
use super::super::paged::PagedScratch;
use super::super::sweep::{Content, PageCopy};
use super::census::Census;

/// A record in use.
#[derive(Debug, Clone, Copy)]
struct Record {
    number: u16,
    owner: SlotId,
    level: u8,
}

/// Gives unclaimed records to their owners, or frees them.
///
/// # Errors
/// Those of the storage, [`IndexError::Corrupt`].
pub(super) fn adopt_records<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    census: &Census,
) -> Result<(), IndexError> {
    let mut copy = PageCopy::new();
    let mut scratch = PagedScratch::default();
    for block in census.upper_blocks.iter() {
        let block = block.0;
        storage.check_interrupts()?;
        copy.load(storage, block)?;
        let Content::Uppers(page) = copy.content(index)? else {
            continue;
        };
        let records = used_records(&page).map_err(|error| error.at(block))?;
        let mut useless: Vec<Record> = Vec::new();
        for record in &records {
            match claim(index, storage, block, record, &mut scratch)? {
                Claim::Claimed => {}
                Claim::Useless => useless.push(*record),
                // The list of level 1 stands for all of an element.
                Claim::Possible if record.level > 1 => {}
                Claim::Possible => raise(index, storage, block, record, &records)?,
            }
        }
        if !useless.is_empty() {
            free(index, storage, block, &useless)?;
        }
    }
    Ok(())
}

fn used_records(page: &UpperPage<'_>) -> Result<Vec<Record>, PageError> {
    let mut records = Vec::new();
    for (number, record) in page.records() {
        let record = record?;
        if record.used {
            records.push(Record {
                number,
                owner: record.owner,
                level: record.level,
            });
        }
    }
    Ok(records)
}

/// How an element stands to a record that names it as the owner.
enum Claim {
    Claimed,
    /// It has no lists above level 0 yet.
    Possible,
    Useless,
}

/// Looks at the owner of a record: by a peek, for most records are claimed, and then under the lock of its page.
fn claim<S: PageRead>(
    index: &Index,
    storage: &mut S,
    block: u32,
    record: &Record,
    scratch: &mut PagedScratch,
) -> Result<Claim, IndexError> {
    let layout = &index.layout;
    let own = layout.upper_id(block, record.number);
    let claimed = |head: &SlotHead<'_>| {
        matches!(head.state, SlotState::Live | SlotState::Dead)
            && head.level >= record.level
            && layout.upper_at(head.upper, record.level) == own
    };
    let mut peeked = scratch.peek_heads(storage, layout, &[record.owner])?;
    // If that is wrong, the record waits for the next vacuum.
    if peeked.next().flatten().is_some_and(|head| claimed(&head)) {
        return Ok(Claim::Claimed);
    }
    let (owner_block, slot) = layout.slot(record.owner);
    if owner_block < index.first_node_block() || owner_block >= storage.blocks()? {
        return Ok(Claim::Useless);
    }
    let claim = storage.read(owner_block, |bytes| {
        if page_kind(bytes)? != Some(PageKind::Node) {
            return Ok(Claim::Useless);
        }
        let head = NodePage::open(bytes, layout)?.slot(slot)?.head;
        Ok(if claimed(&head) {
            Claim::Claimed
        } else if matches!(head.state, SlotState::Live | SlotState::Dead) && !is_raised(&head) {
            Claim::Possible
        } else {
            Claim::Useless
        })
    })?;
    claim.map_err(|error: PageError| error.at(owner_block))
}

/// Whether the element has lists above level 0, or had.
fn is_raised(head: &SlotHead<'_>) -> bool {
    head.level != 0 || head.upper != UpperId::NONE
}

/// Raises the owner of a list of level 1 to the level of the last list that follows it.
fn raise<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    block: u32,
    first: &Record,
    records: &[Record],
) -> Result<(), IndexError> {
    let Some(upper) = index.layout.upper_id(block, first.number) else {
        return Ok(());
    };
    let following = records.iter().skip_while(|record| record.number != first.number);
    let level = following
        .zip(1..)
        .take_while(|(record, level)| record.owner == first.owner && record.level == *level);
    let level = level.map(|(_, level)| level).last().unwrap_or(0);
    let (owner_block, slot) = index.layout.slot(first.owner);
    let raised = storage.update(owner_block, |bytes| {
        let mut change = Change::None;
        let mut work = || -> Result<(), PageError> {
            let mut page = NodePageMut::open(bytes, &index.layout)?;
            let head = page.as_ref().slot(slot)?.head;
            if head.state == SlotState::Live && !is_raised(&head) {
                page.set_upper(slot, level, upper)?;
                change = Change::Made;
            }
            Ok(())
        };
        let result = work();
        (change, result)
    })?;
    raised.map_err(|error| error.at(owner_block))
}

fn free<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    block: u32,
    useless: &[Record],
) -> Result<(), IndexError> {
    let room = storage.update(block, |bytes| {
        let mut change = Change::None;
        let mut work = || -> Result<u16, PageError> {
            let mut page = UpperPageMut::open(bytes, &index.layout)?;
            for old in useless {
                let record = page.as_ref().record(old.number)?;
                if record.used && record.owner == old.owner && record.level == old.level {
                    page.clear(old.number)?;
                    change = Change::Made;
                }
            }
            Ok(page.as_ref().longest_free_run())
        };
        let result = work();
        (change, result)
    })?;
    storage.note_room(block, PageKind::Upper, room.map_err(|error| error.at(block))?)
}
