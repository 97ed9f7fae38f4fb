//! The way of a request to an API server: credentials, impersonation, a proxy and TLS.

use std::sync::Arc;

use http::{Request, Uri, header};
use hyper::rt::{Read, Write};
use hyper_rustls::{DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, ResolveServerName};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::Connection;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tower::{BoxError, Layer, Service, service_fn};

use super::connection::Connector;
use super::credentials::{Authorization, Credentials};
use super::identity::ClientIdentity;
use super::proxy::ProxyKind;
use super::settings::Settings;
use super::{ClientError, plain};

/// A client of an API server.
///
/// # Errors
/// The certificates or the key are not valid.
pub(super) fn client(settings: Settings) -> Result<Client, ClientError> {
    let Settings { config, credentials, identity, proxy } = settings;
    let tcp = Connector::new(identity.clone());
    let user = Requester { credentials, identity };
    let Some(proxy) = proxy else { return over(tcp, &config, user, None) };
    let shown = Some(proxy.shown.into());
    match proxy.kind {
        ProxyKind::Socks { login } => {
            let socks = SocksV5::new(proxy.uri, tcp);
            let socks = match login {
                Some((user, password)) => socks.with_auth(user, password),
                None => socks,
            };
            over(WithPort(socks), &config, user, shown)
        }
        ProxyKind::Http { authorization } if proxy.uri.scheme_str() == Some("https") => {
            // As in kubectl, the proxy must show a certificate of the cluster's authority.
            let tls = tls(tcp, &config, &user.identity)?;
            let tunnel = Tunnel::new(proxy.uri, tls);
            let tunnel = authorization.into_iter().fold(tunnel, Tunnel::with_auth);
            over(WithPort(tunnel), &config, user, shown)
        }
        ProxyKind::Http { authorization } => {
            let tunnel = Tunnel::new(proxy.uri, tcp);
            let tunnel = authorization.into_iter().fold(tunnel, Tunnel::with_auth);
            over(WithPort(tunnel), &config, user, shown)
        }
    }
}

/// The credentials and the client certificate of the requests.
#[derive(Clone)]
struct Requester {
    credentials: Credentials,
    identity: ClientIdentity,
}

/// TLS over the connections of another connector.
fn tls<C>(connector: C, config: &Config, identity: &ClientIdentity) -> Result<HttpsConnector<C>, ClientError> {
    let mut tls = config.rustls_client_config().map_err(unsound)?;
    tls.client_auth_cert_resolver = Arc::new(identity.clone());
    // A resumed session would keep the certificate of its first handshake.
    tls.resumption = Resumption::disabled();
    let name: Arc<dyn ResolveServerName + Send + Sync> = match &config.tls_server_name {
        Some(name) => {
            let name = ServerName::try_from(name.clone()).map_err(|error| ClientError::Client(error.to_string()))?;
            Arc::new(FixedServerNameResolver::new(name))
        }
        None => Arc::new(DefaultServerNameResolver::default()),
    };
    Ok(HttpsConnector::new(connector, tls, false, name))
}

/// The client that connects by TLS over the connections of `connector`.
fn over<C>(connector: C, config: &Config, user: Requester, proxy: Option<Arc<str>>) -> Result<Client, ClientError>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError> + Send + Sync + std::error::Error + 'static,
{
    let mut connector = TimeoutConnector::new(tls(connector, config, &user.identity)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_write_timeout(config.write_timeout);
    let http: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let server: Arc<str> = config.cluster_url.to_string().trim_end_matches('/').into();
    let service = service_fn(move |request| {
        let (http, server, user, proxy) = (http.clone(), server.clone(), user.clone(), proxy.clone());
        async move {
            user.identity.refresh();
            let authorization = user.credentials.authorization().await?;
            let answer = http.request(addressed(request, &server, &authorization)?).await;
            if answer.as_ref().is_ok_and(|answer| answer.status() == http::StatusCode::UNAUTHORIZED) {
                user.identity.refuse();
                user.credentials.refuse(&authorization).await;
            }
            answer.map_err(|error| match proxy {
                Some(proxy) if error.is_connect() => Box::new(ProxyFault { proxy, error }),
                _ => BoxError::from(error),
            })
        }
    });
    let impersonation = config.extra_headers_layer().map_err(unsound)?;
    Ok(Client::new(impersonation.layer(service), config.default_namespace.clone()))
}

/// Adds the server and the credentials to a request.
fn addressed(request: Request<Body>, server: &str, authorization: &Authorization) -> Result<Request<Body>, BoxError> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = format!("{server}{path}").parse()?;
    if let Some(value) = &authorization.header {
        head.headers.insert(header::AUTHORIZATION, value.clone());
    }
    Ok(Request::from_parts(head, body))
}

fn unsound(error: kube::Error) -> ClientError {
    ClientError::Client(plain(&error))
}

/// The connection through a proxy failed.
#[derive(Debug, thiserror::Error)]
#[error("by the proxy {proxy}: {}", plain(.error))]
struct ProxyFault {
    proxy: Arc<str>,
    error: legacy::Error,
}

/// Adds the port 80 to an `http://` URL without a port, because the library would send 443 to the proxy.
#[derive(Clone)]
struct WithPort<C>(C);

impl<C: Service<Uri>> Service<Uri> for WithPort<C> {
    type Response = C::Response;
    type Error = C::Error;
    type Future = C::Future;

    fn poll_ready(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let with_port = match (target.scheme_str(), target.host(), target.port()) {
            (Some("http"), Some(host), None) => format!("http://{host}:80/").parse().ok(),
            _ => None,
        };
        self.0.call(with_port.unwrap_or(target))
    }
}
