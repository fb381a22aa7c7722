//! The pages of an index as bytes.

/// What a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PageKind {
    /// Block 0: what the index is, and where searches begin.
    Meta = 1,
    /// The mean of the vectors.
    Center = 2,
    /// Elements.
    Node = 3,
    /// Neighbour lists of the upper levels.
    Upper = 4,
}
