//! Processes of a server, found and signalled by their ids through /proc and kill(1).

use std::fs;
use std::process::{Command, Stdio};

/// Sends the signal of that name (`TERM`, `STOP`, …); processes that have ended are passed over.
pub fn signal(name: &str, processes: &[u32]) {
    for pid in processes {
        let _ = Command::new("kill")
            .args(["-s", name, &pid.to_string()])
            .stderr(Stdio::null())
            .status();
    }
}

/// Whether the process runs. An orphan that its new parent has not reaped yet is a zombie, and has ended.
#[must_use]
pub fn runs(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// State and parent, from "pid (name) state ppid …"; the name may hold blanks.
fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    let state = words.next()?.chars().next()?;
    Some((state, words.next()?.parse().ok()?))
}

/// The children of a process.
///
/// # Panics
/// Without /proc.
#[must_use]
pub fn children(parent: u32) -> Vec<u32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid| stat(pid).is_some_and(|(_, its_parent)| its_parent == parent))
        .collect()
}

/// What a process calls itself, as ps shows it.
#[must_use]
pub fn title(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .replace('\0', " ")
        .trim()
        .to_owned()
}

/// Memory of a process in kibibytes, as a line of /proc/PID/status gives it: `VmRSS` for what it holds now, shared memory
/// that it has touched included, `VmHWM` for the most of that so far, `RssAnon` for what it alone holds.
///
/// # Panics
/// If the process has ended.
#[must_use]
pub fn memory_kib(pid: u32, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let found = status
        .lines()
        .find_map(|text| text.strip_prefix(line)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("{line} of process {pid}"));
    found.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Memory that the process alone holds plus its shared part, in kibibytes.
///
/// # Panics
/// If the process has ended.
#[must_use]
pub fn resident_kib(pid: u32) -> u64 {
    memory_kib(pid, "VmRSS")
}
