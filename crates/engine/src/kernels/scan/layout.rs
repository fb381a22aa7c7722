//! Where the bits of a row are in the codes of a block.

/// Rows of a block whose codes are read at full speed.
pub const BLOCK_ROWS: usize = 32;

/// Codes have a multiple of this many dimensions.
pub const DIMS_ALIGN: usize = 32;

/// Dimensions whose bits make one index into a table.
pub(super) const GROUP: usize = 4;

/// Bytes of the codes of a block of `lanes` rows.
#[must_use]
pub const fn code_bytes(dims: usize, lanes: usize) -> usize {
    dims / GROUP * (lanes / 2)
}

/// The place of a row in each group of dimensions.
#[derive(Debug, Clone, Copy)]
struct Place {
    byte: usize,
    shift: u32,
}

/// `None` if there is no such row, or blocks never have that many lanes.
fn place(lanes: usize, row: usize) -> Option<Place> {
    if !matches!(lanes, 8 | 16 | BLOCK_ROWS) || row >= lanes {
        return None;
    }
    let half = lanes / 2;
    Some(Place {
        byte: row % half,
        shift: if row < half { 0 } else { 4 },
    })
}

fn get(group: &[u8], place: Place) -> u8 {
    group.get(place.byte).map_or(0, |byte| byte >> place.shift & 15)
}

fn set(group: &mut [u8], place: Place, nibble: u8) {
    if let Some(byte) = group.get_mut(place.byte) {
        *byte = *byte & !(15 << place.shift) | nibble << place.shift;
    }
}

/// Writes the code of a row of a block: dimension d is bit d % 8 of byte d / 8 of `bits`. Does nothing if there is no such row, or
/// `codes` is too short for the dimensions that `bits` has.
pub fn write_row(codes: &mut [u8], lanes: usize, row: usize, bits: &[u8]) {
    let Some(place) = place(lanes, row) else { return };
    // A byte of bits is two groups of half a byte per lane.
    let Some(codes) = codes.get_mut(..bits.len() * lanes) else {
        return;
    };
    for (groups, bits) in codes.chunks_exact_mut(lanes).zip(bits) {
        let (low, high) = groups.split_at_mut(lanes / 2);
        set(low, place, bits & 15);
        set(high, place, bits >> 4);
    }
}

/// Reads the code of a row of a block as [`write_row`] takes it. Does nothing if there is no such row, or `codes` is too short for
/// the dimensions that `bits` has room for.
pub fn read_row(codes: &[u8], lanes: usize, row: usize, bits: &mut [u8]) {
    let Some(place) = place(lanes, row) else { return };
    let Some(codes) = codes.get(..bits.len() * lanes) else {
        return;
    };
    for (groups, bits) in codes.chunks_exact(lanes).zip(bits) {
        let (low, high) = groups.split_at(lanes / 2);
        *bits = get(low, place) | get(high, place) << 4;
    }
}

/// Copies the code of one row of a block to the place of another. `codes` is all of the block's codes and nothing else. Does nothing
/// if one of the rows does not exist.
pub fn move_row(codes: &mut [u8], lanes: usize, from: usize, to: usize) {
    let (Some(from), Some(to)) = (place(lanes, from), place(lanes, to)) else {
        return;
    };
    for group in codes.chunks_exact_mut(lanes / 2) {
        let nibble = get(group, from);
        set(group, to, nibble);
    }
}
