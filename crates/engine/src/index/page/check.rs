//! The structural check of one page, for `verify`: everything that the page alone shows.
//!
//! What needs other pages (does the upper record belong to this element, is the neighbour live, is the element reachable) is the
//! caller's part.

use super::{
    Layout, MAX_LEVEL, MAX_TID_OFFSET, NeighbourList, NodePage, PageError, PageKind, SlotRef, SlotState,
    UpperId, UpperPage, UpperRecord, page_kind,
};
use crate::index::key::find_fault;
use crate::index::{HeapTid, IndexError, SlotId};

/// Something that is wrong on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Problem {
    /// The page is not 8192 bytes long, or the magic is wrong, or the kind unknown.
    #[error("page is not one of a castmatch index")]
    NotOurs,
    /// The page has another version of the format.
    #[error("page has another format version")]
    Format,
    /// The page is of a kind that does not belong at this block, or the meta page or a center page was never written.
    #[error("page is of a kind that does not belong here")]
    Kind,
    /// The special area is zero as on a page that was never written, the body is not.
    #[error("special area is missing")]
    SpecialMissing,
    /// The meta page or a center page holds a value outside its range.
    #[error("value out of range")]
    Value,
    /// The state of a slot or record is unknown.
    #[error("unknown state")]
    State,
    /// The level is above the highest, or an upper record has level 0.
    #[error("impossible level")]
    Level,
    /// A slot that stands for a row does not name it.
    #[error("row is missing")]
    TidMissing,
    /// The line pointer of a row is higher than a heap page can have.
    #[error("impossible line pointer of a row")]
    TidOffset,
    /// A dead slot still names a row.
    #[error("dead element names a row")]
    DeadWithTid,
    /// A row outside the graph has a level or neighbours.
    #[error("row outside the graph has links")]
    UnrankedLinked,
    /// A neighbour, or the owner of an upper record, is not an id of this index.
    #[error("id out of range")]
    IdRange,
    /// The keys of a slot cannot have been written so: a reserved bit, or a value of a column that is NULL.
    #[error("impossible keys")]
    Keys,
    /// A list names the same neighbour twice.
    #[error("neighbour is listed twice")]
    Duplicate,
    /// An element is its own neighbour.
    #[error("element is its own neighbour")]
    SelfLink,
    /// A list goes on after an unused place.
    #[error("list has a hole")]
    Hole,
    /// The upper id of an element above level 0 leads outside the index or across a page; or one of level 0 has one.
    #[error("upper record is missing or out of range")]
    Upper,
}

/// A problem and where on the page it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// The slot or upper record; none where it concerns the whole page.
    pub index: Option<u16>,
}

/// Checks pages one by one.
#[derive(Debug, Clone, Copy)]
pub struct PageChecker {
    layout: Layout,
    center_blocks: u32,
    first_id: u32,
    id_bound: u32,
    upper_bound: u32,
}

impl PageChecker {
    /// A checker for an index of `blocks` blocks, of which blocks 1 to `center_blocks` hold the center.
    ///
    /// # Errors
    /// [`IndexError::Limit`] for more blocks than an index can have.
    pub fn new(layout: &Layout, center_blocks: u32, blocks: u32) -> Result<Self, IndexError> {
        let front = center_blocks.saturating_add(1).min(blocks);
        Ok(Self {
            layout: *layout,
            center_blocks,
            first_id: layout.id_bound(front)?,
            id_bound: layout.id_bound(blocks)?,
            upper_bound: layout.upper_bound(blocks)?,
        })
    }

    /// Appends what is wrong with the page to `findings`, at most a few for each slot.
    pub fn check(&self, block: u32, bytes: &[u8], findings: &mut Vec<Finding>) {
        let kind = match page_kind(bytes) {
            Ok(kind) => kind,
            Err(error) => {
                findings.push(Finding {
                    problem: problem_of(error, Problem::NotOurs),
                    index: None,
                });
                return;
            }
        };
        let belongs = match kind {
            Some(PageKind::Meta) => block == 0,
            Some(PageKind::Center) => block != 0 && block <= self.center_blocks,
            Some(PageKind::Node | PageKind::Upper) | None => block > self.center_blocks,
            // Of an inverted file.
            Some(_) => false,
        };
        if !belongs {
            findings.push(Finding {
                problem: Problem::Kind,
                index: None,
            });
            return;
        }
        match kind {
            Some(PageKind::Node) => self.check_nodes(block, bytes, findings),
            Some(PageKind::Upper) => self.check_uppers(bytes, findings),
            Some(PageKind::Meta) => check_meta(bytes, findings),
            Some(PageKind::Center) => check_center(bytes, findings),
            None => check_new(bytes, findings),
            Some(_) => {}
        }
    }

    fn check_nodes(&self, block: u32, bytes: &[u8], findings: &mut Vec<Finding>) {
        let Ok(page) = NodePage::open(bytes, &self.layout) else {
            return;
        };
        for (index, slot) in page.slots() {
            let mut report = |problem| {
                findings.push(Finding {
                    problem,
                    index: Some(index),
                })
            };
            match slot {
                Err(_) => report(Problem::State),
                Ok(slot) => self.check_slot(self.layout.id(block, index), &slot, &mut report),
            }
        }
    }

    fn check_slot(&self, own: Option<SlotId>, slot: &SlotRef<'_>, report: &mut impl FnMut(Problem)) {
        let head = &slot.head;
        if head.state == SlotState::Free {
            return;
        }
        if head.state == SlotState::Dead {
            if head.tid != HeapTid::NONE {
                report(Problem::DeadWithTid);
            }
        } else if head.tid.offset == 0 {
            report(Problem::TidMissing);
        } else if head.tid.offset > MAX_TID_OFFSET {
            report(Problem::TidOffset);
        }
        if head.state == SlotState::Unranked && (head.level != 0 || !slot.neighbours.is_empty()) {
            report(Problem::UnrankedLinked);
        }
        if head.level > MAX_LEVEL {
            report(Problem::Level);
        } else if !self.upper_fits(head.upper, head.level) {
            report(Problem::Upper);
        }
        if find_fault(slot.keys, self.layout.key_count()).is_some() {
            report(Problem::Keys);
        }
        self.check_list(own, slot.neighbours, report);
    }

    fn upper_fits(&self, first: UpperId, level: u8) -> bool {
        if level == 0 {
            return first == UpperId::NONE;
        }
        let (block, _) = self.layout.upper(first);
        let last = self.layout.upper_at(first, level);
        block > self.center_blocks && last.is_some_and(|last| last.0 < self.upper_bound)
    }

    fn check_uppers(&self, bytes: &[u8], findings: &mut Vec<Finding>) {
        let Ok(page) = UpperPage::open(bytes, &self.layout) else {
            return;
        };
        for (index, record) in page.records() {
            let mut report = |problem| {
                findings.push(Finding {
                    problem,
                    index: Some(index),
                })
            };
            match record {
                Err(_) => report(Problem::State),
                Ok(record) if record.used => self.check_record(&record, &mut report),
                Ok(_) => {}
            }
        }
    }

    fn check_record(&self, record: &UpperRecord<'_>, report: &mut impl FnMut(Problem)) {
        if !(1..=MAX_LEVEL).contains(&record.level) {
            report(Problem::Level);
        }
        if !self.in_range(record.owner) {
            report(Problem::IdRange);
        }
        self.check_list(Some(record.owner), record.neighbours, report);
    }

    /// Reports each kind of problem once for a list.
    fn check_list(&self, own: Option<SlotId>, list: NeighbourList<'_>, report: &mut impl FnMut(Problem)) {
        if list.iter().any(|id| !self.in_range(id)) {
            report(Problem::IdRange);
        }
        if list.iter().any(|id| Some(id) == own) {
            report(Problem::SelfLink);
        }
        let seen_before = |(at, id)| list.iter().take(at).any(|earlier| earlier == id);
        if list.iter().enumerate().any(seen_before) {
            report(Problem::Duplicate);
        }
        if list.places().skip(list.len()).any(|id| id != SlotId::NONE) {
            report(Problem::Hole);
        }
    }

    fn in_range(&self, id: SlotId) -> bool {
        (self.first_id..self.id_bound).contains(&id.0)
    }
}

fn problem_of(error: PageError, content: Problem) -> Problem {
    match error {
        PageError::Version { .. } => Problem::Format,
        PageError::Content { .. } => content,
    }
}

fn check_meta(bytes: &[u8], findings: &mut Vec<Finding>) {
    if let Err(error) = super::Meta::parse(bytes) {
        findings.push(Finding {
            problem: problem_of(error, Problem::Value),
            index: None,
        });
    }
}

fn check_center(bytes: &[u8], findings: &mut Vec<Finding>) {
    let mut numbers = [0.0; super::BODY_BYTES / 4];
    if super::read_center(bytes, &mut numbers).is_err() {
        findings.push(Finding {
            problem: Problem::Value,
            index: None,
        });
    }
}

fn check_new(bytes: &[u8], findings: &mut Vec<Finding>) {
    if bytes.iter().skip(super::HEADER_BYTES).any(|byte| *byte != 0) {
        findings.push(Finding {
            problem: Problem::SpecialMissing,
            index: None,
        });
    }
}
