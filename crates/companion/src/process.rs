//! What this process uses, from /proc and the kernel's clocks; the CPU time to the nanosecond, where
//! /proc/self/stat would round to hundredths of a second. What cannot be found out is 0.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::proto::MetricFamily;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::exposition::{counter, gauge};

/// A moment's figures.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub resident_bytes: u64,
    pub virtual_bytes: u64,
    pub threads: u64,
    pub cpu: Duration,
    pub open_fds: u64,
}

impl Usage {
    /// Of now.
    pub fn of_self() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            value.split_whitespace().next()?.parse::<u64>().ok()
        };
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Self {
            resident_bytes: line("VmRSS:").unwrap_or_default() * 1024,
            virtual_bytes: line("VmSize:").unwrap_or_default() * 1024,
            threads: line("Threads:").unwrap_or_default(),
            cpu: Duration::try_from(cpu).unwrap_or_default(),
            // Without the descriptor that reads the folder.
            open_fds: fs::read_dir("/proc/self/fd")
                .map_or(0, |entries| entries.count().saturating_sub(1) as u64),
        }
    }

    /// The usual metrics of a process.
    pub fn families(&self, started: SystemTime) -> Vec<MetricFamily> {
        let started = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut families = vec![
            counter(
                "process_cpu_seconds_total",
                "User and system CPU time that the companion has used, in seconds.",
                self.cpu.as_secs_f64(),
            ),
            gauge(
                "process_resident_memory_bytes",
                "Memory of the companion that is in RAM, shared pages included, in bytes.",
                self.resident_bytes as f64,
            ),
            gauge(
                "process_virtual_memory_bytes",
                "Address space of the companion, most of it never touched, in bytes.",
                self.virtual_bytes as f64,
            ),
            gauge(
                "process_start_time_seconds",
                "Unix time at which the companion started, in seconds.",
                started.as_secs_f64(),
            ),
            gauge(
                "process_threads",
                "Threads of the companion.",
                self.threads as f64,
            ),
            gauge(
                "process_open_fds",
                "File descriptors that the companion has open: one per HTTP connection, one for the database, about ten of its own.",
                self.open_fds as f64,
            ),
        ];
        if let Some(limit) = getrlimit(Resource::Nofile).current {
            families.push(gauge(
                "process_max_fds",
                "File descriptors that the companion may have open.",
                limit as f64,
            ));
        }
        families
    }
}
