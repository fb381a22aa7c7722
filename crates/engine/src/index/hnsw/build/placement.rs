//! Where the elements of a build go on the pages: those that lie near each other in space share pages.
//!
//! A search looks at the neighbours of what it has just expanded. If these stand on few pages, it meets fewer pages and fewer
//! entries of the processor's translation buffer; with an index that does not fit into memory, fewer reads (graph reordering: Coleman et
//! al., arXiv 2104.03221). The groups are those that linking goes by, see [`order`](super::order).

// Places are those of arrays made here.
#![allow(clippy::indexing_slicing)]

use super::elements::Elements;
use super::order::Order;
use super::team::Supervisor;
use crate::index::hnsw::queue::reserve;
use crate::index::{IndexError, SlotId};

const WHAT: &str = "order of the pages of an index build";

/// A permutation of the elements.
#[derive(Debug)]
pub(super) struct Placement {
    /// The element at each place.
    numbers: Vec<SlotId>,
    /// The place of each element.
    places: Vec<u32>,
}

impl Placement {
    /// Group by group, the groups in the order in which they were linked.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`], [`IndexError::Interrupted`].
    pub(super) fn new(
        mut order: Order,
        elements: &Elements,
        supervisor: &dyn Supervisor,
    ) -> Result<Self, IndexError> {
        order.gather(elements, supervisor)?;
        let mut numbers = Vec::new();
        reserve(&mut numbers, order.len(), WHAT)?;
        numbers.extend(order.gathered());
        drop(order);
        supervisor.check()?;
        let mut places = Vec::new();
        reserve(&mut places, numbers.len(), WHAT)?;
        places.resize(numbers.len(), 0);
        for (place, number) in (0..).zip(&numbers) {
            places[number.0 as usize] = place;
        }
        Ok(Placement { numbers, places })
    }

    /// What a placement of so many elements occupies.
    pub(super) fn estimated_bytes(count: u32) -> usize {
        count as usize * (size_of::<SlotId>() + size_of::<u32>())
    }

    /// The element at a place.
    pub(super) fn number(&self, place: u32) -> SlotId {
        self.numbers[place as usize]
    }

    /// The place of an element.
    pub(super) fn place(&self, number: SlotId) -> u32 {
        self.places[number.0 as usize]
    }
}
