//! CPU time of the server's processes: what a measurement costs, whatever else the machine does meanwhile.

use rustix::param::clock_ticks_per_second;

/// CPU seconds that the first thread of a process has used, to the nanosecond: enough for a backend that answers queries.
pub(crate) fn of_backend(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    let nanoseconds: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}

/// CPU seconds that it has used since it had used `before`.
pub(crate) fn since(before: Option<f64>, pid: u32) -> Option<f64> {
    of_backend(pid).zip(before).map(|(after, before)| after - before)
}

/// CPU seconds, in steps of 10 ms, of all threads of a backend and of all children of the server that have ended, its
/// parallel workers among them.
pub(crate) fn of_build(postmaster: Option<u32>, backend: u32) -> Option<f64> {
    let (own, _) = times(&std::fs::read_to_string(format!("/proc/{backend}/stat")).ok()?)?;
    let (_, children) = times(&std::fs::read_to_string(format!("/proc/{}/stat", postmaster?)).ok()?)?;
    Some((own + children) as f64 / clock_ticks_per_second() as f64)
}

/// Ticks of the process itself and of its children that it has waited for, from /proc/PID/stat (proc(5)).
fn times(stat: &str) -> Option<(u64, u64)> {
    // "pid (name) state ppid …": the name may hold blanks, so the fields are counted from its end.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some((next()? + next()?, next()? + next()?))
}

#[cfg(test)]
mod tests {
    use super::times;

    #[test]
    fn fields_are_counted_from_the_end_of_the_name() {
        let line = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 100 20 3000 400 20 0 1 0 5 6";
        assert_eq!(times(line), Some((120, 3400)));
        assert_eq!(times("7 (a) S 1"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_used_some() {
        let seconds = super::of_build(Some(std::process::id()), std::process::id());
        assert!(seconds.is_some_and(|seconds| seconds >= 0.0));
        assert_eq!(super::of_backend(u32::MAX), None);
    }
}
