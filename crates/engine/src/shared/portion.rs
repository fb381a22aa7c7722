//! Which texts the embedding worker computes next.
//!
//! Work is done in portions of a bounded number of tokens. Requests come in order of urgency, then of arrival; a portion never
//! mixes urgencies, so that a user who waits does not wait for background texts as well, nor models. One portion in
//! [`BACKGROUND_SHARE`] is for background texts first, so that users who ask without pause do not stop those for ever.

use crate::shared::embedder::Urgency;

/// One portion in so many goes to background texts while users wait.
pub const BACKGROUND_SHARE: u64 = 8;

/// The urgency that the portion of that number, counted from 0, is for if there is any work of it.
pub fn first_choice(number: u64) -> Urgency {
    if number % BACKGROUND_SHARE == BACKGROUND_SHARE - 1 {
        Urgency::Background
    } else {
        Urgency::Interactive
    }
}

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
    /// Place of the model in the table of models.
    pub model: usize,
    /// Who waits for it.
    pub urgency: Urgency,
    /// Order of arrival.
    pub sequence: u64,
    /// Texts to do, longest first: texts of like length follow each other, and they are taken from the end.
    remaining: Vec<Item>,
}

impl Pending {
    /// A request to a model of texts with these lengths in tokens.
    pub fn new(
        model: usize,
        urgency: Urgency,
        sequence: u64,
        lengths: impl IntoIterator<Item = usize>,
    ) -> Self {
        let mut remaining: Vec<Item> = lengths
            .into_iter()
            .enumerate()
            .map(|(index, tokens)| Item { index, tokens })
            .collect();
        remaining.sort_by_key(|item| std::cmp::Reverse(item.tokens));
        Self {
            model,
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
/// index. Its texts are of the urgency `first` if there is work of it, else of the other, and for the model of the request among them that
/// comes first. At least one text, whatever its length, and no more than `max_tokens` otherwise.
pub fn next(requests: &mut [&mut Pending], first: Urgency, max_tokens: usize) -> Vec<(usize, usize)> {
    let waits = |urgency| {
        requests
            .iter()
            .any(|request| request.urgency == urgency && !request.is_done())
    };
    let urgency = match first {
        _ if waits(first) => first,
        Urgency::Interactive => Urgency::Background,
        Urgency::Background => Urgency::Interactive,
    };
    let mut portion = Vec::new();
    let mut tokens: usize = 0;
    let mut model = None;
    for (place, request) in requests
        .iter_mut()
        .enumerate()
        .filter(|(_, request)| request.urgency == urgency && !request.is_done())
    {
        if *model.get_or_insert(request.model) != request.model {
            continue;
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

    fn next(requests: &mut [Pending], first: Urgency, max_tokens: usize) -> Vec<(usize, usize)> {
        super::next(&mut requests.iter_mut().collect::<Vec<_>>(), first, max_tokens)
    }

    #[test]
    fn a_waiting_user_goes_first_and_alone() {
        let mut requests = vec![
            Pending::new(0, Urgency::Background, 1, [5; 100]),
            Pending::new(0, Urgency::Interactive, 9, [7]),
        ];
        requests.sort_by_key(Pending::order);
        assert_eq!(next(&mut requests, Urgency::Interactive, 512), [(0, 0)]);
        let background = next(&mut requests, Urgency::Interactive, 512);
        assert_eq!(background.len(), 100);
        assert!(background.iter().all(|&(place, _)| place == 1));
        assert!(next(&mut requests, Urgency::Interactive, 512).is_empty());
    }

    #[test]
    fn background_texts_have_their_share_beside_users_who_never_pause() {
        let mut requests = vec![
            Pending::new(0, Urgency::Interactive, 9, [500; 100]),
            Pending::new(0, Urgency::Background, 1, [500; 3]),
        ];
        let places: Vec<usize> = (0..3 * BACKGROUND_SHARE)
            .filter_map(|number| {
                next(&mut requests, first_choice(number), 512)
                    .first()
                    .map(|&(place, _)| place)
            })
            .collect();
        assert_eq!(places.iter().filter(|&&place| place == 1).count(), 3);
        assert_eq!(places.len() as u64, 3 * BACKGROUND_SHARE);
    }

    #[test]
    fn models_take_turns_by_the_order_of_arrival() {
        let mut requests: Vec<Pending> = [(0, 100), (1, 100), (0, 500), (1, 100), (2, 100)]
            .into_iter()
            .zip(0..)
            .map(|((model, tokens), sequence)| Pending::new(model, Urgency::Interactive, sequence, [tokens]))
            .collect();
        assert_eq!(next(&mut requests, Urgency::Interactive, 512), [(0, 0)]);
        assert_eq!(next(&mut requests, Urgency::Interactive, 512), [(1, 0), (3, 0)]);
        assert_eq!(next(&mut requests, Urgency::Interactive, 512), [(2, 0)]);
        assert_eq!(next(&mut requests, Urgency::Interactive, 512), [(4, 0)]);
    }

    #[test]
    fn a_text_longer_than_a_portion_is_a_portion() {
        let mut requests = vec![Pending::new(0, Urgency::Background, 1, [900, 10, 800])];
        for index in [1, 2, 0] {
            assert_eq!(next(&mut requests, Urgency::Interactive, 512), [(0, index)]);
        }
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
                    Pending::new(sequence % 3, urgency, sequence as u64, lengths.iter().copied())
                })
                .collect();
            requests.sort_by_key(Pending::order);
            let mut seen = std::collections::BTreeSet::new();
            for number in 0.. {
                let portion = next(&mut requests, first_choice(number), max_tokens);
                if portion.is_empty() {
                    break;
                }
                let models: std::collections::BTreeSet<usize> = portion
                    .iter()
                    .filter_map(|&(place, _)| requests.get(place).map(|request| request.model))
                    .collect();
                prop_assert_eq!(models.len(), 1);
                for pair in portion {
                    prop_assert!(seen.insert(pair), "{pair:?} twice");
                }
            }
            prop_assert_eq!(seen.len(), lengths.iter().map(Vec::len).sum::<usize>());
            prop_assert!(requests.iter().all(Pending::is_done));
        }
    }
}
