//! Clocks and memory of this process.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What one piece of work took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

/// Runs `work` and measures it.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> (T, Spent) {
    let (wall, cpu) = (Instant::now(), cpu_time());
    let result = work();
    (
        result,
        Spent {
            wall: wall.elapsed(),
            cpu: cpu_time().saturating_sub(cpu),
        },
    )
}

/// A field of /proc/self/status in KiB, such as `VmRSS`; `None` where there is no such file.
pub(crate) fn memory_kib(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The least of ascending values that the given share of them does not exceed; none of none.
pub(crate) fn nearest_rank<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The value below which the given share of the values lies; zero of none.
pub(crate) fn percentile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    nearest_rank(values, share).unwrap_or_default()
}

/// How long calls took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(crate) struct Latencies {
    /// Calls.
    pub(crate) calls: usize,
    /// Half of them took at most this.
    pub(crate) p50_ms: f64,
    /// 95 of 100 took at most this.
    pub(crate) p95_ms: f64,
    /// 99 of 100 took at most this.
    pub(crate) p99_ms: f64,
}

impl Latencies {
    /// Of single times, which are put in order.
    pub(crate) fn of(times: &mut [Duration]) -> Self {
        let mut at = |share| percentile(times, share).as_secs_f64() * 1e3;
        let (p50_ms, p95_ms, p99_ms) = (at(0.5), at(0.95), at(0.99));
        Self {
            calls: times.len(),
            p50_ms,
            p95_ms,
            p99_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Latencies, measured, memory_kib, nearest_rank, percentile};
    use std::time::Duration;

    #[test]
    fn percentile_is_the_nearest_rank() {
        let mut values: Vec<Duration> = (1..=20).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut values, 0.5), Duration::from_millis(10));
        assert_eq!(percentile(&mut values, 0.95), Duration::from_millis(19));
        assert_eq!(percentile(&mut values, 1.0), Duration::from_millis(20));
        assert_eq!(percentile(&mut [], 0.5), Duration::ZERO);
    }

    #[test]
    fn latencies_are_milliseconds_of_calls_in_any_order() {
        let mut times: Vec<Duration> = (1..=200).rev().map(Duration::from_micros).collect();
        let latencies = Latencies::of(&mut times);
        assert_eq!(latencies.calls, 200);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(latencies.p50_ms, 0.1) && near(latencies.p95_ms, 0.19) && near(latencies.p99_ms, 0.198));
        assert_eq!(Latencies::of(&mut []).p99_ms, 0.0);
        assert_eq!(nearest_rank(&[1.5, 2.5], 0.5), Some(1.5));
        assert_eq!(nearest_rank(&[1.5, 2.5], 0.0), Some(1.5));
        assert_eq!(nearest_rank::<f64>(&[], 0.5), None);
    }

    #[test]
    fn sleeping_costs_wall_time_only() {
        // In a process of its own: the CPU time is that of all threads, and other tests run beside this one.
        const ALONE: &str = "CASTMATCH_BENCH_TEST_ALONE";
        if std::env::var_os(ALONE).is_none() {
            let status = std::env::current_exe().and_then(|program| {
                std::process::Command::new(program)
                    .args(["--exact", "measure::tests::sleeping_costs_wall_time_only"])
                    .env(ALONE, "1")
                    .stdout(std::process::Stdio::null())
                    .status()
            });
            assert!(status.is_ok_and(|status| status.success()));
            return;
        }
        let ((), spent) = measured(|| std::thread::sleep(Duration::from_millis(30)));
        assert!(spent.wall >= Duration::from_millis(30));
        assert!(spent.cpu < spent.wall);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn resident_memory_is_read() {
        assert!(memory_kib("VmRSS").is_some_and(|kib| kib > 100));
        assert_eq!(memory_kib("VmNothing"), None);
    }
}
