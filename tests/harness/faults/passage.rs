//! An answer's body as it passes through the proxy, up to the fault that ends it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use kube::client::Body;

use super::connection::thaw;
use super::{End, Fault, Point, Shared};

/// An answer's body in transit.
pub(super) struct Passage {
    pub(super) upstream: Body,
    pub(super) fault: Option<Fault>,
    /// The bytes that have passed.
    pub(super) passed: usize,
    pub(super) point: Point,
    /// The label selector of the watch that it belongs to.
    pub(super) lane: String,
    pub(super) shared: Arc<Shared>,
    pub(super) is_over: bool,
}

/// Some bytes, or an error that ends the connection.
type Piece = io::Result<Frame<Bytes>>;

impl Passage {
    /// The next bytes, and the rest of the body.
    pub(super) async fn next(mut self) -> Option<(Piece, Passage)> {
        if self.is_over {
            return None;
        }
        let room = match &self.fault {
            Some(Fault::After(bytes, _)) => bytes.saturating_sub(self.passed),
            Some(Fault::Drip(bytes)) => *bytes,
            _ => usize::MAX,
        };
        if room == 0 {
            return self.stop().await;
        }
        let frame = self.upstream.frame().await;
        thaw(&self.shared).await;
        let data = match frame? {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(error) => {
                self.shared.disturb_lane(self.point, &self.lane);
                self.is_over = true;
                return Some((Err(io::Error::other(error)), self));
            }
        };
        if let Some(Fault::Drip(bytes)) = self.fault {
            let pieces = u32::try_from(data.len().div_ceil(bytes)).unwrap_or(u32::MAX);
            tokio::time::sleep(Duration::from_millis(100) * pieces).await;
        }
        let data = match self.fault {
            Some(Fault::After(_, End::Cut | End::Stall(_) | End::Whole)) => data.slice(..data.len().min(room)),
            _ => data,
        };
        self.passed += data.len();
        Some((Ok(Frame::data(data)), self))
    }

    /// Ends the answer as the fault says.
    async fn stop(mut self) -> Option<(Piece, Passage)> {
        self.is_over = true;
        let broken = Err(io::ErrorKind::ConnectionReset.into());
        match self.fault {
            Some(Fault::After(_, End::Garbage)) => Some((Ok(Frame::data(Bytes::from_static(GARBAGE))), self)),
            Some(Fault::After(_, End::Whole)) => None,
            Some(Fault::After(_, End::Stall(wait))) => {
                tokio::time::sleep(wait).await;
                Some((broken, self))
            }
            _ => Some((broken, self)),
        }
    }
}

/// Neither JSON nor protobuf.
const GARBAGE: &[u8] = b"\xff\xff<html>502 Bad Gateway</html>\xff\xff\xff\xff";
