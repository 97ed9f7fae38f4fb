//! Connections to a server: HTTP/1.1, plain or TLS.

use std::path::Path;
use std::sync::Arc;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::{RemoteError, ServerAddress};

/// A pooled HTTP client for one server. A stream has its connection alone.
pub(super) type PooledClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Sets up a client. It connects when the first request is sent.
///
/// # Errors
/// The certificate authorities cannot be read.
pub(super) fn connection(address: &ServerAddress) -> Result<PooledClient, RemoteError> {
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls(address)?).https_or_http().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// The TLS configuration: the authorities that the server's certificate must come from.
fn tls(address: &ServerAddress) -> Result<ClientConfig, RemoteError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("the provider has what the default versions need");
    let builder = match &address.authorities {
        Some(file) => builder.with_root_certificates(authorities(file)?),
        // Reading the system's authorities is slow, and only https needs them.
        None if address.url.starts_with("http:") => builder.with_root_certificates(RootCertStore::empty()),
        None => builder.with_native_roots().map_err(|error| RemoteError::NoAuthorities(error.to_string()))?,
    };
    Ok(builder.with_no_client_auth())
}

fn authorities(file: &Path) -> Result<RootCertStore, RemoteError> {
    let bad = |reason: String| RemoteError::Authorities(format!("{}: {reason}", file.display()));
    let pem = std::fs::read(file).map_err(|error| bad(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let added = certificate.ok().and_then(|certificate| roots.add(certificate).ok());
        added.ok_or_else(|| bad("it has an entry that is not a certificate".into()))?;
    }
    if roots.is_empty() { Err(bad("it has no certificate in PEM".into())) } else { Ok(roots) }
}
