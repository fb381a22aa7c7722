//! From memory to pages.

use super::elements::Elements;
use super::placement::Placement;
use crate::index::hnsw::Index;
use crate::index::page::{
    Entry, EntrySet, Layout, NewSlot, NodePageMut, PAGE_BYTES, PageBytes, PageError, PageKind, SlotState,
    UpperId, UpperPageMut, center_range, init_page, write_center,
};
use crate::index::{IndexError, SlotId};

/// Where a build puts its pages, block by block without a gap.
pub trait PageSink {
    /// Takes a finished page. The 24 bytes of PostgreSQL's header are zero, for the sink to fill.
    ///
    /// # Errors
    /// Those of the storage behind it, and [`IndexError::Interrupted`].
    fn page(&mut self, block: u32, bytes: &PageBytes) -> Result<(), IndexError>;
}

/// Assigns upper records to elements in the order of their places: all records of an element on one page.
#[derive(Debug, Clone, Copy)]
struct UpperCursor {
    block: u32,
    next: u16,
    per_page: u16,
}

impl UpperCursor {
    fn new(first_block: u32, layout: &Layout) -> Self {
        UpperCursor {
            block: first_block,
            next: 0,
            per_page: layout.uppers_per_page(),
        }
    }

    /// The block and the first of `count` records.
    fn take(&mut self, count: u8) -> (u32, u16) {
        if self.next + u16::from(count) > self.per_page {
            self.block += 1;
            self.next = 0;
        }
        let place = (self.block, self.next);
        self.next += u16::from(count);
        place
    }
}

/// Writes the pages of `elements` to a sink.
pub(super) struct Writer<'a> {
    pub(super) elements: &'a Elements,
    pub(super) index: &'a Index,
    pub(super) first_block: u32,
    /// Without one, elements stand in the order of their numbers.
    pub(super) placement: Option<&'a Placement>,
}

impl Writer<'_> {
    fn node_blocks(&self) -> u32 {
        self.elements
            .count()
            .div_ceil(u32::from(self.index.layout.slots_per_page()))
    }

    /// The first block behind all pages.
    fn end_block(&self) -> u32 {
        let end_of_nodes = self.first_block + self.node_blocks();
        let mut cursor = UpperCursor::new(end_of_nodes, &self.index.layout);
        self.upper_elements().for_each(|(_, level)| {
            cursor.take(level);
        });
        if cursor.next == 0 {
            cursor.block
        } else {
            cursor.block + 1
        }
    }

    /// The element at a place.
    fn number(&self, place: u32) -> SlotId {
        self.placement
            .map_or(SlotId(place), |placement| placement.number(place))
    }

    /// The elements above level 0 with their levels, in the order of their places.
    fn upper_elements(&self) -> impl Iterator<Item = (SlotId, u8)> + '_ {
        let ids = (0..self.elements.count()).map(|place| self.number(place));
        ids.map(|id| (id, self.elements.row(id)))
            .filter(|(_, row)| row.ranked && row.level > 0)
            .map(|(id, row)| (id, row.level))
    }

    /// The number of an element as an id of the index.
    fn id(&self, number: SlotId) -> SlotId {
        let place = self
            .placement
            .map_or(number.0, |placement| placement.place(number));
        SlotId(self.first_block * u32::from(self.index.layout.slots_per_page()) + place)
    }

    fn list(&self, number: SlotId, level: u8, out: &mut Vec<SlotId>) {
        out.clear();
        let limit = self.index.layout.max_neighbours(level);
        if let Some((lists, list)) = self.elements.list(number, level) {
            out.extend(lists.iter(list).take(limit).map(|neighbour| self.id(neighbour)));
        }
    }

    /// Writes node pages, then upper pages. Returns the first block behind them.
    pub(super) fn write(&self, sink: &mut impl PageSink) -> Result<u32, IndexError> {
        let end = self.end_block();
        // Fails here rather than in the middle if ids would not fit.
        self.index.layout.id_bound(end)?;
        self.write_nodes(sink)?;
        self.write_uppers(sink)?;
        Ok(end)
    }

    fn write_nodes(&self, sink: &mut impl PageSink) -> Result<(), IndexError> {
        let layout = &self.index.layout;
        let per_page = u32::from(layout.slots_per_page());
        let mut cursor = UpperCursor::new(self.first_block + self.node_blocks(), layout);
        let mut neighbours = Vec::new();
        let mut page = empty_page();
        for page_number in 0..self.node_blocks() {
            let block = self.first_block + page_number;
            init_page(&mut *page, PageKind::Node).map_err(|error| error.at(block))?;
            let mut node = NodePageMut::open(&mut *page, layout).map_err(|error| error.at(block))?;
            let first = page_number * per_page;
            for (index, place) in (0u16..).zip(first..(first + per_page).min(self.elements.count())) {
                let number = self.number(place);
                let upper = self.upper_id(number, &mut cursor);
                self.list(number, 0, &mut neighbours);
                self.write_slot(&mut node, index, number, upper, &neighbours)
                    .map_err(|error| error.at(block))?;
            }
            sink.page(block, &page)?;
        }
        Ok(())
    }

    /// The first upper record of an element, taken from the cursor.
    fn upper_id(&self, number: SlotId, cursor: &mut UpperCursor) -> UpperId {
        let row = self.elements.row(number);
        if !row.ranked || row.level == 0 {
            return UpperId::NONE;
        }
        let (block, index) = cursor.take(row.level);
        self.index.layout.upper_id(block, index).unwrap_or(UpperId::NONE)
    }

    fn write_slot(
        &self,
        node: &mut NodePageMut<'_>,
        index: u16,
        number: SlotId,
        upper: UpperId,
        neighbours: &[SlotId],
    ) -> Result<(), PageError> {
        let row = self.elements.row(number);
        let code = self.elements.code(number);
        let slot = NewSlot {
            state: if row.ranked {
                SlotState::Live
            } else {
                SlotState::Unranked
            },
            level: if row.ranked { row.level } else { 0 },
            tid: row.tid,
            upper,
            factors: &code.factors.to_bytes(),
            code: code.code,
            keys: self.elements.keys(number),
            neighbours,
        };
        node.write_slot(index, &slot)
    }

    fn write_uppers(&self, sink: &mut impl PageSink) -> Result<(), IndexError> {
        let layout = &self.index.layout;
        let first_block = self.first_block + self.node_blocks();
        let mut cursor = UpperCursor::new(first_block, layout);
        let mut neighbours = Vec::new();
        let mut page = empty_page();
        let mut block_of_page = None;
        for (number, level) in self.upper_elements() {
            let (block, index) = cursor.take(level);
            if block_of_page != Some(block) {
                if let Some(full) = block_of_page {
                    sink.page(full, &page)?;
                }
                init_page(&mut *page, PageKind::Upper).map_err(|error| error.at(block))?;
                block_of_page = Some(block);
            }
            let mut upper = UpperPageMut::open(&mut *page, layout).map_err(|error| error.at(block))?;
            for (index, level) in (index..).zip(1..=level) {
                self.list(number, level, &mut neighbours);
                upper
                    .write(index, self.id(number), level, &neighbours)
                    .map_err(|error| error.at(block))?;
            }
        }
        match block_of_page {
            Some(last) => sink.page(last, &page),
            None => Ok(()),
        }
    }

    /// The entries as an index has them.
    pub(super) fn entries(&self, entries: &[Entry]) -> EntrySet {
        let mut set = EntrySet::default();
        for entry in entries {
            set.offer(self.id(entry.id), entry.level);
        }
        set
    }
}

/// Writes the meta page and the pages of the centre, blocks 0 and following.
pub(super) fn write_head(
    index: &Index,
    entries: EntrySet,
    sink: &mut impl PageSink,
) -> Result<(), IndexError> {
    let mut page = empty_page();
    init_page(&mut *page, PageKind::Meta)
        .and_then(|()| index.meta(entries).write(&mut *page))
        .map_err(|error| error.at(0))?;
    sink.page(0, &page)?;
    for number in 0..index.center_blocks() {
        let part = index
            .center()
            .get(center_range(index.coded_dims(), number))
            .unwrap_or_default();
        init_page(&mut *page, PageKind::Center)
            .and_then(|()| write_center(&mut *page, part))
            .map_err(|error| error.at(number + 1))?;
        sink.page(number + 1, &page)?;
    }
    Ok(())
}

fn empty_page() -> Box<PageBytes> {
    Box::new([0; PAGE_BYTES])
}
