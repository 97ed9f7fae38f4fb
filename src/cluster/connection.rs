//! Connections that end when the client certificate is replaced, as in client-go. Otherwise the API server would keep the old
//! identity for them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use super::identity::ClientIdentity;

/// Makes connections over TCP.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    identity: ClientIdentity,
}

impl Connector {
    pub(super) fn new(identity: ClientIdentity) -> Connector {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        Connector { tcp, identity }
    }
}

impl Service<Uri> for Connector {
    type Response = ExpiringConnection;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<ExpiringConnection, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(context)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        // Subscribes before TLS begins: the certificate may be replaced during the handshake.
        let end = Box::pin(self.identity.replaced());
        let connecting = self.tcp.call(server);
        Box::pin(async move { Ok(ExpiringConnection { io: connecting.await?, end: Some(end) }) })
    }
}

/// A connection that fails once its client certificate has been replaced.
pub(super) struct ExpiringConnection {
    io: TokioIo<TcpStream>,
    /// `None` once the certificate has been replaced.
    end: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl ExpiringConnection {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.end.as_mut().is_some_and(|end| end.as_mut().poll(context).is_ready()) {
            self.end = None;
        }
        match self.end {
            Some(_) => Ok(()),
            None => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client certificate has been replaced")),
        }
    }
}

impl Read for ExpiringConnection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_read(context, to)
    }
}

impl Write for ExpiringConnection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_write_vectored(context, from)
    }
}

impl Connection for ExpiringConnection {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}
