//! Bodies in pieces. Each body has a [`Watch`], which tells whether the client went away before it was whole.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

/// The body of any answer.
pub(crate) type AnyBody = UnsyncBoxBody<Bytes, io::Error>;

/// From the arrival of a request to the last byte of its answer. Dropped before that, it counts as cancelled.
pub(crate) struct Watch {
    cancelled: Arc<AtomicUsize>,
    whole: bool,
}

impl Watch {
    pub(crate) fn new(cancelled: &Arc<AtomicUsize>) -> Self {
        Self {
            cancelled: Arc::clone(cancelled),
            whole: false,
        }
    }

    /// The answer is over, as far as the server is concerned.
    pub(crate) fn finish(&mut self) {
        self.whole = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.whole {
            self.cancelled.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// What is sent, piece by piece.
pub(crate) struct Pieces {
    first: VecDeque<Bytes>,
    /// Sent for ever after the others.
    then_for_ever: Option<Bytes>,
    /// Before each piece.
    pause: Duration,
}

impl Pieces {
    pub(crate) fn new(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self {
            first: pieces.into_iter().collect(),
            then_for_ever: None,
            pause: Duration::ZERO,
        }
    }

    pub(crate) fn one(bytes: impl Into<Bytes>) -> Self {
        Self::new([bytes.into()])
    }

    pub(crate) fn then_for_ever(mut self, piece: impl Into<Bytes>) -> Self {
        self.then_for_ever = Some(piece.into());
        self
    }

    /// The same bytes one at a time, with a pause before each.
    pub(crate) fn byte_by_byte(self, pause: Duration) -> Self {
        let bytes: Vec<u8> = self.first.iter().flatten().copied().collect();
        Self {
            first: bytes
                .into_iter()
                .map(|byte| Bytes::copy_from_slice(&[byte]))
                .collect(),
            then_for_ever: self.then_for_ever,
            pause,
        }
    }

    /// The first half of the pieces; of a single one, of its bytes.
    pub(crate) fn half(mut self) -> Self {
        match self.first.len() {
            1 => {
                let piece = &mut self.first[0];
                piece.truncate(piece.len() / 2);
            }
            n => self.first.truncate(n / 2),
        }
        self
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.first.iter().flatten().copied().collect()
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.first.iter().map(Bytes::len).sum()
    }

    fn next(&mut self) -> Option<Bytes> {
        self.first.pop_front().or_else(|| self.then_for_ever.clone())
    }

    fn is_empty(&self) -> bool {
        self.first.is_empty() && self.then_for_ever.is_none()
    }

    pub(crate) fn into_body(self, watch: Watch) -> AnyBody {
        let stream = futures_util::stream::unfold((self, watch), |(mut pieces, mut watch)| async {
            let Some(piece) = pieces.next() else {
                watch.finish();
                return None;
            };
            if !pieces.pause.is_zero() {
                tokio::time::sleep(pieces.pause).await;
            }
            // A body whose length is known is not asked for its end.
            if pieces.is_empty() {
                watch.finish();
            }
            Some((Ok(Frame::data(piece)), (pieces, watch)))
        });
        StreamBody::new(stream).boxed_unsync()
    }
}
