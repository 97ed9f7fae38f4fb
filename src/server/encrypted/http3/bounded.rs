//! A QUIC connection for h3 that limits what h3 buffers.
//!
//! h3 0.0.8 buffers every frame except DATA until it is complete, whatever its length and type, and buffered bytes no
//! longer count against QUIC's windows. So h3 reads through these types. The bytes of a request count against the
//! connection's budget until the request is answered, and the bytes of the control stream until their frame ends. No client
//! needs more.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h3::error::Code;
use h3::quic::{
    self, ConnectionErrorIncoming, OpenStreams, RecvStream, SendStream, StreamErrorIncoming, StreamId, WriteBuf,
};
use quinn::ConnectionError;

use super::EXCESSIVE_LOAD;
use crate::server::encrypted::budget::{BudgetExceeded, ConnectionBudget, Reservation};

/// The memory of a part besides its bytes: its entry in h3's list and in the allocator.
const PART_LEN: usize = 64;

/// A connection whose streams count against its budget.
pub(super) struct BoundedConnection {
    inner: h3_quinn::Connection,
    quic: quinn::Connection,
    budget: Arc<ConnectionBudget>,
}

impl BoundedConnection {
    pub(super) fn new(quic: quinn::Connection, budget: Arc<ConnectionBudget>) -> BoundedConnection {
        BoundedConnection { inner: h3_quinn::Connection::new(quic.clone()), quic, budget }
    }

    fn stream<S>(&self, inner: S, frames: Option<Frames>) -> BoundedStream<S> {
        BoundedStream {
            inner,
            quic: self.quic.clone(),
            reservation: self.budget.reserve(),
            frames,
            unread: Bytes::new(),
        }
    }
}

impl<B: Buf> quic::Connection<B> for BoundedConnection {
    type RecvStream = BoundedStream<h3_quinn::RecvStream>;
    type OpenStreams = BoundedConnection;

    fn poll_accept_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Self::RecvStream, ConnectionErrorIncoming>> {
        let stream = ready!(quic::Connection::<B>::poll_accept_recv(&mut self.inner, cx))?;
        Poll::Ready(Ok(self.stream(stream, Some(Frames::default()))))
    }

    fn poll_accept_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Self::BidiStream, ConnectionErrorIncoming>> {
        let stream = ready!(quic::Connection::<B>::poll_accept_bidi(&mut self.inner, cx))?;
        Poll::Ready(Ok(self.stream(stream, None)))
    }

    fn opener(&self) -> BoundedConnection {
        BoundedConnection::new(self.quic.clone(), self.budget.clone())
    }
}

impl<B: Buf> OpenStreams<B> for BoundedConnection {
    type BidiStream = BoundedStream<h3_quinn::BidiStream<B>>;
    type SendStream = h3_quinn::SendStream<B>;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Self::BidiStream, StreamErrorIncoming>> {
        let stream = ready!(OpenStreams::<B>::poll_open_bidi(&mut self.inner, cx))?;
        Poll::Ready(Ok(self.stream(stream, None)))
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<Self::SendStream, StreamErrorIncoming>> {
        self.inner.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        OpenStreams::<B>::close(&mut self.inner, code, reason);
    }
}

/// A stream that counts against its connection's budget.
pub(super) struct BoundedStream<S> {
    inner: S,
    quic: quinn::Connection,
    reservation: Reservation,
    /// For a unidirectional stream, its position. h3 gets one frame at a time, so that it is known to have finished
    /// the frames before.
    frames: Option<Frames>,
    /// Received bytes that h3 has not read.
    unread: Bytes,
}

impl<S> BoundedStream<S> {
    /// The next bytes for h3.
    fn next_part(&mut self) -> Result<Bytes, BudgetExceeded> {
        let (len, is_end) = self.frames.as_mut().map_or((self.unread.len(), false), |frames| frames.take(&self.unread));
        self.reservation.grow(len + PART_LEN)?;
        if is_end {
            self.reservation.clear();
        }
        Ok(self.unread.split_to(len))
    }
}

impl<S: RecvStream<Buf = Bytes>> RecvStream for BoundedStream<S> {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        if self.unread.is_empty() {
            let Some(read) = ready!(self.inner.poll_data(cx))? else { return Poll::Ready(Ok(None)) };
            self.unread = Bytes::copy_from_slice(&read); // copied, because a few bytes may hold a buffer of many datagrams
        }
        Poll::Ready(self.next_part().map(Some).map_err(|BudgetExceeded| {
            self.quic.close(EXCESSIVE_LOAD, b"too much at once");
            let error = Arc::new(ConnectionError::LocallyClosed);
            StreamErrorIncoming::ConnectionErrorIncoming { connection_error: ConnectionErrorIncoming::Undefined(error) }
        }))
    }

    fn stop_sending(&mut self, error_code: u64) {
        self.inner.stop_sending(error_code);
    }

    fn recv_id(&self) -> StreamId {
        self.inner.recv_id()
    }
}

impl<B: Buf, S: SendStream<B>> SendStream<B> for BoundedStream<S> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.inner.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.inner.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.inner.poll_finish(cx)
    }

    fn reset(&mut self, reset_code: u64) {
        self.inner.reset(reset_code);
    }

    fn send_id(&self) -> StreamId {
        self.inner.send_id()
    }
}

/// The position in a unidirectional stream: its type, then frames (RFC 9114 §6.2, §7.1).
#[derive(Default)]
struct Frames {
    has_type: bool,
    /// The received bytes of a frame's type and length.
    head: Vec<u8>,
    /// The missing bytes of the frame's payload, once its length is known.
    missing: Option<u64>,
}

impl Frames {
    /// The number of these bytes that belong to the current frame or to the stream's type, and whether it ends there.
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut taken = 0;
        let missing = loop {
            if let Some(missing) = self.missing {
                break missing;
            }
            let Some(byte) = bytes.get(taken) else { return (taken, false) };
            self.head.push(*byte);
            taken += 1;
            let Some((_, rest)) = number(&self.head) else { continue };
            if !self.has_type {
                *self = Frames { has_type: true, ..Frames::default() };
                return (taken, true);
            }
            self.missing = number(rest).map(|(len, _)| len);
        };
        let here = missing.min((bytes.len() - taken) as u64);
        self.missing = Some(missing - here);
        if missing > here {
            return (bytes.len(), false);
        }
        *self = Frames { has_type: true, ..Frames::default() };
        (taken + here as usize, true)
    }
}

/// A variable-length integer of QUIC (RFC 9000 §16), and the bytes after it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let size = 1_usize << (bytes.first()? >> 6);
    let (number, rest) = bytes.split_at_checked(size)?;
    let value = number.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    Some((value & (u64::MAX >> (66 - 8 * size)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_frame_by_frame() {
        // The type of the control stream, empty SETTINGS, MAX_PUSH_ID, an unknown frame whose length takes four bytes.
        let bytes = [&[0, 4, 0, 13, 1, 5, 0x21, 0x80, 0, 0, 3, 7, 7, 7][..], &[0x40, 0x21, 0xc0]].concat();
        let ends = [1, 3, 6, 14];
        for step in 1..=bytes.len() {
            let (mut frames, mut read, mut found) = (Frames::default(), 0, Vec::new());
            while read < bytes.len() {
                let (len, is_end) = frames.take(&bytes[read..bytes.len().min(read + step)]);
                read += len;
                found.extend(is_end.then_some(read));
            }
            assert_eq!(found, ends, "{step} bytes at once");
        }
    }
}
