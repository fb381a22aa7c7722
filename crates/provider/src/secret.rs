//! Keys of endpoints. The server process reads them from its own environment or from files that only its user can read;
//! they pass through no SQL, no setting and no log.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// The longest key, in bytes.
pub(crate) const MAX_SECRET_BYTES: usize = 4096;

/// A key. Its Debug shows nothing of it, and its memory is cleared when the last clone is dropped. (The buffers of a
/// connection that it was sent over are not.)
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

/// Why there is no key. Holds nothing of what was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is no such variable, or it cannot have that name.
    #[error("environment variable \"{variable}\" is not set")]
    NotSet {
        /// Its name.
        variable: String,
    },
    /// The file cannot be opened or read; of a symbolic link the operating system says that there are too many.
    #[error("cannot read the key from \"{}\": {problem}", path.display())]
    Unreadable {
        /// As given.
        path: PathBuf,
        /// What the operating system said.
        problem: String,
    },
    /// A directory, a pipe, a device.
    #[error("cannot read the key from \"{}\": not a regular file", path.display())]
    NotAFile {
        /// As given.
        path: PathBuf,
    },
    /// The file belongs to somebody else, who could change it.
    #[error(
        "cannot read the key from \"{}\": it belongs to user {owner}, not to {expected} or root",
        path.display()
    )]
    Owner {
        /// As given.
        path: PathBuf,
        /// User id of the file.
        owner: u32,
        /// The effective user id of this process.
        expected: u32,
    },
    /// Others than the owner may read or write the file.
    #[error(
        "cannot read the key from \"{}\": its mode is {mode:04o}, and must be 0600 or 0400",
        path.display()
    )]
    Mode {
        /// As given.
        path: PathBuf,
        /// The permission bits.
        mode: u32,
    },
    /// There is a text, but it is no key.
    #[error("the key from {origin} is not valid: {problem}")]
    Invalid {
        /// Where it was read.
        origin: String,
        /// A fixed text, never a part of the key.
        problem: &'static str,
    },
}

impl Secret {
    /// Reads a key from a variable of the process's environment. White space around it is left out.
    ///
    /// # Errors
    /// The variable is not set, empty, not UTF-8, or no key: longer than 4,096 bytes, or with other characters than
    /// visible ASCII and spaces.
    pub fn from_environment(variable: &str) -> Result<Self, SecretError> {
        // std::env::var_os answers None for names with "=" or NUL, too.
        let value = std::env::var_os(variable).ok_or_else(|| SecretError::NotSet {
            variable: variable.to_owned(),
        })?;
        let bytes = Zeroizing::new(value.into_encoded_bytes());
        Self::from_bytes(&bytes, || format!("environment variable \"{variable}\""))
    }

    /// Reads a key from a file. White space around it is left out.
    ///
    /// # Errors
    /// The last step of the path is a symbolic link; not a regular file; its owner is neither the effective user nor
    /// root; its mode gives anything to group or others; it cannot be read; or it holds no key, as for
    /// [`Secret::from_environment`].
    pub fn from_file(path: &Path) -> Result<Self, SecretError> {
        let unreadable = |error: io::Error| SecretError::Unreadable {
            path: path.to_owned(),
            problem: error.to_string(),
        };
        // NONBLOCK: opening a pipe that nobody writes to would wait.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
            .map_err(unreadable)?;
        // Of the open file: the path may mean another one by now.
        check_file(&file, path)?;
        // One byte more than allowed, so that too much is seen as such; never grown, so that no copy is left behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET_BYTES + 1));
        let mut chunk = Zeroizing::new([0; MAX_SECRET_BYTES + 1]);
        while bytes.len() <= MAX_SECRET_BYTES {
            let room = MAX_SECRET_BYTES + 1 - bytes.len();
            let n = (&file).read(&mut chunk[..room]).map_err(unreadable)?;
            if n == 0 {
                break;
            }
            bytes.extend_from_slice(&chunk[..n]);
        }
        Self::from_bytes(&bytes, || format!("\"{}\"", path.display()))
    }

    fn from_bytes(bytes: &[u8], origin: impl Fn() -> String) -> Result<Self, SecretError> {
        let invalid = |problem| SecretError::Invalid {
            origin: origin(),
            problem,
        };
        if bytes.len() > MAX_SECRET_BYTES {
            return Err(invalid("longer than 4096 bytes"));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|_| invalid("not UTF-8"))?
            .trim();
        if text.is_empty() {
            return Err(invalid("empty"));
        }
        if text.contains(['\n', '\r']) {
            return Err(invalid("more than one line"));
        }
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(invalid("holds characters that a header cannot hold"));
        }
        Ok(Self(Arc::new(Zeroizing::new(text.to_owned()))))
    }

    /// The key itself: only for the header that it is sent in, and to look for it in what must not hold it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

fn check_file(file: &File, path: &Path) -> Result<(), SecretError> {
    let data = file.metadata().map_err(|error| SecretError::Unreadable {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    if !data.is_file() {
        return Err(SecretError::NotAFile {
            path: path.to_owned(),
        });
    }
    let expected = rustix::process::geteuid().as_raw();
    if data.uid() != expected && data.uid() != 0 {
        return Err(SecretError::Owner {
            path: path.to_owned(),
            owner: data.uid(),
            expected,
        });
    }
    let mode = data.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Mode {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
