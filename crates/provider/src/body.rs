//! Bodies of answers, read up to a bound. What is over it is never buffered: each frame is at most as long as the buffer
//! of the connection, and is counted before it is kept.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::failure::Failure;
use crate::transport;

/// The most bytes of an answer that are read, also of a stream.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The most bytes that are read of an answer whose status is no success.
pub(crate) const MAX_ERROR_BYTES: usize = 64 * 1024;

/// A body that is being read.
pub(crate) struct BoundedBody {
    incoming: Incoming,
    left: usize,
}

impl BoundedBody {
    /// # Errors
    /// A body that says of itself that it is too long.
    pub(crate) fn new(incoming: Incoming) -> Result<Self, Failure> {
        let least = incoming.size_hint().lower();
        if least > MAX_BODY_BYTES as u64 {
            return Err(too_long(Some(least)));
        }
        Ok(Self {
            incoming,
            left: MAX_BODY_BYTES,
        })
    }

    /// The next bytes, or nothing at the end.
    ///
    /// # Errors
    /// The connection broke, or the body is too long.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        while let Some(frame) = self.incoming.frame().await {
            let frame = frame.map_err(|error| transport::failure_of_body(&error))?;
            // Trailers are no concern of ours.
            let Ok(data) = frame.into_data() else { continue };
            self.left = self.left.checked_sub(data.len()).ok_or_else(|| too_long(None))?;
            return Ok(Some(data));
        }
        Ok(None)
    }

    /// All that is left.
    ///
    /// # Errors
    /// As [`BoundedBody::next`].
    pub(crate) async fn rest(mut self) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while let Some(data) = self.next().await? {
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    }
}

/// The beginning of the body of an error: as much as there is, up to the bound. An error while it is read ends it, for the
/// status alone says what happened.
pub(crate) async fn beginning(mut incoming: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_ERROR_BYTES {
        let Some(Ok(frame)) = incoming.frame().await else {
            break;
        };
        if let Ok(data) = frame.into_data() {
            let room = MAX_ERROR_BYTES - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    bytes
}

fn too_long(said: Option<u64>) -> Failure {
    Failure::bad_answer(match said {
        Some(bytes) => format!("the answer has {bytes} bytes, at most {MAX_BODY_BYTES} are read"),
        None => format!("the answer has more than {MAX_BODY_BYTES} bytes"),
    })
}
