//! The wish to stop, as a value that every wait can look at.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// Told once, seen by all clones.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// Tells it; dropping it tells it too.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stop {
    /// Both ends.
    #[must_use]
    pub fn channel() -> (Stopper, Self) {
        let (sender, receiver) = watch::channel(false);
        (Stopper(sender), Self(receiver))
    }

    /// A stop that comes when `signal` completes, which the runtime waits for.
    #[must_use]
    pub fn on(signal: impl Future<Output = ()> + Send + 'static) -> Self {
        let (stopper, stop) = Self::channel();
        tokio::spawn(async move {
            signal.await;
            stopper.stop();
        });
        stop
    }

    /// Waits for it.
    pub async fn requested(&mut self) {
        // An error says that the other end is gone, which is a stop too.
        let _ = self.0.wait_for(|&stop| stop).await;
    }

    /// Waits for it for so long; whether it came.
    pub async fn requested_within(&mut self, limit: Duration) -> bool {
        timeout(limit, self.requested()).await.is_ok()
    }
}

impl Stopper {
    /// Tells it.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}
