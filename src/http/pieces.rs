//! Splits a response's body into pieces. The transport takes one at a time, which shows whether the client reads.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::pending::PendingResponse;

/// The longest piece: HTTP/2's usual frame size.
const PIECE_LEN: usize = 16 * 1024;

/// The body of a response.
pub(super) struct Pieces {
    body: Body,
    /// The rest of the body's last frame.
    rest: Bytes,
    /// The body has no more frames.
    is_over: bool,
    pending: Arc<PendingResponse>,
}

impl Pieces {
    pub(super) fn new(body: Body, pending: Arc<PendingResponse>) -> Pieces {
        Pieces { body, rest: Bytes::new(), is_over: false, pending }
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while self.rest.is_empty() {
            if self.is_over {
                return self.pending.poll_sent(cx).map(|()| None);
            }
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
                self.is_over = true;
                continue;
            };
            match frame?.into_data() {
                Ok(data) => self.rest = data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let len = self.rest.len().min(PIECE_LEN);
        let piece = self.rest.split_to(len);
        Poll::Ready(Some(Ok(Frame::data(self.pending.track(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream() && !self.pending.holds_task()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, mut hint) = (self.rest.len() as u64, self.body.size_hint());
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
