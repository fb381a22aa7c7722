//! Searches find what they must after deletions.

use super::fixture::{Fixture, Shape};
use crate::index::Metric;

/// The recipe of pgvector's test of recall after vacuum: 10 000 rows of 3 dimensions, m 4, ef_construction 8, and three quarters
/// deleted.
#[test]
fn recall_after_three_quarters_are_deleted() {
    for seed in 1..=3 {
        let mut fixture = Fixture::random(Shape::small(3), 10_000, seed);
        let before: Vec<f64> = [20, 40].iter().map(|ef| fixture.recall(20, *ef, 100, 7)).collect();
        fixture.delete(|row| row >= 2_500);
        let stats = fixture.vacuum().unwrap();
        assert_eq!((stats.rows_removed, stats.slots_freed), (7_500, 7_500));
        fixture.assert_clean();
        let after: Vec<f64> = [20, 40].iter().map(|ef| fixture.recall(20, *ef, 100, 7)).collect();
        let mut fresh = Fixture::build(Shape::small(3), fixture.rows.clone());
        let built: Vec<f64> = [20, 40].iter().map(|ef| fresh.recall(20, *ef, 100, 7)).collect();
        println!("before {before:?} after {after:?} fresh {built:?} {stats:?}");
        println!("{:#?}", fixture.verify().checks);
        assert!(after[1] >= 0.95, "recall {after:?}");
    }
    let _ = Metric::L2;
}
