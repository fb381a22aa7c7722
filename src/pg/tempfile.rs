//! A temporary file of the server: where temp_tablespaces says, within temp_file_limit, gone with the transaction.

use castmatch_engine::index::IndexError;
use castmatch_engine::index::hnsw::build::Tape;
use pgrx::pg_sys;

/// A file that is written in sequence, then read.
pub struct TempFile(*mut pg_sys::BufFile);

impl TempFile {
    /// An empty file.
    pub fn new() -> Self {
        // SAFETY: in a transaction; the file belongs to the current resource owner, which closes it if an ERROR leaves it behind.
        Self(unsafe { pg_sys::BufFileCreateTemp(false) })
    }

    /// Closes the file, which removes it.
    pub fn close(self) {
        // SAFETY: made by `new`, not used after this.
        unsafe { pg_sys::BufFileClose(self.0) };
    }
}

impl Tape for TempFile {
    fn clear(&mut self) -> Result<(), IndexError> {
        let fresh = Self::new();
        core::mem::replace(self, fresh).close();
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        // SAFETY: reads `bytes` only, whatever the constness of the parameter in this major version.
        unsafe { pg_sys::BufFileWrite(self.0, bytes.as_ptr().cast_mut().cast(), bytes.len()) };
        Ok(())
    }

    fn rewind(&mut self) -> Result<(), IndexError> {
        // SAFETY: an open file.
        match unsafe { pg_sys::BufFileSeek(self.0, 0, 0, SEEK_SET) } {
            0 => Ok(()),
            _ => Err(IndexError::Failed {
                what: "could not rewind a temporary file",
            }),
        }
    }

    fn read(&mut self, out: &mut [u8]) -> Result<usize, IndexError> {
        // SAFETY: writes at most so many bytes to `out`.
        Ok(unsafe { pg_sys::BufFileRead(self.0, out.as_mut_ptr().cast(), out.len()) })
    }
}

/// From the start of the file, as in C.
const SEEK_SET: i32 = 0;
