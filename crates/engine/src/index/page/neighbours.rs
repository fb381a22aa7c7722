//! Lists of neighbours as bytes: ids of 4 bytes from the front, [`SlotId::NONE`] from the first unused place to the end.

use super::layout::ID_BYTES;
use super::{PageError, bytes};
use crate::index::SlotId;

/// The bytes of a list of neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighbourList<'a>(&'a [u8]);

impl<'a> NeighbourList<'a> {
    pub(super) fn new(list: &'a [u8]) -> Self {
        Self(list)
    }

    /// The neighbours up to the first unused place, whatever their values.
    pub fn iter(self) -> impl Iterator<Item = SlotId> + 'a {
        self.places().take_while(|id| *id != SlotId::NONE)
    }

    /// How many neighbours [`NeighbourList::iter`] gives.
    #[must_use]
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Whether there is no neighbour.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// Whether the list names `id`.
    #[must_use]
    pub fn contains(self, id: SlotId) -> bool {
        self.iter().any(|neighbour| neighbour == id)
    }

    /// Whether the list is exactly `ids`: how a writer sees that nobody changed a list since it was copied.
    #[must_use]
    pub fn equals(self, ids: &[SlotId]) -> bool {
        self.iter().eq(ids.iter().copied())
    }

    /// The bytes, used and unused places.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// All places, used and unused.
    pub(super) fn places(self) -> impl Iterator<Item = SlotId> + 'a {
        let (ids, _) = self.0.as_chunks::<ID_BYTES>();
        ids.iter().map(|id| SlotId(u32::from_le_bytes(*id)))
    }
}

/// Appends the neighbours in the peeked bytes of a list to `out`. Stops at the first unused place; leaves out ids that are not
/// below `id_bound`, and 0: that is on the meta page, and a list of zeros is what a peek outside the index gives.
#[inline]
pub fn parse_neighbours(list: &[u8], id_bound: u32, out: &mut Vec<SlotId>) {
    out.extend(
        NeighbourList(list)
            .iter()
            .filter(|id| id.0 != 0 && id.0 < id_bound),
    );
}

/// Writes `ids` over the list, and marks the rest of it as unused.
pub(super) fn write_neighbours(list: &mut [u8], ids: &[SlotId]) -> Result<(), PageError> {
    check_neighbours(list.len(), ids)?;
    list.fill(u8::MAX);
    let (places, _) = list.as_chunks_mut::<ID_BYTES>();
    for (place, id) in places.iter_mut().zip(ids) {
        *place = id.0.to_le_bytes();
    }
    Ok(())
}

/// Whether `ids` can be written to a list of this many bytes.
pub(super) fn check_neighbours(list_bytes: usize, ids: &[SlotId]) -> Result<(), PageError> {
    if ids.len() > list_bytes / ID_BYTES {
        return Err(PageError::content("more neighbours than a list holds"));
    }
    if ids.contains(&SlotId::NONE) {
        return Err(PageError::content(
            "list of neighbours has an unused place among them",
        ));
    }
    Ok(())
}

/// Empties the list by its first place alone, which keeps the log record small.
pub(super) fn empty_neighbours(list: &mut [u8]) -> Result<(), PageError> {
    if list.is_empty() {
        Ok(())
    } else {
        bytes::put(list, 0, &SlotId::NONE.0.to_le_bytes())
    }
}
