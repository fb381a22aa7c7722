//! Which texts share a forward pass.
//!
//! Texts of like length are computed together and a pass is bounded by its tokens, not by its texts, so that its
//! memory and the time between two interrupt checks are bounded too. Called by the model for every batch.

/// Splits texts into passes: indexes into `lengths`, shortest texts first, each index in exactly one pass.
///
/// `lengths` are tokens per text. A pass's size is its number of texts times its longest text (what it would
/// occupy if padded) and stays within `max_tokens_per_batch`; a text that alone exceeds the bound gets a pass of
/// its own, and a text of no tokens counts as one.
pub fn plan_batches(lengths: &[usize], max_tokens_per_batch: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| lengths[index]);
    let mut batches = Vec::new();
    let mut batch: Vec<usize> = Vec::new();
    for index in order {
        // Ascending order: the newest text is the longest of its pass.
        let longest = lengths[index].max(1);
        let padded = longest.checked_mul(batch.len() + 1);
        if !batch.is_empty() && padded.is_none_or(|padded| padded > max_tokens_per_batch) {
            batches.push(std::mem::take(&mut batch));
        }
        batch.push(index);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::plan_batches;

    fn padded(lengths: &[usize], batch: &[usize]) -> usize {
        batch.len()
            * batch
                .iter()
                .map(|&index| lengths[index].max(1))
                .max()
                .unwrap_or(0)
    }

    #[test]
    fn nothing_gives_no_pass() {
        assert!(plan_batches(&[], 100).is_empty());
    }

    #[test]
    fn like_lengths_share_a_pass() {
        assert_eq!(
            plan_batches(&[5, 90, 6, 91, 5], 200),
            vec![vec![0, 4, 2], vec![1, 3]]
        );
    }

    #[test]
    fn equal_lengths_keep_their_order() {
        assert_eq!(plan_batches(&[7; 5], 14), vec![vec![0, 1], vec![2, 3], vec![4]]);
    }

    #[test]
    fn a_text_beyond_the_bound_is_alone() {
        assert_eq!(plan_batches(&[300, 2, 400], 100), vec![vec![1], vec![0], vec![2]]);
        assert_eq!(
            plan_batches(&[3, 0, usize::MAX], 0),
            vec![vec![1], vec![0], vec![2]]
        );
        assert_eq!(
            plan_batches(&[usize::MAX, usize::MAX], usize::MAX),
            vec![vec![0], vec![1]]
        );
    }

    #[test]
    fn every_index_once_and_every_pass_bounded() {
        let mut state = 42u64;
        for bound in [1, 16, 257, 1024] {
            let lengths: Vec<usize> = (0..500)
                .map(|_| {
                    state = state
                        .wrapping_mul(6364136223846793005)
                        .wrapping_add(1442695040888963407);
                    (state >> 33) as usize % 257
                })
                .collect();
            let batches = plan_batches(&lengths, bound);
            let mut seen: Vec<usize> = batches.concat();
            let in_order: Vec<usize> = seen.iter().map(|&index| lengths[index]).collect();
            assert!(in_order.is_sorted());
            seen.sort_unstable();
            assert_eq!(seen, (0..500).collect::<Vec<_>>());
            for batch in &batches {
                assert!(batch.len() == 1 || padded(&lengths, batch) <= bound);
            }
        }
    }
}
