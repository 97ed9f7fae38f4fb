//! DNS over TLS (RFC 7858), over HTTP/2 and HTTP/3 (RFC 8484), and over QUIC (RFC 9250).
//!
//! The accept loops are our own. Those of hickory-server 0.26 do not limit connections, accept one QUIC handshake at a
//! time, end a QUIC connection after 100 queries, parse before we can check a message, and know neither HTTP's errors nor
//! its caches.

mod budget;
pub mod certificate;
mod doh;
mod doq;
pub mod http2;
mod http3;
pub mod quic;
pub mod tls;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;

use certificate::Certificate;
use tokio_rustls::TlsAcceptor;

/// The most queries of one HTTP or QUIC connection that are answered at once. Further queries wait at the client. RFC
/// 9113 §6.5.2 and RFC 9114 §6.1 recommend at least 100.
const STREAMS_MAX: u32 = 100;

/// The most bytes of an HTTP request's head. No name needs a URL of more than 400.
const HEAD_LEN_MAX: u32 = 16 * 1024;

/// The most unread bytes of a connection: four of the longest messages.
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// TLS for HTTP/2 and HTTP/1.1.
///
/// # Errors
/// rustls refuses the configuration.
pub fn https_acceptor(certificate: Arc<Certificate>) -> Result<TlsAcceptor, rustls::Error> {
    acceptor(certificate, &[b"h2", b"http/1.1"])
}

/// TLS over TCP, for clients that offer one of these ALPN protocols or none.
///
/// # Errors
/// rustls refuses the configuration.
fn acceptor(certificate: Arc<Certificate>, protocols: &[&[u8]]) -> Result<TlsAcceptor, rustls::Error> {
    server_config(certificate, protocols).map(|config| TlsAcceptor::from(Arc::new(config)))
}

/// The TLS configuration with a reloaded certificate, for clients that offer one of these ALPN protocols or none (RFC
/// 7301).
///
/// # Errors
/// rustls refuses the combination of its versions and its cryptography.
fn server_config(certificate: Arc<Certificate>, protocols: &[&[u8]]) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}
