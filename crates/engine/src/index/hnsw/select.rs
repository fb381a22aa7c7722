//! Which neighbours an element keeps.
//!
//! Algorithm 4 of the paper (arXiv 1603.09320): from the nearest on, a candidate is kept if it is nearer to the element than to
//! every neighbour kept before, so that the neighbours lie in different directions. Free places are filled with the nearest of
//! the others.
//!
//! Identical vectors: the candidates then tie, and by the paper's strict comparison one of a group of twins would shadow
//! everything else, by the loose one the twins would take all places. Here a twin shadows its twins only, so that large groups
//! of identical vectors keep links to the rest of the graph.

use super::hash::mix;
use super::queue::Candidate;
use crate::index::{IndexError, SlotId};

/// Scratch memory of [`Selector::select`], reused from call to call.
#[derive(Debug, Default)]
pub struct Selector {
    kept: Vec<Candidate>,
    others: Vec<Candidate>,
    /// How many of `kept` are diverse.
    diverse: usize,
}

impl Selector {
    /// Reserves memory for `candidates`, so that [`Selector::select`] of as many does not allocate.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    pub fn reserve(&mut self, candidates: usize) -> Result<(), IndexError> {
        self.kept.clear();
        self.others.clear();
        super::queue::reserve(&mut self.kept, candidates, "neighbour selection")?;
        super::queue::reserve(&mut self.others, candidates, "neighbour selection")
    }

    /// Selects at most `limit` of the candidates, which come in ascending order of their keys to `owner`, the diverse ones first.
    /// At most `fill` places in all are filled with candidates that are not diverse.
    ///
    /// `between` gives the key between two candidates.
    pub fn select(
        &mut self,
        owner: SlotId,
        candidates: impl IntoIterator<Item = Candidate>,
        limit: usize,
        fill: usize,
        between: impl FnMut(SlotId, SlotId) -> f32,
    ) -> &[Candidate] {
        self.select_by(owner, candidates, limit, fill, between, |candidate| candidate.key)
    }

    /// How many of those that were selected last are diverse; they come first.
    #[must_use]
    pub fn diverse(&self) -> usize {
        self.diverse
    }

    /// As [`Selector::select`], but places are filled in ascending order of `fill_key`, see
    /// [`Quantizer::fill_key`](crate::index::quantize::Quantizer::fill_key).
    pub fn select_by(
        &mut self,
        owner: SlotId,
        candidates: impl IntoIterator<Item = Candidate>,
        limit: usize,
        fill: usize,
        mut between: impl FnMut(SlotId, SlotId) -> f32,
        fill_key: impl Fn(&Candidate) -> f32,
    ) -> &[Candidate] {
        self.kept.clear();
        self.others.clear();
        for candidate in candidates {
            if self.kept.len() >= limit {
                break;
            }
            if candidate.id == owner {
                continue;
            }
            let shadowed = self.kept.iter().any(|kept| {
                let key = between(candidate.id, kept.id);
                key < candidate.key || (key == candidate.key && key == kept.key)
            });
            if shadowed {
                self.others.push(candidate)
            } else {
                self.kept.push(candidate)
            }
        }
        self.diverse = self.kept.len();
        let room = limit.min(fill).saturating_sub(self.kept.len());
        if room < self.others.len() {
            self.others
                .sort_unstable_by(|a, b| fill_key(a).total_cmp(&fill_key(b)).then(a.key.total_cmp(&b.key)));
        }
        scatter_ties(owner, &mut self.others);
        self.kept.extend(self.others.iter().take(room));
        &self.kept
    }
}

/// Orders candidates of equal keys by a hash of both ids: another order for each owner, so that a group of identical vectors
/// becomes a random graph and not one in which all point at the same few.
pub(super) fn scatter_ties(owner: SlotId, candidates: &mut [Candidate]) {
    for ties in candidates.chunk_by_mut(|a, b| a.key == b.key) {
        if ties.len() > 1 {
            ties.sort_unstable_by_key(|candidate| pair_hash(owner, candidate.id));
        }
    }
}

/// A hash of a pair of ids.
#[inline]
fn pair_hash(a: SlotId, b: SlotId) -> u64 {
    mix(u64::from(a.0) << 32 | u64::from(b.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Points on a line; the owner is at 0.
    fn select(points: &[f32], limit: usize, fill: usize) -> Vec<f32> {
        let mut order: Vec<u32> = (0..points.len() as u32).collect();
        order.sort_by(|a, b| points[*a as usize].abs().total_cmp(&points[*b as usize].abs()));
        let candidates = order.iter().map(|i| Candidate {
            key: points[*i as usize].powi(2),
            id: SlotId(*i),
        });
        let mut selector = Selector::default();
        selector.reserve(points.len()).unwrap();
        let between = |a: SlotId, b: SlotId| (points[a.0 as usize] - points[b.0 as usize]).powi(2);
        selector
            .select(SlotId(u32::MAX - 1), candidates, limit, fill, between)
            .iter()
            .map(|c| points[c.id.0 as usize])
            .collect()
    }

    #[test]
    fn keeps_one_neighbour_per_direction_then_fills() {
        let points = [1.0, 2.0, 3.0, -1.5, -4.0];
        assert_eq!(select(&points, 4, 0), [1.0, -1.5]);
        assert_eq!(select(&points, 4, 4), [1.0, -1.5, 2.0, 3.0]);
        assert_eq!(select(&points, 4, 3), [1.0, -1.5, 2.0]);
        assert_eq!(select(&points, 1, 1), [1.0]);
        assert!(select(&[], 4, 4).is_empty());
    }

    #[test]
    fn twins_leave_room_for_others() {
        let mut points = vec![0.0; 100];
        points.push(1.0);
        points.push(-1.0);
        let kept = select(&points, 8, 8);
        assert_eq!(kept.len(), 8);
        assert_eq!(&kept[..3], &[0.0, 1.0, -1.0]);
    }

    #[test]
    fn twins_are_taken_in_another_order_by_each_owner() {
        let candidates: Vec<Candidate> = (0..64)
            .map(|id| Candidate {
                key: 0.0,
                id: SlotId(id),
            })
            .collect();
        let mut selector = Selector::default();
        let mut select = |owner| {
            let kept = selector.select(SlotId(owner), candidates.iter().copied(), 8, 8, |_, _| 0.0);
            kept.iter().map(|c| c.id.0).collect::<Vec<_>>()
        };
        assert_ne!(select(1000), select(1001));
        assert_eq!(select(1000), select(1000));
    }

    #[test]
    fn the_owner_is_never_its_own_neighbour() {
        let mut selector = Selector::default();
        let candidates = [
            Candidate {
                key: 0.0,
                id: SlotId(5),
            },
            Candidate {
                key: 1.0,
                id: SlotId(6),
            },
        ];
        let kept = selector.select(SlotId(5), candidates, 4, 4, |_, _| 9.0);
        assert_eq!(kept.iter().map(|c| c.id.0).collect::<Vec<_>>(), [6]);
    }
}
