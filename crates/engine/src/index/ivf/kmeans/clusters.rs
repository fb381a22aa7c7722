//! Points in clusters, and the rounds of Lloyd's algorithm that improve them.

// Places are those of arrays made here.
#![allow(clippy::indexing_slicing)]

use std::ops::Range;

use super::crew::Crew;
use super::near::{self, Near};
use super::points::{Points, WHAT, distance, filled, nearest_row, room};
use crate::index::IndexError;
use crate::index::hnsw::queue::reserve;
use crate::interrupt::Interrupt;

/// Numbers that a job multiplies, about: some hundredths of a millisecond.
const JOB: usize = 1 << 19;
/// The clustering rests when at most one of so many points has moved.
const RESTING: usize = 256;
/// How far the halves of a divided cluster move from its mean, of the way to the member farthest from it. Enough that rounding does
/// not undo it, and so little that other clusters' points hardly come.
const APART: f64 = 1.0 / 16.0;

/// Some of the points, each in a cluster.
pub(super) struct Clusters<'a> {
    points: Points<'a>,
    /// One behind the other.
    centroids: Vec<f32>,
    /// The points, cluster by cluster once they are `grouped`.
    members: Vec<u32>,
    /// Where the members of each cluster end.
    ends: Vec<usize>,
    /// The cluster that each of `members` is to come to.
    labels: Vec<u32>,
    /// Takes the members when they are put in order.
    spare: Vec<u32>,
    grouped: bool,
}

impl<'a> Clusters<'a> {
    /// The members are not in clusters yet, but as [`Clusters::settle`] will find.
    pub(super) fn around(
        points: Points<'a>,
        centroids: Vec<f32>,
        members: Vec<u32>,
    ) -> Result<Self, IndexError> {
        let count = centroids.len() / points.dims.max(1);
        let ends = filled(count, members.len())?;
        let mut clusters = Self::of(points, centroids, members, ends)?;
        clusters.grouped = false;
        Ok(clusters)
    }

    /// The members of each cluster stand one behind the other, and end at `ends`.
    pub(super) fn of(
        points: Points<'a>,
        centroids: Vec<f32>,
        members: Vec<u32>,
        ends: Vec<usize>,
    ) -> Result<Self, IndexError> {
        Ok(Clusters {
            labels: filled(members.len(), 0)?,
            spare: filled(members.len(), 0)?,
            points,
            centroids,
            members,
            ends,
            grouped: true,
        })
    }

    /// How many clusters there are.
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// The centroids, the members, and where those of each cluster end.
    pub(super) fn into_parts(self) -> (Vec<f32>, Vec<u32>, Vec<usize>) {
        (self.centroids, self.members, self.ends)
    }

    /// At most so many rounds, until few points move. Where there are fewer clusters than `wanted`, large ones are divided.
    ///
    /// # Errors
    /// [`IndexError::Interrupted`], [`IndexError::OutOfMemory`], [`IndexError::Failed`].
    pub(super) fn settle(&mut self, rounds: usize, wanted: usize, crew: Crew<'_>) -> Result<(), IndexError> {
        for round in 1..=rounds {
            let moved = self.assign(crew)?;
            self.move_centroids(crew)?;
            if round == rounds {
                break;
            }
            let divided = self.divide(wanted, crew.interrupt())?;
            if divided == 0 && moved <= self.members.len() / RESTING {
                break;
            }
        }
        Ok(())
    }

    /// Moves every member to the cluster of the nearest centroid, of those near to its present one once there is one. Tells how many have
    /// moved.
    pub(super) fn assign(&mut self, crew: Crew<'_>) -> Result<usize, IndexError> {
        if self.grouped && self.count() > near::WORTHWHILE {
            self.label_near(crew)?;
        } else {
            self.label(crew)?;
        }
        self.group()
    }

    /// Finds the nearest of all centroids for each member.
    fn label(&mut self, crew: Crew<'_>) -> Result<(), IndexError> {
        let (points, centroids) = (self.points, &self.centroids);
        let share = (JOB / centroids.len().max(1)).clamp(8, 1024);
        crew.each(
            self.members.chunks(share).zip(self.labels.chunks_mut(share)),
            || Ok(()),
            |(members, labels), (), _| {
                for (member, label) in members.iter().zip(labels) {
                    *label = nearest_row(points.get(*member), centroids, points.dims).0 as u32;
                }
                Ok(())
            },
        )
    }

    /// Finds the nearest of the centroids around its present one for each member.
    fn label_near(&mut self, crew: Crew<'_>) -> Result<(), IndexError> {
        let mut jobs = room(self.count() + self.members.len() / near::MEMBERS)?;
        let mut labels = self.labels.as_mut_slice();
        for cluster in 0..self.ends.len() {
            let members = &self.members[range(&self.ends, cluster)];
            let (own, others) = labels.split_at_mut(members.len());
            labels = others;
            let parts = members.chunks(near::MEMBERS).zip(own.chunks_mut(near::MEMBERS));
            jobs.extend(parts.map(|(members, labels)| (cluster as u32, members, labels)));
        }
        let (points, centroids) = (self.points, &self.centroids);
        crew.each(
            jobs.into_iter(),
            || Near::new(points, centroids),
            |(cluster, members, labels), near, _| {
                near.label(cluster, members, labels);
                Ok(())
            },
        )
    }

    /// Puts the members in the order of their labels, those of one label in the order that they have. Tells how many labels are new.
    fn group(&mut self) -> Result<usize, IndexError> {
        let mut moved = 0;
        for cluster in 0..self.ends.len() {
            let labels = &self.labels[range(&self.ends, cluster)];
            moved += labels.iter().filter(|label| **label as usize != cluster).count();
        }
        // First how many each has, then where it begins, and when its members have come, where it ends.
        self.ends.fill(0);
        for label in &self.labels {
            self.ends[*label as usize] += 1;
        }
        let mut start = 0;
        for end in &mut self.ends {
            start += std::mem::replace(end, start);
        }
        for (member, label) in self.members.iter().zip(&self.labels) {
            let place = &mut self.ends[*label as usize];
            self.spare[*place] = *member;
            *place += 1;
        }
        std::mem::swap(&mut self.members, &mut self.spare);
        self.grouped = true;
        Ok(moved)
    }

    /// Moves every centroid to the mean of its members.
    fn move_centroids(&mut self, crew: Crew<'_>) -> Result<(), IndexError> {
        let (points, members, ends) = (self.points, &self.members, &self.ends);
        crew.each(
            self.centroids.chunks_mut(points.dims.max(1)).enumerate(),
            || filled(points.dims, 0.0_f64),
            |(cluster, centroid), sums, interrupt| {
                let members = &members[range(ends, cluster)];
                if members.is_empty() {
                    return Ok(());
                }
                sums.fill(0.0);
                for part in members.chunks(JOB / points.dims.max(1) + 1) {
                    interrupt.check()?;
                    for member in part {
                        for (sum, value) in sums.iter_mut().zip(points.get(*member)) {
                            *sum += f64::from(*value);
                        }
                    }
                }
                // Divided, not multiplied with the inverse: the mean of identical points is that point, and finite in any case.
                for (value, sum) in centroid.iter_mut().zip(sums) {
                    *value = (*sum / members.len() as f64) as f32;
                }
                Ok(())
            },
        )
    }

    /// Divides the largest clusters, until there are as many as wanted: the second half takes the place of a cluster without members, if
    /// there is one. Each is divided once at most. Tells how many were divided.
    fn divide(&mut self, wanted: usize, interrupt: &dyn Interrupt) -> Result<usize, IndexError> {
        let size = |cluster: &usize| range(&self.ends, *cluster).len();
        let mut free: Vec<usize> = room(self.count())?;
        free.extend((0..self.count()).filter(|cluster| size(cluster) == 0));
        let missing = wanted.saturating_sub(self.count() - free.len());
        if missing == 0 {
            return Ok(0);
        }
        let mut largest: Vec<usize> = room(self.count())?;
        largest.extend((0..self.count()).filter(|cluster| size(cluster) > 1));
        largest.sort_unstable_by_key(|cluster| (usize::MAX - size(cluster), *cluster));
        let dims = self.points.dims;
        let added = missing.min(largest.len()).saturating_sub(free.len());
        reserve(&mut self.centroids, added.saturating_mul(dims), WHAT)?;
        reserve(&mut self.ends, added, WHAT)?;
        let mut divided = 0;
        for cluster in largest {
            interrupt.check()?;
            if divided == missing {
                break;
            }
            let Some([one, other]) = self.halves(cluster)? else {
                continue;
            };
            self.centroids[cluster * dims..][..dims].copy_from_slice(&one);
            if let Some(place) = free.pop() {
                self.centroids[place * dims..][..dims].copy_from_slice(&other);
            } else {
                self.centroids.extend(other);
                self.ends.push(self.members.len());
            }
            divided += 1;
        }
        Ok(divided)
    }

    /// Two centroids, each of which is nearer to some members of a cluster than the other one. None if the members are all the same.
    fn halves(&self, cluster: usize) -> Result<Option<[Vec<f32>; 2]>, IndexError> {
        let dims = self.points.dims;
        let centroid = &self.centroids[cluster * dims..][..dims];
        let mut farthest = (0.0, centroid);
        for member in &self.members[range(&self.ends, cluster)] {
            let point = self.points.get(*member);
            let distance = distance(point, centroid);
            if distance > farthest.0 {
                farthest = (distance, point);
            }
        }
        let mut halves = [room(dims)?, room(dims)?];
        for (half, apart) in halves.iter_mut().zip([APART, -APART]) {
            half.extend(centroid.iter().zip(farthest.1).map(|(mean, far)| {
                let (mean, far) = (f64::from(*mean), f64::from(*far));
                (mean + apart * (far - mean)).clamp(f32::MIN.into(), f32::MAX.into()) as f32
            }));
        }
        Ok((halves[0] != halves[1]).then_some(halves))
    }

    /// The centroids that are the nearest ones of at least one member, so that no list will be empty: each keeps one when others are left
    /// out.
    ///
    /// # Errors
    /// [`IndexError::Interrupted`], [`IndexError::OutOfMemory`], [`IndexError::Failed`].
    pub(super) fn into_occupied(mut self, crew: Crew<'_>) -> Result<Vec<f32>, IndexError> {
        let mut occupied = filled(self.count(), false)?;
        let (points, centroids) = (self.points, &self.centroids);
        crew.each(
            occupied.iter_mut().enumerate(),
            || Ok(()),
            |(cluster, occupied), (), interrupt| {
                // Mostly the first one will do.
                for member in &self.members[range(&self.ends, cluster)] {
                    interrupt.check()?;
                    if nearest_row(points.get(*member), centroids, points.dims).0 == cluster {
                        *occupied = true;
                        break;
                    }
                }
                Ok(())
            },
        )?;
        let dims = self.points.dims;
        let mut kept = 0;
        for cluster in (0..occupied.len()).filter(|cluster| occupied[*cluster]) {
            self.centroids
                .copy_within(cluster * dims..(cluster + 1) * dims, kept * dims);
            kept += 1;
        }
        self.centroids.truncate(kept * dims);
        Ok(self.centroids)
    }
}

/// Where the members of a cluster stand.
fn range(ends: &[usize], cluster: usize) -> Range<usize> {
    let start = cluster.checked_sub(1).map_or(0, |before| ends[before]);
    start..ends[cluster]
}
