//! Peak memory of a build: what its backend, its parallel workers and the server's dynamic shared memory hold.
//!
//! The high-water mark of a process (`VmHWM`) would count shared_buffers as far as the process has touched them, in
//! every process again. So the anonymous memory of the processes (`RssAnon`) and the files of PostgreSQL's dynamic
//! shared memory in /dev/shm are added up every 20 ms; the peak is what they exceed their sum at the start by.

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(20);

/// Runs `work` in backend `backend` of the server `postmaster`; gives its result and the peak in MiB.
pub(crate) fn peak_mib<T>(postmaster: Option<u32>, backend: u32, work: impl FnOnce() -> T) -> (T, f64) {
    let stop = AtomicBool::new(false);
    let first = sum_kib(postmaster, backend);
    std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = first;
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(INTERVAL);
                peak = peak.max(sum_kib(postmaster, backend));
            }
            peak
        });
        let result = work();
        stop.store(true, Ordering::Relaxed);
        let peak = sampler.join().unwrap_or(first);
        (result, peak.saturating_sub(first) as f64 / 1024.0)
    })
}

fn sum_kib(postmaster: Option<u32>, backend: u32) -> u64 {
    let workers = postmaster.map_or_else(Vec::new, |postmaster| {
        children(postmaster)
            .into_iter()
            .filter(|&pid| is_worker_of(pid, backend))
            .collect()
    });
    let processes = std::iter::once(backend).chain(workers);
    processes.filter_map(anonymous_kib).sum::<u64>() + shared_kib()
}

/// Process ids of the children of a process.
fn children(parent: u32) -> Vec<u32> {
    let tasks = format!("/proc/{parent}/task/{parent}/children");
    std::fs::read_to_string(tasks)
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// Parallel workers call themselves "postgres: parallel worker for PID n".
fn is_worker_of(pid: u32, backend: u32) -> bool {
    let title = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let title = String::from_utf8_lossy(&title);
    title
        .trim_end_matches(['\0', ' '])
        .ends_with(&format!("parallel worker for PID {backend}"))
}

fn anonymous_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn shared_kib() -> u64 {
    let Ok(entries) = std::fs::read_dir("/dev/shm") else {
        return 0;
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("PostgreSQL."))
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.blocks() * 512 / 1024)
        .sum()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{anonymous_kib, children, peak_mib};

    #[test]
    fn what_a_process_allocates_is_seen() {
        let me = std::process::id();
        let (length, peak) = peak_mib(None, me, || {
            let block = vec![1u8; 64 << 20];
            std::thread::sleep(std::time::Duration::from_millis(100));
            std::hint::black_box(&block).len()
        });
        assert_eq!(length, 64 << 20);
        assert!(peak >= 60.0, "{peak}");
        assert!(anonymous_kib(me).is_some_and(|kib| kib > 0));
        assert!(children(u32::MAX).is_empty());
    }
}
