//! Where a point may move to from one round to the next: the centroids around the present one.
//!
//! That most points stay near where they are is what makes a round of many clusters cheap: it costs as much as one of a few.

// Places are those of arrays made here.
#![allow(clippy::indexing_slicing)]

use super::points::{Points, distance, nearest_row, room};
use crate::index::IndexError;

/// Centroids that a point may move to: with more a round takes longer, and ends hardly better.
const AROUND: usize = 24;
/// With more clusters than this it is worthwhile.
pub(super) const WORTHWHILE: usize = 2 * AROUND;
/// Members of a cluster that one job looks at.
pub(super) const MEMBERS: usize = 256;

/// What a thread needs.
pub(super) struct Near<'a> {
    points: Points<'a>,
    centroids: &'a [f32],
    /// How far each other centroid is.
    distances: Vec<(f32, u32)>,
    /// Those around the present one, nearest first.
    around: Vec<f32>,
}

impl<'a> Near<'a> {
    pub(super) fn new(points: Points<'a>, centroids: &'a [f32]) -> Result<Self, IndexError> {
        Ok(Near {
            distances: room(centroids.len() / points.dims.max(1))?,
            around: room(AROUND * points.dims)?,
            points,
            centroids,
        })
    }

    /// Finds the nearest centroid, of those around that of the cluster, for each of its members.
    pub(super) fn label(&mut self, cluster: u32, members: &[u32], labels: &mut [u32]) {
        let dims = self.points.dims;
        let row = |centroid: u32| &self.centroids[centroid as usize * dims..][..dims];
        let own = row(cluster);
        self.distances.clear();
        let others = self.centroids.chunks_exact(dims).zip(0..);
        let others = others.filter(|(_, other)| *other != cluster);
        self.distances
            .extend(others.map(|(centroid, other)| (distance(own, centroid) as f32, other)));
        if self.distances.len() > AROUND {
            self.distances.select_nth_unstable_by(AROUND, nearer);
            self.distances.truncate(AROUND);
        }
        self.distances.sort_unstable_by(nearer);
        self.around.clear();
        for (_, other) in &self.distances {
            self.around.extend_from_slice(row(*other));
        }
        for (member, label) in members.iter().zip(labels) {
            let point = self.points.get(*member);
            let present = distance(point, own) as f32;
            // By the triangle inequality one that is twice as far from the present centroid as the point is, is no nearer to the point.
            let candidates = self
                .distances
                .partition_point(|(apart, _)| *apart < 4.0 * present);
            let (place, nearest) = nearest_row(point, &self.around[..candidates * dims], dims);
            *label = if nearest < present {
                self.distances[place].1
            } else {
                cluster
            };
        }
    }
}

fn nearer(a: &(f32, u32), b: &(f32, u32)) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}
