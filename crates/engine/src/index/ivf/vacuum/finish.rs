//! What an earlier cleanup left unfinished, and pages whose time has come.

use crate::index::IndexError;
use crate::index::storage::PageWrite;

use super::super::directory::read_entries;
use super::super::index::Index;
use super::super::insert::{change_entry, reopen_list};
use super::super::page::{Entry, ListState, PostingPage};
use super::super::pages::give_back_posting;
use super::{Surroundings, set_replacing};

/// Completes replacements whose leader is retired, and undoes the others.
pub(super) fn finish<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    around: &mut impl Surroundings,
) -> Result<(), IndexError> {
    let (meta, entries) = read_entries(index, storage, |_, _| Ok(()))?;
    let unfinished = |entry: &Entry| matches!(entry.state, ListState::Closing | ListState::Pending);
    let mut changed = meta.version % 2 == 1;
    if entries.iter().any(unfinished) && !changed {
        set_replacing(storage, true)?;
        changed = true;
    }
    for (number, entry) in (0_u32..).zip(&entries) {
        let leader = entry.leader.and_then(|leader| entries.get(leader as usize));
        let replaced = leader.is_some_and(|leader| leader.state == ListState::Retired);
        match (entry.state, replaced) {
            (ListState::Pending, true) => {
                set_state(index, storage, number, ListState::Pending, ListState::Active, 0)?
            }
            // Never seen by anybody.
            (ListState::Pending, false) => discard(index, storage, number)?,
            (ListState::Closing, true) => {
                let stamp = around.next_transaction();
                set_state(
                    index,
                    storage,
                    number,
                    ListState::Closing,
                    ListState::Retired,
                    stamp,
                )?;
            }
            (ListState::Closing, false) => reopen_list(index, storage, number)?,
            _ => {}
        }
    }
    if changed {
        set_replacing(storage, false)?;
    }
    Ok(())
}

/// Retires a list that nobody has ever seen, so that its pages can be given back at once.
pub(super) fn discard<S: PageWrite>(index: &Index, storage: &mut S, number: u32) -> Result<(), IndexError> {
    change_entry(index, storage, number, |entry| {
        (entry.state == ListState::Pending).then_some(Entry {
            state: ListState::Retired,
            leader: None,
            stamp: 0,
            ..entry
        })
    })
    .map(drop)
}

/// Moves a list from one state to the next; it no longer depends on another.
pub(super) fn set_state<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    number: u32,
    from: ListState,
    to: ListState,
    stamp: u64,
) -> Result<(), IndexError> {
    change_entry(index, storage, number, |entry| {
        (entry.state == from).then_some(Entry {
            state: to,
            leader: None,
            // That of a pending list says how many rows it was made with, and stays.
            stamp: if from == ListState::Pending {
                entry.stamp
            } else {
                stamp
            },
            ..entry
        })
    })
    .map(drop)
}

/// Gives back the pages of lists that nobody can see any more. Returns how many.
pub(super) fn recycle<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    around: &mut impl Surroundings,
) -> Result<u64, IndexError> {
    let (_, entries) = read_entries(index, storage, |_, _| Ok(()))?;
    let mut freed = 0;
    for (number, entry) in (0_u32..).zip(&entries) {
        if entry.state != ListState::Retired || (entry.stamp != 0 && !around.is_past(entry.stamp)) {
            continue;
        }
        let mut block = entry.head;
        for _ in 0..storage.blocks()? {
            storage.check_interrupts()?;
            if block == 0 || block >= storage.blocks()? {
                break;
            }
            let next = storage.read(block, |bytes| {
                let page = PostingPage::open(bytes, &index.layout).ok()?;
                let head = page.head();
                head.is_of(number, entry.generation).then_some(head.next)
            })?;
            let Some(next) = next else { break };
            freed += u64::from(give_back_posting(
                index,
                storage,
                block,
                (number, entry.generation),
                false,
            )?);
            block = next;
        }
        set_state(index, storage, number, ListState::Retired, ListState::Free, 0)?;
    }
    Ok(freed)
}
