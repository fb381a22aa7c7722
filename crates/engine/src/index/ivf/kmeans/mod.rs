//! k-means: the centroids of the lists of an index, from a sample of its vectors.
//!
//! A round of Lloyd's algorithm compares every point with every centroid, which takes too long with hundreds of them. So the points
//! are first divided into about as many coarse clusters as the square root of the number wanted ([`coarse`]), and each of those into
//! its share ([`fine`]). The rounds that follow compare a point with the centroids around its present one only ([`near`]).
//!
//! Distances are squared Euclidean ones. The same points, seed and numbers give the same centroids, whatever the number of threads:
//! each job owns its part of the result, and sums run in the order of the points.

// Places are those of arrays made here.
#![allow(clippy::indexing_slicing)]

mod clusters;
mod crew;
mod near;
mod points;
mod seeds;

#[cfg(test)]
mod tests;

pub use points::Points;

use self::clusters::Clusters;
use self::crew::Crew;
use self::points::{filled, room};
use self::seeds::{Random, sample, seeds};
use crate::index::IndexError;
use crate::index::hnsw::build::Supervisor;
use crate::interrupt::Interrupt;

/// So many clusters at most are found without coarse ones.
const FLAT: usize = 32;
/// Rounds at most by which coarse clusters are found, and each is divided: what they leave, the rounds that follow find.
const ROUGH_ROUNDS: usize = 5;
/// Points that coarse clusters are found with, for each.
const COARSE_SAMPLE: usize = 128;

/// How to cluster.
#[derive(Debug, Clone, Copy)]
pub struct KmeansOptions {
    /// Clusters wanted.
    pub clusters: usize,
    /// Rounds of Lloyd's algorithm over all points, at most; one is made at least. Where there are many clusters, two to four bring
    /// nearly all that more would.
    pub iterations: usize,
    /// Where the random numbers begin.
    pub seed: u64,
    /// Threads beside the calling one, which then only asks whether to go on. With none, it computes.
    pub threads: usize,
}

/// The centroids of the clusters, one behind the other. There are fewer than wanted where there are fewer different points, and
/// seldom one or two fewer where the last round left clusters without points. Each is finite and the nearest one of a point at least.
///
/// Beside the points it needs memory for about four numbers of 32 bits for each, and for twice the centroids.
///
/// # Errors
/// [`IndexError::Interrupted`] soon after the supervisor asks for it, with no thread left; [`IndexError::OutOfMemory`];
/// [`IndexError::Limit`] for more points than 32 bits number; [`IndexError::Failed`] if a thread panicked.
pub fn kmeans(
    points: Points<'_>,
    options: &KmeansOptions,
    supervisor: &dyn Supervisor,
) -> Result<Vec<f32>, IndexError> {
    let count = points.count();
    let wanted = options.clusters.min(count);
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let limit = u32::try_from(count).map_err(|_| IndexError::Limit {
        what: "number of vectors to cluster",
        value: count as u64,
        limit: u32::MAX.into(),
    })?;
    let mut members: Vec<u32> = room(count)?;
    members.extend(0..limit);
    let crew = Crew::Team(options.threads, supervisor);
    let mut random = Random(options.seed);
    let rounds = options.iterations.max(1);
    let mut clusters = if wanted <= FLAT {
        start(points, members, wanted, &mut random, supervisor)?
    } else {
        let coarse = coarse(points, members, wanted, rounds, &mut random, crew)?;
        fine(points, coarse, wanted, rounds, &mut random, crew)?
    };
    clusters.settle(rounds, wanted, crew)?;
    clusters.into_occupied(crew)
}

/// Clusters around points, none of which is in one yet.
fn start<'a>(
    points: Points<'a>,
    members: Vec<u32>,
    wanted: usize,
    random: &mut Random,
    interrupt: &dyn Interrupt,
) -> Result<Clusters<'a>, IndexError> {
    let seeds = seeds(points, &members, wanted, random, interrupt)?;
    let mut centroids = room(seeds.len().saturating_mul(points.dims))?;
    for seed in seeds {
        centroids.extend_from_slice(points.get(seed));
    }
    Clusters::around(points, centroids, members)
}

/// All points in a few clusters, which a sample of them finds.
fn coarse<'a>(
    points: Points<'a>,
    members: Vec<u32>,
    wanted: usize,
    rounds: usize,
    random: &mut Random,
    crew: Crew<'_>,
) -> Result<Clusters<'a>, IndexError> {
    let wanted = wanted.isqrt();
    let sample = sample(&members, wanted.saturating_mul(COARSE_SAMPLE), random)?;
    let mut clusters = start(points, sample, wanted, random, crew.interrupt())?;
    clusters.settle(rounds.min(ROUGH_ROUNDS), wanted, crew)?;
    let (centroids, ..) = clusters.into_parts();
    let mut clusters = Clusters::around(points, centroids, members)?;
    clusters.assign(crew)?;
    Ok(clusters)
}

/// A coarse cluster, and what it is divided into.
struct Part<'a> {
    members: &'a mut [u32],
    /// How many clusters it is to become.
    share: usize,
    seed: u64,
    centroids: Vec<f32>,
    ends: Vec<usize>,
}

/// Divides the coarse clusters into as many as wanted together.
fn fine<'a>(
    points: Points<'a>,
    coarse: Clusters<'a>,
    wanted: usize,
    rounds: usize,
    random: &mut Random,
    crew: Crew<'_>,
) -> Result<Clusters<'a>, IndexError> {
    let (_, mut members, ends) = coarse.into_parts();
    let shares = shares(&ends, wanted)?;
    let mut parts: Vec<Part<'_>> = room(ends.len())?;
    let (mut rest, mut start) = (members.as_mut_slice(), 0);
    for (end, share) in ends.iter().zip(&shares) {
        let (members, others) = rest.split_at_mut(end - start);
        (rest, start) = (others, *end);
        parts.push(Part {
            members,
            share: *share,
            seed: random.next(),
            centroids: Vec::new(),
            ends: Vec::new(),
        });
    }
    // The largest ones first, so that no thread begins one when the others are about to end.
    let mut jobs: Vec<&mut Part<'_>> = room(parts.len())?;
    jobs.extend(parts.iter_mut().filter(|part| part.share > 0));
    jobs.sort_by_key(|part| usize::MAX - part.members.len());
    crew.each(
        jobs.into_iter(),
        || Ok(()),
        |part, (), interrupt| part.divide(points, rounds.min(ROUGH_ROUNDS), interrupt),
    )?;
    let mut centroids = room(wanted.saturating_mul(points.dims))?;
    let mut ends = room(wanted)?;
    let mut before = 0;
    for part in parts {
        centroids.extend(part.centroids);
        ends.extend(part.ends.iter().map(|end| before + end));
        before += part.members.len();
    }
    Clusters::of(points, centroids, members, ends)
}

impl Part<'_> {
    fn divide(
        &mut self,
        points: Points<'_>,
        rounds: usize,
        interrupt: &dyn Interrupt,
    ) -> Result<(), IndexError> {
        let mut members = room(self.members.len())?;
        members.extend_from_slice(self.members);
        let mut random = Random(self.seed);
        let mut clusters = start(points, members, self.share, &mut random, interrupt)?;
        clusters.settle(rounds, self.share, Crew::Alone(interrupt))?;
        let (centroids, members, ends) = clusters.into_parts();
        self.members.copy_from_slice(&members);
        (self.centroids, self.ends) = (centroids, ends);
        Ok(())
    }
}

/// How many clusters each coarse one is to become, of so many together: in proportion to its points, so that the lists become about
/// equally long, but one at least where there are points, and no more than there are.
fn shares(ends: &[usize], wanted: usize) -> Result<Vec<usize>, IndexError> {
    let mut sizes: Vec<usize> = room(ends.len())?;
    let mut start = 0;
    for end in ends {
        sizes.push(end - start);
        start = *end;
    }
    let mut shares = filled(sizes.len(), 0)?;
    for _ in 0..wanted {
        // The one with the most points for each of its clusters, were it to get the next one (D'Hondt).
        let mut most = (0.0, None);
        for (place, (size, share)) in sizes.iter().zip(&shares).enumerate() {
            let each = match share {
                0 if *size > 0 => f64::INFINITY,
                share if share < size => *size as f64 / (share + 1) as f64,
                _ => 0.0,
            };
            if each > most.0 {
                most = (each, Some(place));
            }
        }
        match most.1 {
            Some(place) => shares[place] += 1,
            None => break,
        }
    }
    Ok(shares)
}
