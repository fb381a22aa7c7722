//! Ghosts: keys that were dropped from the small queue a short while ago. A key that comes back as one goes to the main queue.
//!
//! A ghost is the fingerprint of a hash and the time of its death, in deaths. It fades once as many others have died since as the
//! main queue has entries.

use super::key::{KeyHash, Quarter};
use super::layout::GHOST_WAYS;
use super::queue::{CLOCK, MAIN_ENTRIES};
use super::region::{Region, pack, unpack};

fn places(region: &Region, partition: usize, hash: KeyHash) -> std::ops::Range<usize> {
    let sets = region.layout.ghosts / GHOST_WAYS;
    let start = region.layout.ghosts_at(partition) + hash.below(Quarter::Ghost, sets) * GHOST_WAYS;
    start..start + GHOST_WAYS
}

fn clock(region: &Region, partition: usize) -> u32 {
    region.load(region.layout.partition_at(partition) + CLOCK) as u32
}

/// Remembers a key that was dropped.
pub(super) fn remember(region: &Region, partition: usize, hash: KeyHash) {
    let now = clock(region, partition).wrapping_add(1);
    region.store(region.layout.partition_at(partition) + CLOCK, u64::from(now));
    let age = |place: usize| now.wrapping_sub(unpack(region.load(place)).1);
    // The same key again, else the one that died longest ago.
    let same = |&place: &usize| unpack(region.load(place)).0 == hash.fingerprint();
    let place = places(region, partition, hash)
        .find(same)
        .or_else(|| places(region, partition, hash).max_by_key(|&place| age(place)));
    if let Some(place) = place {
        region.store(place, pack(hash.fingerprint(), now));
    }
}

/// Whether the key was dropped a short while ago; it is no ghost any more then.
pub(super) fn recall(region: &Region, partition: usize, hash: KeyHash) -> bool {
    let at = region.layout.partition_at(partition);
    let lasting = region.load(at + MAIN_ENTRIES).max(1);
    let now = clock(region, partition);
    let found = places(region, partition, hash).find(|&place| {
        let (fingerprint, died) = unpack(region.load(place));
        died != 0 && fingerprint == hash.fingerprint() && u64::from(now.wrapping_sub(died)) < lasting
    });
    if let Some(place) = found {
        region.store(place, 0);
    }
    found.is_some()
}
