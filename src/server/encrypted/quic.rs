//! QUIC connections (RFC 9000), for DNS over QUIC and for HTTP/3.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt};
use socket2::Type;
use tokio::sync::watch;
use tokio::time::timeout;

use super::certificate::Certificate;
use super::tls::HANDSHAKE_WAIT;
use super::{CONNECTION_WINDOW, STREAMS_MAX, doq, http3, server_config};
use crate::server::clients::permits::ConnectionPermit;
use crate::server::listen::{Listen, canonical};
use crate::server::tcp::{IDLE_WAIT, MESSAGE_WAIT};
use crate::server::{DropReason, Responder, Transport};

/// The most first packets that wait, and their bytes per connection and in all.
const INCOMING_MAX: usize = 256;
const INCOMING_LEN_MAX: u64 = 16 * 1024;
const INCOMING_ALL_LEN_MAX: u64 = 4 << 20;

/// The most unread bytes of a stream: the longest message, and the bytes of HTTP's frames.
const STREAM_WINDOW: u32 = 66 * 1024;

/// The protocol within a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// DNS over QUIC (RFC 9250).
    Dns,
    Http3,
}

impl Alpn {
    fn protocol(self) -> &'static [u8] {
        match self {
            Alpn::Dns => b"doq",
            Alpn::Http3 => b"h3",
        }
    }

    fn transport(self) -> Transport {
        match self {
            Alpn::Dns => Transport::Quic,
            Alpn::Http3 => Transport::Https,
        }
    }

    /// Unidirectional streams: DNS has none, HTTP/3 has three (RFC 9114 §6.2) and some that are ignored.
    fn one_way_streams_max(self) -> u8 {
        match self {
            Alpn::Dns => 0,
            Alpn::Http3 => 8,
        }
    }
}

/// How long a client waits for the place of another one that is being reclaimed.
const PERMIT_WAIT: Duration = Duration::from_millis(100);

/// Binds a socket. The caller must be within the runtime.
///
/// # Errors
/// The address is taken or not of this host, or the process lacks a right that it needs.
pub fn bind(listen: Listen, alpn: Alpn, certificate: Arc<Certificate>) -> io::Result<Endpoint> {
    let tls = server_config(certificate, &[alpn.protocol()]).map_err(io::Error::other)?;
    let tls = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(Some(IDLE_WAIT.try_into().map_err(io::Error::other)?));
    transport.max_concurrent_bidi_streams(STREAMS_MAX.into());
    transport.max_concurrent_uni_streams(alpn.one_way_streams_max().into());
    transport.stream_receive_window(STREAM_WINDOW.into()).receive_window(CONNECTION_WINDOW.into());
    transport.send_window(CONNECTION_WINDOW.into()).datagram_receive_buffer_size(None);
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config.transport_config(Arc::new(transport)).max_incoming(INCOMING_MAX);
    config.incoming_buffer_size(INCOMING_LEN_MAX).incoming_buffer_size_total(INCOMING_ALL_LEN_MAX);

    let socket = listen.socket(Type::DGRAM)?;
    socket.bind(&listen.address().into())?;
    Endpoint::new(EndpointConfig::default(), Some(config), socket.into(), Arc::new(TokioRuntime))
}

/// Answers on an endpoint's connections until `closing` is true, then waits for the open ones to end.
pub async fn serve(endpoint: Endpoint, alpn: Alpn, responder: Arc<Responder>, mut closing: watch::Receiver<bool>) {
    let permits = responder.clients.permits();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let Some(incoming) = incoming else { return };
        // If places are scarce, a client first proves its address (RFC 9000 §8.1.2). Then forged addresses take no
        // places.
        if permits.are_scarce() && incoming.may_retry() && !incoming.remote_address_validated() {
            let _ = incoming.retry(); // allowed: `may_retry` was checked
            continue;
        }
        let ip = canonical(incoming.remote_address()).ip();
        let permit = timeout(PERMIT_WAIT, permits.take(ip, responder.clients.is_trusted(ip))).await;
        let Ok(Some(permit)) = permit else {
            responder.counters.dropped(if permit.is_ok() { DropReason::ClientFull } else { DropReason::Accept });
            incoming.refuse();
            continue;
        };
        let (responder, closing) = (responder.clone(), closing.clone());
        tokio::spawn(async move {
            let transport = alpn.transport();
            let _open = responder.counters.open(transport);
            tokio::select! {
                () = converse(incoming, &permit, alpn, &responder, closing) => {}
                () = permit.reclaimed() => responder.counters.dropped(DropReason::Silent),
            }
        });
    }
    let _ = timeout(MESSAGE_WAIT, permits.all_free()).await;
    endpoint.close(VarInt::from_u32(0), b"");
    let _ = timeout(MESSAGE_WAIT, endpoint.wait_idle()).await;
}

async fn shake_hands(incoming: Incoming, responder: &Responder) -> Option<Connection> {
    let client = canonical(incoming.remote_address());
    match timeout(HANDSHAKE_WAIT, incoming).await {
        Ok(Ok(connection)) => return Some(connection),
        Ok(Err(error)) => tracing::debug!(%client, %error, "a QUIC connection was not made"),
        Err(_) => tracing::debug!(%client, "a QUIC handshake took too long"),
    }
    responder.counters.dropped(DropReason::Handshake);
    None
}

/// Serves one connection, from its handshake to its end.
async fn converse(
    incoming: Incoming,
    permit: &ConnectionPermit,
    alpn: Alpn,
    responder: &Arc<Responder>,
    closing: watch::Receiver<bool>,
) {
    let Some(connection) = shake_hands(incoming, responder).await else { return };
    match alpn {
        Alpn::Dns => doq::converse(connection, permit, responder, closing).await,
        Alpn::Http3 => http3::converse(connection, permit, responder, closing).await,
    }
}
