//! Passes again and again. The time to the next one runs from the end of the one before, by the monotonic clock: neither a
//! clock that is set nor a pass that took long makes passes pile up, and a failed one is tried again at the next time.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use super::instruments::Instruments;
use super::stop::Stop;
use super::{Settings, run_pass};

/// Runs until the stop. The first pass comes within the jitter: a companion that is restarted more often than it prunes
/// would otherwise never do so.
pub async fn run(settings: Settings, every: Duration, instruments: Option<Instruments>, mut stop: Stop) {
    let mut pause = jitter(settings.jitter);
    while !stop.requested_within(pause).await {
        let pass = run_pass(&settings, false, &mut stop).await;
        if let Some(instruments) = &instruments {
            instruments.observe(&pass);
        }
        pause = every.saturating_add(jitter(settings.jitter));
    }
}

/// A random time up to `most`.
fn jitter(most: Duration) -> Duration {
    // The standard library seeds each hasher at random.
    let random = std::hash::RandomState::new().build_hasher().finish();
    most.mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_spread_up_to_the_jitter() {
        let most = Duration::from_secs(10);
        let delays: Vec<Duration> = (0..200).map(|_| jitter(most)).collect();
        assert!(delays.iter().all(|&delay| delay <= most));
        assert!(delays.iter().any(|&delay| delay < most / 4));
        assert!(delays.iter().any(|&delay| delay > most / 4 * 3));
        assert_eq!(jitter(Duration::ZERO), Duration::ZERO);
    }
}
