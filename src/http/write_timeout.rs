//! Limits how long a client may leave everything unread that is written to its socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::counters::HttpCounters;

/// A stream that fails if its reader reads nothing for too long.
pub(super) struct WriteTimeout<S> {
    stream: S,
    wait: Duration,
    counters: Arc<HttpCounters>,
    /// Runs while the reader takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteTimeout<S> {
    /// `wait` is how long the reader may take nothing.
    pub(super) fn new(stream: S, wait: Duration, counters: Arc<HttpCounters>) -> WriteTimeout<S> {
        WriteTimeout { stream, wait, counters, stalled: None }
    }

    /// Passes on the result of a write. An error if writes have been pending for too long.
    fn written(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let wait = self.wait;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(wait)));
        ready!(stalled.as_mut().poll(cx));
        self.counters.slow_reader();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const WAIT: Duration = Duration::from_millis(300);

    /// Both ends of a connection.
    async fn ends() -> (WriteTimeout<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("its address")).await.expect("a connection");
        let (stream, _) = listener.accept().await.expect("a connection");
        (WriteTimeout::new(stream, WAIT, Arc::default()), client)
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_dropped() {
        let (mut patient, _client) = ends().await;
        let started = tokio::time::Instant::now();
        let error = patient.write_all(&vec![0; 64 * 1024 * 1024]).await.expect_err("a stall");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() >= WAIT);
        assert_eq!(patient.counters.slow_readers(), 1);
    }

    #[tokio::test]
    async fn a_slow_client_that_reads_is_not_dropped() {
        let (mut patient, mut client) = ends().await;
        let all = vec![7; 16 * 1024 * 1024];
        let reading = async {
            let (mut read, mut buffer) = (0, vec![0; 1024 * 1024]);
            while read < all.len() {
                read += client.read(&mut buffer).await.expect("bytes");
                tokio::task::yield_now().await;
            }
        };
        let (written, ()) = tokio::join!(patient.write_all(&all), reading);
        written.expect("written");
        assert_eq!(patient.counters.slow_readers(), 0);
    }
}
