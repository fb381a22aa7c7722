//! The state of `avg(vector)`: an array of doubles `[count, sum of element 1, sum of element 2, …]`.
//!
//! The state is a `double precision[]` in SQL, so that PostgreSQL can combine the states of parallel workers.
//! A state of count 0 has seen no vector and may lack the sums.

use super::ops::element_from_f32;
use super::{Element, VectorError};

fn split(state: &[f64]) -> Result<(f64, &[f64]), VectorError> {
    // Sums of finite elements that did not overflow, and a count: anything else was made by hand.
    state
        .split_first()
        .filter(|(count, sums)| **count >= 0.0 && count.is_finite() && sums.iter().all(|sum| sum.is_finite()))
        .map(|(count, sums)| (*count, sums))
        .ok_or(VectorError::InvalidState)
}

fn check_dimensions(expected: usize, actual: usize) -> Result<(), VectorError> {
    if expected == actual {
        Ok(())
    } else {
        Err(VectorError::UnexpectedDimensions { expected, actual })
    }
}

fn sum(a: f64, b: f64) -> Result<f64, VectorError> {
    let sum = a + b;
    if sum.is_infinite() {
        Err(VectorError::Overflow)
    } else {
        Ok(sum)
    }
}

/// The state after one more vector; `None` is the state before the first.
///
/// # Errors `UnexpectedDimensions` if the vector has not as many dimensions as those before it, `Overflow`,
/// `InvalidState`.
pub fn accumulate<T: Element>(state: Option<&[f64]>, vector: &[T]) -> Result<Vec<f64>, VectorError> {
    let mut next = state.unwrap_or(&[0.0]).to_vec();
    accumulate_in_place(&mut next, vector)?;
    Ok(next)
}

/// Adds one vector to a state, without copying the state.
///
/// # Errors
/// As [`accumulate`]; the state is then not to be used any more.
pub fn accumulate_in_place<T: Element>(state: &mut Vec<f64>, vector: &[T]) -> Result<(), VectorError> {
    let (count, sums) = split(state)?;
    if count == 0.0 {
        state.truncate(0);
        state
            .try_reserve(1 + vector.len())
            .map_err(|_| VectorError::OutOfMemory)?;
        state.push(1.0);
        state.extend(vector.iter().map(|element| f64::from(element.to_f32())));
        return Ok(());
    }
    check_dimensions(sums.len(), vector.len())?;
    let ones_and_elements =
        std::iter::once(1.0).chain(vector.iter().map(|element| f64::from(element.to_f32())));
    for (total, addend) in state.iter_mut().zip(ones_and_elements) {
        *total = sum(*total, addend)?;
    }
    Ok(())
}

/// The state of all vectors that went into either state.
///
/// # Errors
/// `UnexpectedDimensions`, `Overflow`, `InvalidState`.
pub fn combine(a: &[f64], b: &[f64]) -> Result<Vec<f64>, VectorError> {
    let (count_a, sums_a) = split(a)?;
    let (count_b, sums_b) = split(b)?;
    if count_a == 0.0 {
        return Ok(b.to_vec());
    }
    if count_b == 0.0 {
        return Ok(a.to_vec());
    }
    check_dimensions(sums_a.len(), sums_b.len())?;
    a.iter().zip(b).map(|(x, y)| sum(*x, *y)).collect()
}

/// The average of all vectors of a state; `None` if there were none.
///
/// # Errors `InvalidState`, and for states that did not come from this module: `NoDimensions`,
/// `TooManyDimensions`, `NotANumber`, `Infinite`, `OutOfRange`.
pub fn average<T: Element>(state: &[f64]) -> Result<Option<Vec<T>>, VectorError> {
    let (count, sums) = split(state)?;
    if count == 0.0 {
        return Ok(None);
    }
    super::ops::check_length::<T>(sums.len())?;
    sums.iter()
        .map(|total| element_from_f32((total / count) as f32))
        .collect::<Result<_, _>>()
        .map(Some)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use half::f16;

    #[test]
    fn the_average_of_a_parallel_scan_is_that_of_a_serial_one() {
        let vectors = [[1.0_f32, 10.0], [2.0, 20.0], [6.0, 60.0]];
        let serial = vectors.iter().fold(None, |state: Option<Vec<f64>>, vector| {
            Some(accumulate(state.as_deref(), vector).unwrap())
        });
        let serial = serial.unwrap();
        assert_eq!(serial, [3.0, 9.0, 90.0]);

        let first = accumulate(None, &[1.0_f32, 10.0]).unwrap();
        let second = accumulate(
            Some(&accumulate(Some(&[0.0]), &[2.0_f32, 20.0]).unwrap()),
            &[6.0_f32, 60.0],
        )
        .unwrap();
        assert_eq!(combine(&first, &second).unwrap(), serial);
        assert_eq!(
            combine(&[0.0], &combine(&serial, &[0.0]).unwrap()).unwrap(),
            serial
        );
        assert_eq!(average::<f32>(&serial).unwrap(), Some(vec![3.0, 30.0]));
        assert_eq!(
            average::<f16>(&serial).unwrap(),
            Some(vec![f16::from_f32(3.0), f16::from_f32(30.0)])
        );
    }

    #[test]
    fn no_vectors_have_no_average() {
        assert_eq!(average::<f32>(&[0.0]).unwrap(), None);
        assert_eq!(average::<f32>(&[0.0, 4.0]).unwrap(), None);
        assert_eq!(combine(&[0.0], &[0.0]).unwrap(), [0.0]);
    }

    #[test]
    fn states_and_vectors_of_other_dimensions_are_refused() {
        let expected = |expected, actual| VectorError::UnexpectedDimensions { expected, actual };
        assert_eq!(
            accumulate(Some(&[1.0, 2.0, 3.0]), &[1.0_f32, 2.0, 3.0]),
            Err(expected(2, 3))
        );
        assert_eq!(combine(&[1.0, 2.0], &[3.0, 4.0, 5.0]), Err(expected(1, 2)));
        // A state of count 0 has no dimensions.
        assert_eq!(combine(&[0.0, 2.0], &[3.0, 4.0, 5.0]).unwrap(), [3.0, 4.0, 5.0]);
        assert_eq!(
            accumulate(Some(&[0.0, 2.0]), &[1.0_f32, 7.0]).unwrap(),
            [1.0, 1.0, 7.0]
        );
    }

    #[test]
    fn states_that_users_make_up_are_refused() {
        assert_eq!(
            combine(&[1.0, 1.7e308], &[1.0, 1.7e308]),
            Err(VectorError::Overflow)
        );
        assert_eq!(
            accumulate::<f32>(Some(&[]), &[1.0]),
            Err(VectorError::InvalidState)
        );
        assert_eq!(combine(&[], &[0.0]), Err(VectorError::InvalidState));
        assert_eq!(average::<f32>(&[]), Err(VectorError::InvalidState));
        assert_eq!(
            average::<f32>(&[1.0]),
            Err(VectorError::NoDimensions { type_name: "vector" })
        );
        assert_eq!(
            average::<f32>(&vec![1.0; 16_002]),
            Err(VectorError::TooManyDimensions {
                type_name: "vector",
                limit: crate::vector::MAX_DIMENSIONS
            })
        );
        assert_eq!(
            average::<f32>(&[2.0, 1e300]),
            Err(VectorError::Infinite { type_name: "vector" })
        );
        for made_up in [
            [1.0, f64::NAN],
            [1.0, f64::INFINITY],
            [-1.0, 1.0],
            [f64::NAN, 1.0],
            [f64::INFINITY, 1.0],
        ] {
            assert_eq!(
                average::<f32>(&made_up),
                Err(VectorError::InvalidState),
                "{made_up:?}"
            );
        }
        let error = average::<f16>(&[1.0, 65520.0]).unwrap_err();
        assert_eq!(error.to_string(), "\"65520\" is out of range for type halfvec");
    }
}
