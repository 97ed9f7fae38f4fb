//! The way to a server: plain or under TLS, with the token that it asks for.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderValue, Request, Response, header};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::{Address, RemoteError};
use crate::http::access::read_token;

/// What a server is asked through.
pub(super) struct Connection {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    /// How the token is shown, if there is one.
    authorization: Option<HeaderValue>,
}

impl Connection {
    /// Reads what the address names. Nobody is connected to before something is sent.
    pub fn new(address: &Address) -> Result<Connection, RemoteError> {
        let tls = tls(address)?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let token = address.token.as_deref().map(read_token).transpose()?;
        let authorization = token.map(|token| {
            let mut value =
                HeaderValue::try_from(format!("Bearer {token}")).expect("a token's characters are printable");
            value.set_sensitive(true);
            value
        });
        Ok(Connection { client, authorization })
    }

    pub async fn send(&self, mut request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, legacy::Error> {
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        self.client.request(request).await
    }
}

/// Whom a server's certificate has to be from.
fn tls(address: &Address) -> Result<ClientConfig, RemoteError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("the provider has what the default versions need");
    let builder = match &address.authorities {
        Some(file) => builder.with_root_certificates(authorities(file)?),
        // The system's are many, and need reading only where one of them is asked for.
        None if address.url.starts_with("http:") => builder.with_root_certificates(RootCertStore::empty()),
        None => builder.with_native_roots().map_err(|error| {
            RemoteError::Authorities(format!("the system's: {error}; name the server's own with --server-ca FILE"))
        })?,
    };
    Ok(builder.with_no_client_auth())
}

fn authorities(file: &Path) -> Result<RootCertStore, RemoteError> {
    let bad = |reason: String| RemoteError::Authorities(format!("{}: {reason}", file.display()));
    let pem = std::fs::read(file).map_err(|error| bad(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let added = certificate.ok().and_then(|certificate| roots.add(certificate).ok());
        added.ok_or_else(|| bad("it holds what is no certificate".into()))?;
    }
    if roots.is_empty() { Err(bad("it holds no certificate in PEM".into())) } else { Ok(roots) }
}

/// Whether an error is TLS's: somebody is there, and is not who was meant.
pub(super) fn is_distrust(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        // What an I/O error wraps is not its source, but that one's source is.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source());
    }
    false
}
