//! What calls of models use, what that costs, and what a budget leaves.

use std::ops::AddAssign;

/// What tokens cost, per million.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// Of prompts.
    pub prompt: f64,
    /// Of completions.
    pub completion: f64,
}

/// What calls used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Calls.
    pub requests: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of completions.
    pub completion_tokens: u64,
    /// What they cost, in millionths of the price's unit.
    pub cost_micros: u64,
}

impl AddAssign for Used {
    fn add_assign(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.failed = self.failed.saturating_add(other.failed);
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(other.completion_tokens);
        self.cost_micros = self.cost_micros.saturating_add(other.cost_micros);
    }
}

impl Price {
    /// What tokens cost, in millionths of the price's unit. A price of 1 per million tokens is a millionth for each.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a conversion of a float saturates; token counts of this size are exact enough"
    )]
    pub fn cost_micros(&self, prompt_tokens: u64, completion_tokens: u64) -> u64 {
        let cost = prompt_tokens as f64 * self.prompt + completion_tokens as f64 * self.completion;
        cost.round() as u64
    }
}

/// The day of a moment, as days since 1970-01-01, UTC.
pub fn day(seconds_since_1970: u64) -> u32 {
    u32::try_from(seconds_since_1970 / 86_400).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_per_million_tokens() {
        let price = Price {
            prompt: 2.5,
            completion: 10.0,
        };
        // A million of each costs 12.5 units.
        assert_eq!(price.cost_micros(1_000_000, 1_000_000), 12_500_000);
        assert_eq!(price.cost_micros(1, 0), 3);
        assert_eq!(Price::default().cost_micros(u64::MAX, u64::MAX), 0);
        assert_eq!(price.cost_micros(u64::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn amounts_add_up_and_do_not_overflow() {
        let mut sum = Used {
            requests: 1,
            prompt_tokens: u64::MAX,
            ..Used::default()
        };
        sum += Used {
            requests: 2,
            failed: 1,
            prompt_tokens: 5,
            completion_tokens: 7,
            cost_micros: 9,
        };
        let expected = Used {
            requests: 3,
            failed: 1,
            prompt_tokens: u64::MAX,
            completion_tokens: 7,
            cost_micros: 9,
        };
        assert_eq!(sum, expected);
    }

    #[test]
    fn days_begin_at_midnight_utc() {
        assert_eq!((day(86_399), day(86_400)), (0, 1));
    }
}
