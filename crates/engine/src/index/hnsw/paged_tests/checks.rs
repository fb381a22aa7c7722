//! What holds for every index on pages.

use std::collections::{HashMap, HashSet};

use super::super::Index;
use super::super::paged::peek_entries;
use crate::index::page::{
    NodePage, NodePageMut, PageChecker, PageKind, SlotState, UpperPage, UpperRecord, page_kind,
};
use crate::index::storage::{Change, MemoryStorage, PageRead, PageWrite};
use crate::index::{HeapTid, SlotId};

/// An element as it stands on its page.
#[derive(Debug, Clone)]
pub struct Element {
    pub state: SlotState,
    pub level: u8,
    pub tid: HeapTid,
    pub lists: Vec<Vec<SlotId>>,
}

/// All elements in use.
pub fn elements(index: &Index, storage: &mut MemoryStorage) -> HashMap<SlotId, Element> {
    let mut all = HashMap::new();
    for block in index.first_node_block()..storage.blocks().unwrap() {
        let bytes = *storage.page(block).unwrap();
        if page_kind(&bytes).unwrap() != Some(PageKind::Node) {
            continue;
        }
        for (at, slot) in NodePage::open(&bytes, &index.layout).unwrap().slots() {
            let slot = slot.unwrap();
            if slot.head.state == SlotState::Free {
                continue;
            }
            let id = index.layout.id(block, at).unwrap();
            let mut lists = vec![slot.neighbours.iter().collect()];
            for level in 1..=slot.head.level {
                let record = index.layout.upper_at(slot.head.upper, level).unwrap();
                let (block, at) = index.layout.upper(record);
                let page = storage.page(block).unwrap();
                let record = UpperPage::open(page, &index.layout).unwrap().record(at).unwrap();
                let UpperRecord {
                    used,
                    owner,
                    level: of,
                    ..
                } = record;
                assert_eq!((used, owner, of), (true, id, level));
                lists.push(record.neighbours.iter().collect());
            }
            let element = Element {
                state: slot.head.state,
                level: slot.head.level,
                tid: slot.head.tid,
                lists,
            };
            all.insert(id, element);
        }
    }
    all
}

/// Every page is sound, every list names elements in use of its level, each once and not its owner. Returns the elements.
pub fn check_lists(index: &Index, storage: &mut MemoryStorage) -> HashMap<SlotId, Element> {
    let blocks = storage.blocks().unwrap();
    let checker = PageChecker::new(&index.layout, index.center_blocks(), blocks).unwrap();
    for block in 0..blocks {
        let mut findings = Vec::new();
        checker.check(block, storage.page(block).unwrap(), &mut findings);
        assert!(findings.is_empty(), "block {block}: {findings:?}");
    }
    let all = elements(index, storage);
    for (id, element) in &all {
        for (level, list) in element.lists.iter().enumerate() {
            let distinct: HashSet<_> = list.iter().collect();
            assert_eq!(
                distinct.len(),
                list.len(),
                "{id:?} names one twice at level {level}"
            );
            assert!(!distinct.contains(id), "{id:?} names itself");
            for member in list {
                let other = all.get(member);
                assert!(other.is_some(), "{id:?} names {member:?}, which is free");
                assert!(
                    usize::from(other.unwrap().level) >= level,
                    "{id:?} names {member:?} at level {level}"
                );
            }
        }
    }
    all
}

/// The live elements to which no way leads at level 0 from the entries.
pub fn unreachable(index: &Index, storage: &mut MemoryStorage) -> Vec<SlotId> {
    let all = elements(index, storage);
    let mut met: HashSet<SlotId> = HashSet::new();
    let mut open: Vec<SlotId> = peek_entries(storage)
        .unwrap()
        .iter()
        .map(|entry| entry.id)
        .collect();
    while let Some(id) = open.pop() {
        if let Some(element) = all.get(&id)
            && met.insert(id)
        {
            open.extend(&element.lists[0]);
        }
    }
    let live = all.iter().filter(|(_, element)| element.state == SlotState::Live);
    live.map(|(id, _)| *id).filter(|id| !met.contains(id)).collect()
}

/// Marks elements as dead, as the first pass of vacuum does.
pub fn kill(index: &Index, storage: &mut MemoryStorage, ids: impl IntoIterator<Item = SlotId>) {
    change_slots(index, storage, ids, |page, at| {
        page.set_state(at, SlotState::Dead).unwrap();
        page.set_tid(at, HeapTid::NONE).unwrap();
    });
}

/// Frees slots, whoever names them.
pub fn free(index: &Index, storage: &mut MemoryStorage, ids: impl IntoIterator<Item = SlotId>) {
    change_slots(index, storage, ids, |page, at| page.clear_slot(at).unwrap());
}

fn change_slots(
    index: &Index,
    storage: &mut MemoryStorage,
    ids: impl IntoIterator<Item = SlotId>,
    change: impl Fn(&mut NodePageMut<'_>, u16),
) {
    for id in ids {
        let (block, at) = index.layout.slot(id);
        storage
            .update(block, |bytes| {
                change(&mut NodePageMut::open(bytes, &index.layout).unwrap(), at);
                (Change::Made, ())
            })
            .unwrap();
    }
}
