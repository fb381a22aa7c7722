//! Mutations of valid input, for the tests of parsers.

use proptest::prelude::*;

/// Which mutation, where, and with which byte.
pub(super) type Mutation = (u8, prop::sample::Index, u8);

/// One mutation of a byte string: overwrite, insert, delete or cut at a position.
pub(super) fn mutate(bytes: &mut Vec<u8>, (kind, position, byte): Mutation) {
    let position = position.index(bytes.len() + 1);
    match kind % 4 {
        0 => bytes
            .splice(position..(position + 1).min(bytes.len()), [byte])
            .for_each(drop),
        1 => bytes.insert(position, byte),
        2 => bytes
            .drain(position..(position + 1).min(bytes.len()))
            .for_each(drop),
        _ => bytes.truncate(position),
    }
}

/// A few mutations; bytes that matter to the parser come more often than others.
pub(super) fn mutations(interesting: Vec<u8>) -> impl Strategy<Value = Vec<Mutation>> {
    let byte = prop_oneof![
        3 => prop::sample::select(interesting),
        1 => any::<u8>(),
    ];
    prop::collection::vec((any::<u8>(), any::<prop::sample::Index>(), byte), 1..6)
}
