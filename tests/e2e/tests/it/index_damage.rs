//! Ways to damage an index file, each class of bytes by itself.

use castmatch_e2e::random::Random;

use crate::index_file::{
    BODY, CODE, ENTRIES, FACTORS, FORMAT, FREE, IndexFile, KIND, LEVEL, LIVE, MAGIC, META_ENTRIES, META_ROOM,
    NODE, NONE, OWNER, PAGE, RECORD_LEVEL, RECORD_LIST, RECORD_STATE, STATE, TID, UPPER, UPPER_ID,
};

/// A class of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// The first bytes of the special area of a page.
    Magic,
    /// The format version of a page.
    Version,
    /// The kind of a page.
    Kind,
    /// One of the parameters on the meta page.
    Meta,
    /// The list of entries on the meta page names no live element.
    Entries,
    /// The notes of upper pages with room on the meta page.
    Room,
    /// A state that does not exist.
    StateUnknown,
    /// A live element became a free slot.
    StateFreed,
    /// A level above the highest.
    LevelTooHigh,
    /// A level with no lists for it.
    LevelChanged,
    /// The row of an element is missing.
    TidNone,
    /// The row of an element is where no table page can have one.
    TidImpossible,
    /// The row of an element is beyond the table.
    TidBeyond,
    /// The row of an element is that of another.
    TidTwice,
    /// An element above level 0 names upper lists outside the index.
    UpperId,
    /// A neighbour beyond the index.
    NeighbourBeyond,
    /// A neighbour in the meta page.
    NeighbourInFront,
    /// A neighbour that is a free slot.
    NeighbourFree,
    /// An element that is its own neighbour.
    NeighbourSelf,
    /// A neighbour twice.
    NeighbourTwice,
    /// A list with a hole.
    NeighbourHole,
    /// Two elements that know only each other, and that nobody knows.
    Island,
    /// An element that knows nobody.
    Alone,
    /// The owner of an upper list is another.
    RecordOwner,
    /// The level of an upper list.
    RecordLevel,
    /// The state of an upper list.
    RecordState,
    /// A neighbour of an upper list beyond the index.
    RecordNeighbour,
    /// A page of elements full of zeros.
    PageZeroed,
    /// A page of elements replaced by one of another index.
    PageForeign,
    /// Two pages of elements changed their places.
    PagesSwapped,
    /// The file ends early, at the end of a page.
    Truncated,
    /// The file ends within a page.
    TruncatedWithinPage,
    /// The file is empty.
    Emptied,
    /// Factors and code of an element: only an estimate, but it must not be trusted to be a number.
    Code,
    /// The server's own header says that a part of the page is unused.
    Header,
    /// Any bytes of any page.
    Anything,
}

impl Damage {
    /// Every class.
    pub const ALL: [Damage; 36] = [
        Damage::Magic,
        Damage::Version,
        Damage::Kind,
        Damage::Meta,
        Damage::Entries,
        Damage::Room,
        Damage::StateUnknown,
        Damage::StateFreed,
        Damage::LevelTooHigh,
        Damage::LevelChanged,
        Damage::TidNone,
        Damage::TidImpossible,
        Damage::TidBeyond,
        Damage::TidTwice,
        Damage::UpperId,
        Damage::NeighbourBeyond,
        Damage::NeighbourInFront,
        Damage::NeighbourFree,
        Damage::NeighbourSelf,
        Damage::NeighbourTwice,
        Damage::NeighbourHole,
        Damage::Island,
        Damage::Alone,
        Damage::RecordOwner,
        Damage::RecordLevel,
        Damage::RecordState,
        Damage::RecordNeighbour,
        Damage::PageZeroed,
        Damage::PageForeign,
        Damage::PagesSwapped,
        Damage::Truncated,
        Damage::TruncatedWithinPage,
        Damage::Emptied,
        Damage::Code,
        Damage::Header,
        Damage::Anything,
    ];

    /// Those of whole pages and of any bytes, which need no knowledge of the format.
    pub const OF_PAGES: [Damage; 8] = [
        Damage::PageZeroed,
        Damage::PageForeign,
        Damage::PagesSwapped,
        Damage::Truncated,
        Damage::TruncatedWithinPage,
        Damage::Emptied,
        Damage::Header,
        Damage::Anything,
    ];

    /// Whether it changes what the index says of its rows and their ways to each other, so that verify_index must see it. The other
    /// classes only steer searches, are notes that are corrected when used, cut off as few elements as insertions may leave to the
    /// next vacuum, or may hit bytes that mean nothing.
    pub fn changes_content(self) -> bool {
        !matches!(
            self,
            Damage::Room
                | Damage::Island
                | Damage::Alone
                | Damage::Code
                | Damage::Header
                | Damage::Anything
                | Damage::Emptied
                | Damage::TruncatedWithinPage
        )
    }

    /// Damages the file. `other` is that of an index of another operator class and width.
    pub fn apply(self, file: &mut IndexFile, other: &IndexFile, random: &mut Random) {
        match self {
            Damage::Magic | Damage::Version | Damage::Kind => self.damage_special(file, random),
            Damage::Meta | Damage::Entries | Damage::Room => self.damage_meta(file, random),
            Damage::RecordOwner | Damage::RecordLevel | Damage::RecordState | Damage::RecordNeighbour => {
                self.damage_record(file, random);
            }
            Damage::PageZeroed
            | Damage::PageForeign
            | Damage::PagesSwapped
            | Damage::Truncated
            | Damage::TruncatedWithinPage
            | Damage::Emptied
            | Damage::Header
            | Damage::Anything => self.damage_pages(file, other, random),
            Damage::NeighbourBeyond
            | Damage::NeighbourInFront
            | Damage::NeighbourFree
            | Damage::NeighbourSelf
            | Damage::NeighbourTwice
            | Damage::NeighbourHole
            | Damage::Island
            | Damage::Alone => self.damage_list(file, random),
            _ => self.damage_slot(file, random),
        }
    }

    fn damage_special(self, file: &mut IndexFile, random: &mut Random) {
        let block = pick(random, file.blocks());
        let page = file.page(block);
        match self {
            Damage::Magic => page[MAGIC + pick(random, 4)] ^= bit(random),
            Damage::Version => page[FORMAT] = *random.of(&[0, 2, 77, 255]),
            _ => {
                let kind = page[KIND];
                let others: Vec<u8> = [0, 1, 2, 3, 4, 5, 255]
                    .into_iter()
                    .filter(|&other| other != kind)
                    .collect();
                page[KIND] = *random.of(&others);
            }
        }
    }

    fn damage_meta(self, file: &mut IndexFile, random: &mut Random) {
        let page = file.page(0);
        match self {
            Damage::Meta => {
                // Metric, element, bits, dimensions, m, ef_construction, bytes of keys, number of center pages.
                let fields = [1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 32, 33];
                let place = BODY + *random.of(&fields);
                let old = page[place];
                while page[place] == old {
                    page[place] = u8::try_from(random.within(0..256)).unwrap();
                }
            }
            Damage::Entries => {
                let wrong = *random.of(&[NONE, NONE - 1, 0, 1]);
                for entry in 0..ENTRIES {
                    let place = META_ENTRIES + 8 * entry;
                    page[place..place + 4].copy_from_slice(&wrong.to_le_bytes());
                    page[place + 4] = if wrong == NONE {
                        0
                    } else {
                        u8::try_from(random.within(0..256)).unwrap()
                    };
                }
            }
            _ => {
                for place in (META_ROOM..META_ROOM + 256).step_by(4) {
                    let block = *random.of(&[1_u32, 2, 3, 0, 1_000_000, NONE]);
                    page[place..place + 4].copy_from_slice(&block.to_le_bytes());
                }
            }
        }
    }

    fn damage_slot(self, file: &mut IndexFile, random: &mut Random) {
        let id = file.some_live(random);
        let other = file.some_live(random);
        let (slot, other) = (
            file.slot(id),
            file.slot(if other == id {
                file.neighbours(id)[0]
            } else {
                other
            }),
        );
        let linked_above: Vec<u32> = file
            .live()
            .into_iter()
            .filter(|&id| file.bytes[file.slot(id) + LEVEL] > 0)
            .collect();
        match self {
            Damage::StateUnknown => file.bytes[slot + STATE] = *random.of(&[4, 5, 128, 255]),
            Damage::StateFreed => file.bytes[slot + STATE] = FREE,
            Damage::LevelTooHigh => file.bytes[slot + LEVEL] = *random.of(&[8, 9, 128, 255]),
            Damage::LevelChanged => {
                let level = file.bytes[slot + LEVEL];
                file.bytes[slot + LEVEL] = if level == 7 { 0 } else { level + 1 };
            }
            Damage::TidNone => file.bytes[slot + TID..slot + TID + 6].fill(0),
            Damage::TidImpossible => file.bytes[slot + TID + 4..slot + TID + 6].fill(0xFF),
            Damage::TidBeyond => file.put(slot + TID, *random.of(&[100_000, NONE, NONE - 1])),
            Damage::TidTwice => {
                let row = file.bytes[other + TID..other + TID + 6].to_vec();
                file.bytes[slot + TID..slot + TID + 6].copy_from_slice(&row);
            }
            Damage::UpperId => {
                let slot = file.slot(*random.of(&linked_above));
                file.put(slot + UPPER_ID, *random.of(&[NONE, NONE - 1, 0, 1_000_000]));
            }
            _ => {
                for place in slot + FACTORS..slot + CODE + 32 {
                    file.bytes[place] = u8::try_from(random.within(0..256)).unwrap();
                }
                // Factors that are no numbers.
                if random.percent(50) {
                    file.put(slot + FACTORS + 4 * pick(random, 4), f32::NAN.to_bits());
                }
            }
        }
    }

    fn damage_list(self, file: &mut IndexFile, random: &mut Random) {
        let id = file.some_live(random);
        let mut list = file.neighbours(id);
        let place = pick(random, list.len());
        match self {
            Damage::NeighbourBeyond => {
                list[place] = *random.of(&[file.id_bound(), file.id_bound() + 1, NONE - 1])
            }
            Damage::NeighbourInFront => list[place] = *random.of(&[0, 1]),
            Damage::NeighbourFree => list[place] = *random.of(&file.free()),
            Damage::NeighbourSelf => list[place] = id,
            Damage::NeighbourTwice => list[place] = list[(place + 1) % list.len()],
            Damage::NeighbourHole => {
                let (start, _) = file.list(id);
                file.put(start, NONE);
                return;
            }
            Damage::Island => {
                let friend = list[place];
                for live in file.live() {
                    let mut known = file.neighbours(live);
                    known.retain(|&neighbour| neighbour != id && neighbour != friend);
                    file.set_neighbours(live, &known);
                }
                file.set_neighbours(friend, &[id]);
                list = vec![friend];
                forget(file, &[id, friend]);
            }
            _ => {
                for live in file.live() {
                    let mut known = file.neighbours(live);
                    known.retain(|&neighbour| neighbour != id);
                    file.set_neighbours(live, &known);
                }
                list.clear();
                forget(file, &[id]);
            }
        }
        file.set_neighbours(id, &list);
    }

    fn damage_record(self, file: &mut IndexFile, random: &mut Random) {
        let record = *random.of(&file.records());
        match self {
            Damage::RecordOwner => {
                let owner = crate::index_file::number(&file.bytes, record + OWNER);
                let others: Vec<u32> = file.live().into_iter().filter(|&id| id != owner).collect();
                let other = *random.of(&others);
                let wrong = *random.of(&[other, NONE, 0]);
                file.put(record + OWNER, wrong);
            }
            Damage::RecordLevel => {
                let level = file.bytes[record + RECORD_LEVEL];
                file.bytes[record + RECORD_LEVEL] = *random.of(&[0, level + 1, 8, 255]);
            }
            Damage::RecordState => file.bytes[record + RECORD_STATE] = *random.of(&[0, 2, 255]),
            _ => file.put(record + RECORD_LIST, *random.of(&[NONE - 1, file.id_bound(), 0])),
        }
    }

    fn damage_pages(self, file: &mut IndexFile, other: &IndexFile, random: &mut Random) {
        let nodes = file.pages(NODE);
        let block = *random.of(&nodes);
        match self {
            Damage::PageZeroed => file.page(block).fill(0),
            Damage::PageForeign => {
                let kind = *random.of(&[NODE, UPPER]);
                let foreign = *random.of(&other.pages(kind)) * PAGE;
                file.page(block)
                    .copy_from_slice(&other.bytes[foreign..foreign + PAGE]);
            }
            Damage::PagesSwapped => {
                let first = nodes[0];
                let second = nodes[1 + pick(random, nodes.len() - 1)];
                let page = file.page(first).to_vec();
                let replaced = file.page(second).to_vec();
                file.page(second).copy_from_slice(&page);
                file.page(first).copy_from_slice(&replaced);
            }
            Damage::Truncated => file
                .bytes
                .truncate(PAGE * (1 + pick(random, nodes[nodes.len() - 1]))),
            Damage::TruncatedWithinPage => {
                let end = file.bytes.len() - 1 - pick(random, PAGE - 2);
                file.bytes.truncate(end);
            }
            Damage::Emptied => file.bytes.clear(),
            Damage::Header => {
                let page = file.page(block);
                let (lower, upper) = *random.of(&[
                    (24_u16, 8184_u16),
                    (100, 4000),
                    (8184, 24),
                    (24, 24),
                    (0, 0),
                    (9000, 9000),
                ]);
                page[12..14].copy_from_slice(&lower.to_le_bytes());
                page[14..16].copy_from_slice(&upper.to_le_bytes());
            }
            _ => {
                let block = pick(random, file.blocks());
                let page = file.page(block);
                for _ in 0..random.within(1..200) {
                    // The server looks at its own header itself.
                    let place = BODY + pick(random, PAGE - BODY);
                    page[place] = u8::try_from(random.within(0..256)).unwrap();
                }
            }
        }
    }
}

/// Strikes elements off the entries, and off the lists of the upper levels.
fn forget(file: &mut IndexFile, ids: &[u32]) {
    for entry in 0..ENTRIES {
        let place = META_ENTRIES + 8 * entry;
        if ids.contains(&crate::index_file::number(&file.bytes, place)) {
            file.put(place, NONE);
            file.bytes[place + 4] = 0;
        }
    }
    let places = (file.list(0).1) / 2;
    for record in file.records() {
        let list = record + RECORD_LIST;
        let mut known: Vec<u32> = (0..places)
            .map(|place| crate::index_file::number(&file.bytes, list + 4 * place))
            .filter(|id| !ids.contains(id))
            .collect();
        known.resize(places, NONE);
        for (place, id) in known.into_iter().enumerate() {
            file.put(list + 4 * place, id);
        }
    }
}

fn pick(random: &mut Random, below: usize) -> usize {
    usize::try_from(random.within(0..i64::try_from(below).unwrap())).unwrap()
}

fn bit(random: &mut Random) -> u8 {
    1 << random.within(0..8)
}

const _: () = assert!(LIVE == 1 && FREE == 0);
