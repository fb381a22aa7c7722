//! The pages of an index file as bytes, for tests that damage them. Written from the format's description (docs/design/hnsw.md), not
//! from the code that reads it: a change of the format without a new version number shows here. Of an inverted file only the pages are known.

use castmatch_e2e::method::Method;
use castmatch_e2e::random::Random;

/// The pages of an inverted file without which a search goes wrong: directory, centroids, rows.
const INVERTED_FILE_KINDS: [u8; 3] = [6, 7, 8];

/// Bytes of a page.
pub const PAGE: usize = 8192;
/// Where a page's content begins.
pub const BODY: usize = 24;
/// Where the magic, kind and version stand.
pub const MAGIC: usize = 8184;
pub const KIND: usize = 8188;
pub const FORMAT: usize = 8189;
/// Kinds.
pub const NODE: u8 = 3;
pub const UPPER: u8 = 4;
/// Offsets in a slot.
pub const STATE: usize = 0;
pub const LEVEL: usize = 1;
pub const TID: usize = 2;
pub const UPPER_ID: usize = 8;
pub const FACTORS: usize = 12;
pub const CODE: usize = 32;
/// States.
pub const FREE: u8 = 0;
pub const LIVE: u8 = 1;
/// Offsets in an upper record.
pub const OWNER: usize = 0;
pub const RECORD_LEVEL: usize = 4;
pub const RECORD_STATE: usize = 5;
pub const RECORD_LIST: usize = 8;
/// No neighbour, no entry.
pub const NONE: u32 = u32::MAX;
/// Offsets in the meta page.
pub const META_BITS: usize = BODY + 3;
pub const META_DIMS: usize = BODY + 4;
pub const META_M: usize = BODY + 8;
pub const META_ENTRIES: usize = BODY + 40;
pub const ENTRIES: usize = 16;
pub const META_ROOM: usize = BODY + 168;

/// An index file in memory.
#[derive(Clone, Debug)]
pub struct IndexFile {
    pub bytes: Vec<u8>,
    is_graph: bool,
    slot_bytes: usize,
    slots: usize,
    upper_bytes: usize,
    uppers: usize,
}

impl IndexFile {
    /// A file of that access method.
    pub fn of(method: Method, bytes: Vec<u8>) -> Self {
        match method {
            Method::Hnsw => Self::parse(bytes),
            Method::Ivf => Self::pages_only(bytes),
        }
    }

    fn pages_only(bytes: Vec<u8>) -> Self {
        assert_eq!(bytes.len() % PAGE, 0, "whole pages");
        Self {
            bytes,
            is_graph: false,
            slot_bytes: 0,
            slots: 0,
            upper_bytes: 0,
            uppers: 0,
        }
    }

    fn parse(bytes: Vec<u8>) -> Self {
        assert_eq!(bytes.len() % PAGE, 0, "whole pages");
        assert_eq!(&bytes[MAGIC..KIND], b"cmhn");
        assert_eq!(bytes[FORMAT], 1);
        let dims = number(&bytes, META_DIMS) as usize;
        let m = usize::from(bytes[META_M]);
        let code = match bytes[META_BITS] {
            4 => dims.div_ceil(64) * 32,
            8 => dims.next_multiple_of(32),
            32 => (dims * 4).next_multiple_of(32),
            bits => panic!("{bits} bits"),
        };
        let (slot_bytes, upper_bytes) = (CODE + code + 8 * m, RECORD_LIST + 4 * m);
        Self {
            bytes,
            is_graph: true,
            slot_bytes,
            slots: (MAGIC - BODY) / slot_bytes,
            upper_bytes,
            uppers: (MAGIC - BODY) / upper_bytes,
        }
    }

    pub fn blocks(&self) -> usize {
        self.bytes.len() / PAGE
    }

    /// Blocks of a kind; of an inverted file all but the first.
    pub fn pages(&self, kind: u8) -> Vec<usize> {
        (0..self.blocks())
            .filter(|block| {
                if self.is_graph {
                    self.bytes[block * PAGE + KIND] == kind
                } else {
                    INVERTED_FILE_KINDS.contains(&self.bytes[block * PAGE + KIND])
                }
            })
            .collect()
    }

    /// Where in the file a slot is.
    pub fn slot(&self, id: u32) -> usize {
        let id = id as usize;
        (id / self.slots) * PAGE + BODY + (id % self.slots) * self.slot_bytes
    }

    fn slots_in(&self, wanted: impl Fn(u8) -> bool) -> Vec<u32> {
        let mut ids = Vec::new();
        for block in self.pages(NODE) {
            for index in 0..self.slots {
                let id = u32::try_from(block * self.slots + index).unwrap();
                if wanted(self.bytes[self.slot(id) + STATE]) {
                    ids.push(id);
                }
            }
        }
        ids
    }

    /// Ids of slots of live elements.
    pub fn live(&self) -> Vec<u32> {
        self.slots_in(|state| state == LIVE)
    }

    /// Ids of unused slots.
    pub fn free(&self) -> Vec<u32> {
        self.slots_in(|state| state == FREE)
    }

    /// Places of used upper records in the file.
    pub fn records(&self) -> Vec<usize> {
        let places = self.pages(UPPER).into_iter().flat_map(|block| {
            (0..self.uppers).map(move |index| block * PAGE + BODY + index * self.upper_bytes)
        });
        places
            .filter(|place| self.bytes[place + RECORD_STATE] == 1)
            .collect()
    }

    /// Where the list of level 0 of a slot begins, and how many places it has.
    pub fn list(&self, id: u32) -> (usize, usize) {
        let places = self.list_places();
        (self.slot(id) + self.slot_bytes - 4 * places, places)
    }

    fn list_places(&self) -> usize {
        2 * (self.upper_bytes - RECORD_LIST) / 4
    }

    /// The neighbours of a slot at level 0.
    pub fn neighbours(&self, id: u32) -> Vec<u32> {
        let (start, places) = self.list(id);
        let all = (0..places).map(|place| number(&self.bytes, start + 4 * place));
        all.take_while(|&id| id != NONE).collect()
    }

    /// Replaces the neighbours of a slot at level 0.
    pub fn set_neighbours(&mut self, id: u32, neighbours: &[u32]) {
        let (start, places) = self.list(id);
        for place in 0..places {
            let neighbour = neighbours.get(place).copied().unwrap_or(NONE);
            self.put(start + 4 * place, neighbour);
        }
    }

    pub fn put(&mut self, place: usize, number: u32) {
        self.bytes[place..place + 4].copy_from_slice(&number.to_le_bytes());
    }

    /// A first id that no slot has.
    pub fn id_bound(&self) -> u32 {
        u32::try_from(self.blocks() * self.slots).unwrap()
    }

    pub fn page(&mut self, block: usize) -> &mut [u8] {
        &mut self.bytes[block * PAGE..(block + 1) * PAGE]
    }

    /// A live element with a full enough list to be damaged.
    pub fn some_live(&self, random: &mut Random) -> u32 {
        let linked: Vec<u32> = self
            .live()
            .into_iter()
            .filter(|&id| self.neighbours(id).len() > 1)
            .collect();
        *random.of(&linked)
    }
}

/// The number of four bytes at a place.
pub fn number(bytes: &[u8], place: usize) -> u32 {
    u32::from_le_bytes(bytes[place..place + 4].try_into().unwrap())
}
