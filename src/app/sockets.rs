//! The sockets that a configuration names: all are bound before any is answered on, so that the right to bind more can be
//! given up in between.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use socket2::Socket;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{encrypted, udp_threads};
use crate::config::Config;
use crate::http;
use crate::server::encrypted::certificate::Certificate;
use crate::server::{Responder, stream, udp};

/// Bound sockets.
pub(super) struct Sockets {
    plain: Vec<Plain>,
    encrypted: Option<encrypted::Bound>,
    /// Where health, metrics and the API are served.
    pub(super) http: TcpListener,
}

/// An address of DNS over UDP and TCP; of UDP a socket a thread.
struct Plain {
    address: SocketAddr,
    listener: TcpListener,
    datagrams: Vec<Socket>,
}

impl Sockets {
    /// Binds them.
    ///
    /// # Errors
    /// An address is taken, or the certificate cannot be served.
    pub(super) async fn bind(config: &Config) -> anyhow::Result<Sockets> {
        let plain = |address: &SocketAddr| {
            let listener = stream::bind(*address).with_context(|| format!("cannot listen on {address} (TCP)"))?;
            let datagrams = (0..udp_threads()).map(|_| udp::bind(*address)).collect::<Result<_, _>>();
            let datagrams = datagrams.with_context(|| format!("cannot listen on {address} (UDP)"))?;
            anyhow::Ok(Plain { address: *address, listener, datagrams })
        };
        let plain = config.listen.iter().map(plain).collect::<Result<_, _>>()?;
        let encrypted = encrypted::bind(config)?;
        let http =
            http::bind(config.http).await.with_context(|| format!("cannot listen on {} (--http)", config.http))?;
        Ok(Sockets { plain, encrypted, http })
    }

    /// The certificate of the encrypted transports.
    pub(super) fn certificate(&self) -> Option<&Arc<Certificate>> {
        self.encrypted.as_ref().map(encrypted::Bound::certificate)
    }

    /// Answers DNS on them; the socket that is left is the pages'.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn serve(
        self,
        responder: &Arc<Responder>,
        closing: &watch::Receiver<bool>,
        streams: &mut JoinSet<()>,
    ) -> anyhow::Result<TcpListener> {
        for Plain { address, listener, datagrams } in self.plain {
            for socket in datagrams {
                udp::serve(socket, address, responder.clone()).context("cannot start a thread")?;
            }
            streams.spawn(stream::serve(listener, responder.clone(), closing.clone()));
        }
        if let Some(encrypted) = self.encrypted {
            encrypted.serve(responder, closing, streams);
        }
        Ok(self.http)
    }
}
