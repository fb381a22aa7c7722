//! Recall: how many of the nearest rows an index found.

/// Distances that differ by less are the same: two ways to compute one distance round differently.
const SAME: f64 = 1e-6;

/// The share of the nearest rows that were found, 0 to 1: `exact` are the distances of the nearest ones in ascending order, `found` those
/// of the rows that the index gave. A row as far away as the last of the nearest is as good as that one. 1 if there are no rows.
#[allow(clippy::cast_precision_loss)] // Numbers of rows are far below 2^53.
#[must_use]
pub fn by_distance(exact: &[f64], found: &[f64]) -> f64 {
    let Some(&farthest) = exact.last() else {
        return 1.0;
    };
    let near = found
        .iter()
        .filter(|&&distance| distance <= farthest + SAME)
        .count();
    near.min(exact.len()) as f64 / exact.len() as f64
}

#[cfg(test)]
mod tests {
    use super::by_distance;

    #[test]
    fn rows_farther_than_the_last_of_the_nearest_are_missed_ones() {
        let exact = [0.1, 0.2, 0.3, 0.4];
        assert_eq!(by_distance(&exact, &exact), 1.0);
        assert_eq!(by_distance(&exact, &[0.1, 0.2, 0.4, 0.5]), 0.75);
        assert_eq!(by_distance(&exact, &[0.1]), 0.25);
        assert_eq!(by_distance(&exact, &[]), 0.0);
    }

    #[test]
    fn rows_as_far_as_the_last_one_count() {
        let exact = [0.1, 0.2, 0.2];
        // Five rows are 0.2 away; whichever of them comes is right.
        assert_eq!(by_distance(&exact, &[0.1, 0.2, 0.2 + 1e-9]), 1.0);
        assert_eq!(by_distance(&exact, &[0.2, 0.2, 0.2, 0.2, 0.2]), 1.0);
    }

    #[test]
    fn of_no_rows_none_is_missed() {
        assert_eq!(by_distance(&[], &[]), 1.0);
    }
}
