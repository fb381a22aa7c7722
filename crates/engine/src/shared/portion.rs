//! Which texts the embedding worker computes next.
//!
//! Work is done in portions of a bounded number of tokens. Requests come in order of urgency, then of arrival; a portion never
//! mixes urgencies, so that a user who waits does not wait for background texts as well.

use crate::shared::embedder::Urgency;

/// A text of a request: its index there and its length in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Index of the text in its request.
    pub index: usize,
    /// Length in tokens.
    pub tokens: usize,
}

/// What a request still has to do.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Who waits for it.
    pub urgency: Urgency,
    /// Order of arrival.
    pub sequence: u64,
    /// Texts to do, longest first: texts of like length follow each other, and they are taken from the end.
    remaining: Vec<Item>,
}

impl Pending {
    /// A request of texts with these lengths in tokens.
    pub fn new(urgency: Urgency, sequence: u64, lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut remaining: Vec<Item> = lengths
            .into_iter()
            .enumerate()
            .map(|(index, tokens)| Item { index, tokens })
            .collect();
        remaining.sort_by_key(|item| std::cmp::Reverse(item.tokens));
        Self {
            urgency,
            sequence,
            remaining,
        }
    }

    /// Whether every text was handed out.
    pub fn is_done(&self) -> bool {
        self.remaining.is_empty()
    }

    /// The order in which requests are served.
    pub fn order(&self) -> (Urgency, u64) {
        (self.urgency, self.sequence)
    }
}

/// Takes the next portion off the requests, which must be in [`Pending::order`]: pairs of the request's place and the text's
/// index. At least one text, whatever its length, and no more than `max_tokens` otherwise.
pub fn next<'a>(
    requests: impl IntoIterator<Item = &'a mut Pending>,
    max_tokens: usize,
) -> Vec<(usize, usize)> {
    let mut portion = Vec::new();
    let mut tokens: usize = 0;
    let mut urgency = None;
    for (place, request) in requests.into_iter().enumerate() {
        if request.is_done() {
            continue;
        }
        if *urgency.get_or_insert(request.urgency) != request.urgency {
            break;
        }
        while let Some(&item) = request.remaining.last() {
            tokens = tokens.saturating_add(item.tokens);
            if !portion.is_empty() && tokens > max_tokens {
                return portion;
            }
            request.remaining.pop();
            portion.push((place, item.index));
        }
    }
    portion
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_waiting_user_goes_first_and_alone() {
        let mut requests = vec![
            Pending::new(Urgency::Background, 1, [5; 100]),
            Pending::new(Urgency::Interactive, 9, [7]),
        ];
        requests.sort_by_key(Pending::order);
        assert_eq!(next(&mut requests, 512), [(0, 0)]);
        let background = next(&mut requests, 512);
        assert_eq!(background.len(), 100);
        assert!(background.iter().all(|&(place, _)| place == 1));
        assert!(next(&mut requests, 512).is_empty());
    }

    #[test]
    fn a_text_longer_than_a_portion_is_a_portion() {
        let mut requests = vec![Pending::new(Urgency::Background, 1, [900, 10, 800])];
        assert_eq!(next(&mut requests, 512), [(0, 1)]);
        assert_eq!(next(&mut requests, 512), [(0, 2)]);
        assert_eq!(next(&mut requests, 512), [(0, 0)]);
    }

    proptest! {
        #[test]
        fn every_text_is_handed_out_once(
            lengths in proptest::collection::vec(proptest::collection::vec(0_usize..300, 0..40), 1..6),
            max_tokens in 1_usize..600,
        ) {
            let mut requests: Vec<Pending> = lengths
                .iter()
                .enumerate()
                .map(|(sequence, lengths)| {
                    let urgency = if sequence % 2 == 0 { Urgency::Interactive } else { Urgency::Background };
                    Pending::new(urgency, sequence as u64, lengths.iter().copied())
                })
                .collect();
            requests.sort_by_key(Pending::order);
            let mut seen = std::collections::BTreeSet::new();
            loop {
                let portion = next(&mut requests, max_tokens);
                if portion.is_empty() {
                    break;
                }
                for pair in portion {
                    prop_assert!(seen.insert(pair), "{pair:?} twice");
                }
            }
            prop_assert_eq!(seen.len(), lengths.iter().map(Vec::len).sum::<usize>());
            prop_assert!(requests.iter().all(Pending::is_done));
        }
    }
}
