//! What Linux says of a process in `/proc/PID/stat`.

/// What a process takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Process {
    /// The process that started it.
    pub parent: i32,
    /// Processor time so far, seconds.
    pub cpu_seconds: f64,
    /// Threads.
    pub threads: u64,
    /// Memory that it holds now, shared memory that it has touched included, bytes.
    pub resident_bytes: u64,
}

/// What the units of the system are.
#[derive(Clone, Copy, Debug)]
pub struct Units {
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Ticks of the clock in a second.
    pub ticks_per_second: u64,
}

/// Reads the one line of `/proc/PID/stat`; `None` if it is not of that form.
#[allow(clippy::cast_precision_loss)] // Ticks are far below 2^53.
#[must_use]
pub fn parse(stat: &str, units: Units) -> Option<Process> {
    // "pid (name) state ppid …": the name may hold blanks and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    // utime and stime are fields 14 and 15, counted from 1 with pid.
    let user: u64 = fields.nth(9)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    // num_threads is field 20, rss, in pages, field 24.
    let threads = fields.nth(4)?.parse().ok()?;
    let pages: u64 = fields.nth(3)?.parse().ok()?;
    let ticks = user.saturating_add(system) as f64;
    (units.ticks_per_second > 0).then(|| Process {
        parent,
        cpu_seconds: ticks / units.ticks_per_second as f64,
        threads,
        resident_bytes: pages.saturating_mul(units.page_bytes),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const UNITS: Units = Units {
        page_bytes: 4096,
        ticks_per_second: 100,
    };

    #[test]
    fn a_line_of_linux_is_read() {
        let line = "4711 (postgres: (x) y) S 4242 4711 4711 0 -1 4194624 9000 0 12 0 150 50 0 0 20 0 3 0 88888 400000000 25600 \
                    18446744073709551615 1 1 0 0 0 0 0 16781312 8896 0 0 0 17 1 0 0 0 0 0";
        assert_eq!(
            parse(line, UNITS),
            Some(Process {
                parent: 4242,
                cpu_seconds: 2.0,
                threads: 3,
                resident_bytes: 25600 * 4096,
            })
        );
    }

    #[test]
    fn anything_else_is_nothing() {
        for text in ["", "4711", "4711 (x) S", "4711 (x) S a b c", "4711 x S 1 2 3"] {
            assert_eq!(parse(text, UNITS), None, "{text}");
        }
    }

    #[test]
    fn this_process_has_threads_and_memory() {
        let Ok(line) = std::fs::read_to_string("/proc/self/stat") else {
            return;
        };
        let own = parse(&line, UNITS).unwrap();
        assert!(
            own.threads >= 1 && own.resident_bytes > 1 << 20 && own.parent > 0,
            "{own:?}"
        );
    }
}
