//! Which synsets become rows, which queries, and which tokens are taken: decided by position alone, without chance.
//!
//! Every choice of n out of N takes them at even distances ([`picked`]), because WordNet is sorted by subject. Held-out
//! synsets give a query to every data set and a row to none.

use std::ops::Range;

/// Whether position `index` of `total` is among the `wanted` that lie evenly spread over all.
pub(crate) fn picked(index: usize, total: usize, wanted: usize) -> bool {
    let before = |index: usize| index as u128 * wanted.min(total) as u128 / total.max(1) as u128;
    before(index + 1) > before(index)
}

/// `limit` of the values, evenly spread; all without a limit.
pub(crate) fn spread<T>(values: Vec<T>, limit: Option<usize>) -> Vec<T> {
    let (total, wanted) = (values.len(), limit.unwrap_or(usize::MAX));
    values
        .into_iter()
        .enumerate()
        .filter(|&(index, _)| picked(index, total, wanted))
        .map(|(_, value)| value)
        .collect()
}

/// What becomes of the synsets.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Tokens of each synset's text, special ones not counted.
    lengths: Vec<usize>,
    queries: usize,
    tokens: usize,
    /// For every synset the rows and the tokens of rows that come before it; one entry more than synsets.
    before: Vec<Before>,
}

/// What stands before a synset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Before {
    /// Rows: synsets that are not held out.
    pub(crate) rows: usize,
    /// Queries: synsets that are held out.
    pub(crate) queries: usize,
    /// Tokens of rows, taken or not.
    all_tokens: usize,
}

impl Plan {
    /// For synsets whose texts have `lengths` tokens: `queries` of them are held out, and at most `tokens` tokens of the
    /// others are taken.
    pub(crate) fn new(lengths: Vec<usize>, queries: usize, tokens: usize) -> Self {
        let mut before = Vec::with_capacity(lengths.len() + 1);
        let mut sum = Before::default();
        before.push(sum);
        for (index, length) in lengths.iter().enumerate() {
            if picked(index, lengths.len(), queries) {
                sum.queries += 1;
            } else {
                sum.rows += 1;
                sum.all_tokens += length;
            }
            before.push(sum);
        }
        Self {
            queries: sum.queries,
            tokens: tokens.min(sum.all_tokens),
            lengths,
            before,
        }
    }

    /// Number of synsets.
    pub(crate) fn synsets(&self) -> usize {
        self.lengths.len()
    }

    /// Rows and queries before a synset.
    pub(crate) fn before(&self, synset: usize) -> Before {
        self.before
            .get(synset)
            .or(self.before.last())
            .copied()
            .unwrap_or_default()
    }

    /// All rows, all queries.
    pub(crate) fn totals(&self) -> Before {
        self.before(self.synsets())
    }

    /// All tokens that are taken.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Tokens taken of the synsets before this one.
    pub(crate) fn tokens_before(&self, synset: usize) -> usize {
        let all = self.totals().all_tokens;
        (self.before(synset).all_tokens as u128 * self.tokens as u128 / all.max(1) as u128) as usize
    }

    /// Whether the synset is a query.
    pub(crate) fn is_query(&self, synset: usize) -> bool {
        picked(synset, self.synsets(), self.queries)
    }

    /// Positions, among the tokens of the synset's text, of those that are taken: of a held-out one a single token.
    pub(crate) fn taken(&self, synset: usize) -> Vec<usize> {
        let length = self.lengths.get(synset).copied().unwrap_or(0);
        if self.is_query(synset) {
            // A multiplicative hash, so that the positions do not follow the order of the synsets.
            let mixed = (synset as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
            return (length > 0)
                .then(|| mixed as usize % length.max(1))
                .into_iter()
                .collect();
        }
        let first = self.before(synset).all_tokens;
        let all = self.totals().all_tokens;
        let tokens: Range<usize> = 0..length;
        tokens
            .filter(|position| picked(first + position, all, self.tokens))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Plan, picked};

    #[test]
    fn as_many_are_picked_as_are_wanted_at_even_distances() {
        for (total, wanted) in [(10, 3), (117_659, 1000), (5, 5), (5, 9), (7, 0), (1, 1)] {
            let chosen: Vec<usize> = (0..total).filter(|&index| picked(index, total, wanted)).collect();
            assert_eq!(chosen.len(), wanted.min(total));
            let gaps: Vec<usize> = chosen
                .iter()
                .zip(chosen.iter().skip(1))
                .map(|(a, b)| b - a)
                .collect();
            let (least, most) = (gaps.iter().min(), gaps.iter().max());
            assert!(least.zip(most).is_none_or(|(least, most)| most - least <= 1));
        }
    }

    #[test]
    fn rows_queries_and_tokens_add_up() {
        let lengths: Vec<usize> = (0..1000).map(|index| 1 + index * 7 % 40).collect();
        let plan = Plan::new(lengths.clone(), 50, 3000);
        assert_eq!((plan.totals().rows, plan.totals().queries), (950, 50));
        assert_eq!(plan.tokens(), 3000);
        let mut taken = 0;
        for (synset, &length) in lengths.iter().enumerate() {
            let positions = plan.taken(synset);
            assert!(positions.iter().all(|&position| position < length));
            if plan.is_query(synset) {
                assert_eq!(positions.len(), 1);
            } else {
                assert_eq!(plan.tokens_before(synset), taken);
                taken += positions.len();
            }
        }
        assert_eq!(taken, 3000);
        assert_eq!(plan.tokens_before(1000), 3000);
    }

    #[test]
    fn all_tokens_are_taken_when_there_are_too_few() {
        let plan = Plan::new(vec![3, 4, 5], 1, 1000);
        let rows: Vec<usize> = (0..3).filter(|&synset| !plan.is_query(synset)).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(
            plan.tokens(),
            rows.iter().map(|&synset| plan.taken(synset).len()).sum::<usize>()
        );
    }
}
