//! Elements as they stand on a page.

use super::Member;
use crate::index::IndexError;
use crate::index::hnsw::Index;
use crate::index::hnsw::paged::code_of;
use crate::index::hnsw::sweep::{Content, PageCopy, slot_id};
use crate::index::page::SlotState;

/// Shows the elements of the graph on a page that reach a level.
pub(super) fn members(
    index: &Index,
    copy: &PageCopy,
    level: u8,
    mut take: impl FnMut(Member<'_>) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let Content::Nodes(page) = copy.content(index)? else {
        return Ok(());
    };
    for (number, slot) in page.slots() {
        let head = slot.map_err(|error| error.at(copy.block()))?.head;
        if head.state == SlotState::Live && head.level >= level {
            take(Member {
                id: slot_id(index, copy.block(), number)?,
                level: head.level,
                tid: head.tid,
                code: code_of(&head),
            })?;
        }
    }
    Ok(())
}
