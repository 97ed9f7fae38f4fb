//! Makes the servers' rules for clients from the configuration.

use std::sync::Arc;

use anyhow::Context;

use crate::config::{CookieSecret, ServeConfig};
use crate::http::access::{Access, BearerToken};
use crate::server::clients::ClientPolicy;
use crate::server::clients::cookies::Cookies;
use crate::server::clients::rate::RateLimit;
use crate::server::encrypted::certificate::Certificate;
use crate::server::encrypted::https_acceptor;

/// The rules for clients of DNS. A task reads the cookie secrets again when they change.
///
/// # Errors
/// The cookie secrets are unreadable or malformed.
pub(super) fn of_dns(config: &ServeConfig) -> anyhow::Result<ClientPolicy> {
    let rules = &config.clients;
    let file = |secret: &CookieSecret| match secret {
        CookieSecret::Own => None,
        CookieSecret::File(path) => Some(path.clone()),
    };
    let cookies = rules.cookies.as_ref().map(|secret| Cookies::new(file(secret)).map(Arc::new));
    let cookies = cookies.transpose().context("--cookie-secret")?;
    if let Some(cookies) = &cookies {
        tokio::spawn(cookies.clone().reload_on_change());
    }
    Ok(ClientPolicy {
        allowed: rules.allowed.clone(),
        trusted: rules.trusted.clone(),
        connections_max: rules.connections_max,
        connections_per_client_max: rules.connections_per_client_max,
        prefix6: rules.prefix6,
        cookies,
        rate: rules.rate.map(RateLimit::new),
    })
}

/// The rules for clients of HTTP. A task reads the token again when it changes.
///
/// # Errors
/// The token is unreadable or malformed, or TLS cannot be set up.
pub(super) fn of_http(config: &ServeConfig, certificate: Option<&Arc<Certificate>>) -> anyhow::Result<Access> {
    let rules = &config.clients;
    let token = rules.http_token.clone().map(|file| BearerToken::read(file).map(Arc::new));
    let token = token.transpose().context("--http-token")?;
    if let Some(token) = &token {
        tokio::spawn(token.clone().reload_on_change());
    }
    let certificate = certificate.filter(|_| config.http_tls);
    let tls = certificate.map(|certificate| https_acceptor(certificate.clone())).transpose()?;
    Ok(Access {
        allowed: rules.http_allowed.clone(),
        trusted: rules.trusted.clone(),
        prefix6: rules.prefix6,
        token,
        tls,
    })
}
