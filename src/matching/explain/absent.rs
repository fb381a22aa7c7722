//! Why a row is not in a result.

use super::Explained;
use castmatch_engine::filter::describe;
use castmatch_engine::fusion::Mode;
use castmatch_engine::reasons::{Reason, WhyNot, why_not};

impl Explained<'_> {
    /// Everything that keeps the row out; nothing if it is in the result.
    pub(super) fn why_not(&self, exact_rank: Option<i64>) -> Vec<Reason> {
        if self.is_returned() {
            return Vec::new();
        }
        let mut reasons: Vec<Reason> = Vec::new();
        let conditions = self.checked.conjuncts.iter().zip(&self.row.holds);
        for (conjunct, _) in conditions.filter(|(_, holds)| !**holds) {
            let condition = describe(&conjunct.filter).join(" and ");
            let tested = conjunct
                .test
                .as_ref()
                .map(|test| (test.column.as_str(), self.value_of(&test.column)));
            reasons.push(why_not(&WhyNot::FilterFailed {
                condition: &condition,
                tested,
            }));
        }
        reasons.extend(self.what_it_lacks());
        match self.place {
            None if reasons.is_empty() => reasons.push(why_not(&WhyNot::BeyondCandidates {
                semantic_rank: exact_rank,
                candidates: self.ranking.legs.candidates,
            })),
            None => {}
            Some(place) => reasons.push(self.outranked(place)),
        }
        reasons
    }

    /// An embedding, a word, likeness enough: what a candidate must have.
    fn what_it_lacks(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let search = self.checked.search;
        if let (Some(state), true) = (self.state, search.mode != Mode::Text) {
            reasons.push(why_not(&WhyNot::NotEmbedded { state: state.name() }));
        }
        let shares_no_word = self.values.words.iter().all(Vec::is_empty);
        // Where meaning counts too, its words are not what keeps a row out.
        if shares_no_word
            && (search.mode == Mode::Text || (search.mode == Mode::Hybrid && self.state.is_some()))
        {
            reasons.push(why_not(&WhyNot::NoCommonWord));
        }
        if let (Some(bound), Some(similarity)) = (search.options.min_similarity, self.values.similarity)
            && similarity < bound
        {
            reasons.push(why_not(&WhyNot::BelowMinSimilarity { similarity, bound }));
        }
        reasons
    }

    fn outranked(&self, place: usize) -> Reason {
        let returned = self.returned();
        if place < returned.start {
            return why_not(&WhyNot::SkippedByOffset {
                position: place + 1,
                offset: returned.start,
            });
        }
        let by_score = self.place_by_score().unwrap_or(place);
        if by_score < returned.end {
            return why_not(&WhyNot::RemovedByDiversity {
                position: by_score + 1,
                last: returned.end,
            });
        }
        let last = returned
            .end
            .checked_sub(1)
            .and_then(|last| self.ranking.order.get(last));
        why_not(&WhyNot::Outranked {
            position: place + 1,
            last: returned.end,
            score: self.scored().map_or(0.0, |scored| scored.score),
            last_score: last.map(|scored| scored.score),
        })
    }
}
