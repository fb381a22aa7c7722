//! Where things are by default, and what machine this is.

use std::path::{Path, PathBuf};

use crate::Error;

/// The path given, or one below `$CASTMATCH_HOME`.
pub(crate) fn or_below_home(given: Option<&Path>, name: &str) -> Result<PathBuf, Error> {
    match (given, std::env::var_os("CASTMATCH_HOME")) {
        (Some(path), _) => Ok(path.to_owned()),
        (None, Some(home)) => Ok(Path::new(&home).join(name)),
        (None, None) => {
            Err("CASTMATCH_HOME is not set: name the folders by options, or eval \"$(make -s env)\"".into())
        }
    }
}

/// Processors of this machine.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What its processors are.
pub(crate) fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or_else(
            || std::env::consts::ARCH.to_owned(),
            |rest| rest.trim_start_matches([' ', '\t', ':']).to_owned(),
        )
}

/// Its memory.
pub(crate) fn memory() -> String {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: Option<u64> = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    kib.map_or_else(|| "unknown".to_owned(), |kib| format!("{} MiB", kib / 1024))
}
