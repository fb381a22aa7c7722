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

/// The value below which the given share of the values lies; zero of none.
pub(crate) fn percentile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{measured, memory_kib, percentile};
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
