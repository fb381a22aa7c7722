#![allow(clippy::unwrap_used)]

use super::*;

/// Points on a line, each linked to those `reach` away on both sides; level 1 holds every 16th.
struct Line {
    points: u32,
    absent: Vec<u32>,
    checks_left: usize,
}

impl Line {
    fn new(points: u32) -> Self {
        Line {
            points,
            absent: Vec::new(),
            checks_left: usize::MAX,
        }
    }
}

impl Graph for Line {
    type Query = f32;

    fn id_bound(&self) -> u32 {
        self.points
    }

    fn neighbours(&mut self, id: SlotId, level: u8, out: &mut Vec<SlotId>) -> Result<(), IndexError> {
        let step = if level == 0 { 1 } else { 16 };
        out.clear();
        out.extend(id.0.checked_sub(step).map(SlotId));
        out.extend(Some(id.0 + step).filter(|id| *id < self.points).map(SlotId));
        Ok(())
    }

    fn estimate(&mut self, query: &f32, ids: &[SlotId], out: &mut Vec<f32>) -> Result<(), IndexError> {
        out.clear();
        out.extend(ids.iter().map(|id| {
            if self.absent.contains(&id.0) {
                f32::INFINITY
            } else {
                (id.0 as f32 - query).abs()
            }
        }));
        Ok(())
    }

    fn check(&mut self) -> Result<(), IndexError> {
        self.checks_left = self
            .checks_left
            .checked_sub(1)
            .ok_or(crate::interrupt::Interrupted)?;
        Ok(())
    }
}

fn ids(beam: &Beam) -> Vec<u32> {
    beam.found().map(|candidate| candidate.id.0).collect()
}

#[test]
fn descend_goes_to_the_nearest_of_the_level_above() {
    let mut graph = Line::new(500);
    let mut beam = Beam::new(Overflow::Keep);
    let entries = [
        Entry {
            id: SlotId(0),
            level: 1,
        },
        Entry {
            id: SlotId(496),
            level: 1,
        },
    ];
    descend(&mut beam, &mut graph, &201.25, &entries, 0, 10).unwrap();
    assert_eq!(ids(&beam), [208], "the point of level 1 nearest to the query");
}

#[test]
fn a_window_that_is_continued_gives_every_element_once() {
    let mut graph = Line::new(300);
    let mut beam = Beam::new(Overflow::Keep);
    beam.reset(graph.id_bound(), 7).unwrap();
    beam.offer(&mut graph, &100.25, [SlotId(0)]).unwrap();
    let mut all = Vec::new();
    loop {
        beam.run(&mut graph, &100.25, 0).unwrap();
        all.extend(beam.found());
        if !beam.advance(7).unwrap() {
            break;
        }
    }
    assert_eq!(all.len(), 300);
    assert_eq!(
        all[..3].iter().map(|c| c.id.0).collect::<Vec<_>>(),
        [100, 101, 99]
    );
    let inversions = all.windows(2).filter(|pair| pair[0].key > pair[1].key).count();
    assert_eq!(inversions, 0);
    all.sort_by_key(|candidate| candidate.id);
    all.dedup_by_key(|candidate| candidate.id);
    assert_eq!(all.len(), 300);
}

#[test]
fn absent_entries_do_no_harm() {
    let mut graph = Line::new(100);
    graph.absent = vec![64, 32];
    let mut beam = Beam::new(Overflow::Drop);
    let entries = [(64, 3), (32, 1), (7, 0)].map(|(id, level)| Entry {
        id: SlotId(id),
        level,
    });
    descend(&mut beam, &mut graph, &50.0, &entries, 0, 3).unwrap();
    assert_eq!(ids(&beam), [7]);
    descend(&mut beam, &mut graph, &50.0, &entries[..2], 0, 3).unwrap();
    assert!(ids(&beam).is_empty());
    descend(&mut beam, &mut graph, &50.0, &entries, 1, 3).unwrap();
    assert!(
        ids(&beam).is_empty(),
        "an element of level 0 is no start for level 1"
    );
}

#[test]
fn an_interrupted_walk_can_go_on() {
    let mut graph = Line::new(100);
    let mut beam = Beam::new(Overflow::Keep);
    beam.reset(100, 5).unwrap();
    beam.offer(&mut graph, &50.0, [SlotId(0)]).unwrap();
    graph.checks_left = 10;
    assert!(matches!(
        beam.run(&mut graph, &50.0, 0),
        Err(IndexError::Interrupted(_))
    ));
    graph.checks_left = usize::MAX;
    beam.run(&mut graph, &50.0, 0).unwrap();
    assert_eq!(beam.found().next().map(|c| c.id.0), Some(50));
}

#[test]
fn a_beam_keeps_to_its_limit_and_completes_its_first_window() {
    // So many that the visited ones are a hash set.
    let mut graph = Line::new(1 << 24);
    for limit in [0, 40_000, 100_000, 1_000_000] {
        let mut beam = Beam::new(Overflow::Keep);
        beam.reset(graph.id_bound(), 50).unwrap();
        beam.set_limit(limit);
        beam.offer(&mut graph, &1e6, [SlotId(1_000_000)]).unwrap();
        beam.run(&mut graph, &1e6, 0).unwrap();
        assert_eq!(beam.found().len(), 50);
        let (mut windows, mut size) = (1, 50);
        let least = beam.memory_bytes();
        while beam.advance(size).unwrap() {
            beam.run(&mut graph, &1e6, 0).unwrap();
            assert!(
                beam.memory_bytes() <= limit.max(least),
                "{limit}: {}",
                beam.memory_bytes()
            );
            windows += 1;
            size = (size * 2).min(2_000);
            if windows > 100 {
                break;
            }
        }
        assert!((windows == 1) == (limit < 40_000), "{limit}: {windows}");
        assert!(windows < 100 || limit == 1_000_000);
        let seen = beam.counts();
        beam.release();
        assert_eq!((beam.memory_bytes(), beam.counts()), (0, seen));
    }
}
