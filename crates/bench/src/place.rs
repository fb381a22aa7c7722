//! Where things are by default, and how many processors there are.

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
