//! What a kubeconfig or a Pod's environment says of an API server, in the terms of the client library.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use kube::Config;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject, SectionKind};
use tokio::sync::Mutex;

use super::credentials::Credentials;
use super::kubeconfig::{Chosen, Cluster, Item, User};
use super::plugin::Plugin;
use super::proxy::{Proxy, Variables, basic};
use super::{ClientError, plain};
use crate::source::url::{Authority, UNCLEAR, shown};

/// All that a client needs.
pub(super) struct Settings {
    pub config: Config,
    pub credentials: Credentials,
    pub proxy: Option<Proxy>,
}

impl Settings {
    /// Those of a kubeconfig's context.
    pub(super) async fn of_kubeconfig(chosen: &Chosen, variables: &Variables) -> Result<Settings, ClientError> {
        let Chosen { namespace, cluster, user } = chosen;
        let Cluster { certificate_authority: file, certificate_authority_data: data, .. } = &cluster.value;
        let authority = contents(cluster, ("certificate-authority", file), ("certificate-authority-data", data))?;
        let has_identity = !(user.value.client_certificate.is_empty() && user.value.client_certificate_data.is_empty());
        let is_tls = authority.is_some() || has_identity || cluster.value.insecure_skip_tls_verify;
        let server = Server::of(&cluster.value.server, is_tls).map_err(|reason| cluster.fault("server", reason))?;
        let mut config = Config::new(server.uri.clone());
        config.default_namespace = namespace.clone().unwrap_or_else(|| "default".to_owned());
        verification(&mut config, cluster, authority.as_deref())?;
        impersonation(&mut config, user)?;
        let mut credentials = Credentials::of_user(user)?;
        if let Some([name, password]) = &server.login {
            // In kubectl too what the URL holds goes before the user's.
            credentials = Credentials::Fixed(basic(name, password));
        }
        let mut identity = identity(user)?;
        if let (Credentials::None, Some(exec)) = (&credentials, &user.value.exec) {
            let (server, authority) = (&cluster.value.server, authority.as_deref().unwrap_or_default());
            let (plugin, given) = Plugin::start(user, exec, cluster, server, authority).await?;
            credentials = Credentials::Plugin(Arc::new(Mutex::new(plugin)));
            identity = given.map(|given| (given.certificate.into_bytes(), given.key.into_bytes())).or(identity);
        }
        if let Some((certificate, key)) = identity {
            check_identity(&certificate, &key).map_err(|reason| user.fault("client-certificate", reason))?;
            config.auth_info.client_certificate_data = Some(STANDARD.encode(certificate));
            config.auth_info.client_key_data = Some(STANDARD.encode(key).into());
        }
        if server.is_guessed_plain && !matches!(credentials, Credentials::None) {
            // kubectl takes such a server for plain HTTP too, and shows it no credentials.
            tracing::warn!(
                server = shown(&cluster.value.server),
                "the kubeconfig's server has no https://: it is asked by plain HTTP, without the user's credentials"
            );
            credentials = Credentials::None;
        }
        let proxy = match cluster.value.proxy_url.as_str() {
            "" => variables.proxy(&server.uri).map_err(ClientError::Proxy)?,
            url => {
                let place = format!("{}: {}: proxy-url", cluster.file.display(), cluster.what);
                Some(Proxy::of(url, &place).map_err(ClientError::Proxy)?)
            }
        };
        Ok(Settings { config, credentials, proxy })
    }

    /// Those of the Pod that this process is in.
    pub(super) fn of_pod(variables: &Variables) -> Result<Settings, String> {
        let mut config = Config::incluster().map_err(|error| plain(&error))?;
        config.default_namespace = config.default_namespace.trim().to_owned();
        let file = config.auth_info.token_file.take().map(PathBuf::from);
        let credentials = file.map_or(Ok(Credentials::None), Credentials::of_file)?;
        let proxy = variables.proxy(&config.cluster_url)?;
        Ok(Settings { config, credentials, proxy })
    }
}

/// Where an API server is.
#[derive(Debug)]
struct Server {
    uri: Uri,
    /// The user and the password that the URL holds.
    login: Option<[String; 2]>,
    /// Its URL has no scheme, and nothing else tells of TLS.
    is_guessed_plain: bool,
}

impl Server {
    /// Reads `server`. Without a scheme it is a host with or without a port, and TLS is spoken if the kubeconfig has
    /// anything about TLS.
    fn of(text: &str, is_tls: bool) -> Result<Server, String> {
        if text.is_empty() {
            return Err("it is missing: write it as https://HOST:PORT".into());
        }
        let wrong = |reason: &str| format!("{}: {reason}; write it as https://HOST:PORT", shown(text));
        let has_scheme = text.contains("://");
        let whole = match (has_scheme, is_tls) {
            (true, _) => text.to_owned(),
            (false, true) => format!("https://{text}"),
            (false, false) => format!("http://{text}"),
        };
        let uri: Uri = whole.parse().map_err(|_| wrong("it is not a URL"))?;
        let Some(scheme @ ("http" | "https")) = uri.scheme_str() else {
            return Err(wrong("its scheme is neither https nor http"));
        };
        let Authority { login, host, port } = Authority::of(&uri, text).ok_or_else(|| wrong(UNCLEAR))?;
        if !has_scheme && uri.path() != "/" {
            return Err(wrong("it has a path, but no scheme"));
        }
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let base = format!("{scheme}://{host}{port}{}", uri.path().trim_end_matches('/'));
        let uri = base.parse().map_err(|_| wrong("it is not a URL"))?;
        Ok(Server { uri, login, is_guessed_plain: !has_scheme && !is_tls })
    }
}

/// What an entry has in itself, in Base64, or in a file.
fn contents<T>(item: &Item<T>, file: (&str, &str), data: (&str, &str)) -> Result<Option<Vec<u8>>, ClientError> {
    match (file.1, data.1) {
        ("", "") => Ok(None),
        (file_name, "") => {
            let path = item.path(file_name);
            let read = std::fs::read(&path);
            read.map(Some).map_err(|error| item.fault(file.0, format!("{}: {error}", path.display())))
        }
        ("", text) => {
            let text: String = text.chars().filter(|character| !character.is_ascii_whitespace()).collect();
            STANDARD.decode(text).map(Some).map_err(|_| item.fault(data.0, "it is not in Base64"))
        }
        _ => Err(item.fault(file.0, format!("{} is there too; keep one of the two", data.0))),
    }
}

/// By what the server's certificate is checked.
fn verification(config: &mut Config, cluster: &Item<Cluster>, authority: Option<&[u8]>) -> Result<(), ClientError> {
    let Cluster { certificate_authority: file, tls_server_name: name, .. } = &cluster.value;
    config.accept_invalid_certs = cluster.value.insecure_skip_tls_verify;
    if let Some(pem) = authority {
        if config.accept_invalid_certs {
            let reason = "a certificate authority is there too; keep one of the two";
            return Err(cluster.fault("insecure-skip-tls-verify", reason));
        }
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let found = found.ok().filter(|found| !found.is_empty());
        let found = found.ok_or_else(|| cluster.fault("certificate-authority", "it has no certificate in PEM"))?;
        config.root_cert = Some(found.into_iter().map(|der| der.to_vec()).collect());
        // The library reads a file again when it is a minute old.
        config.root_cert_file = Some(file).filter(|file| !file.is_empty()).map(|file| cluster.path(file));
    }
    if !name.is_empty() {
        let is_name = rustls::pki_types::ServerName::try_from(name.as_str()).is_ok();
        is_name.then_some(()).ok_or_else(|| cluster.fault("tls-server-name", "it is not a host's name"))?;
        config.tls_server_name = Some(name.clone());
    }
    Ok(())
}

/// For whom the requests are made.
fn impersonation(config: &mut Config, user: &Item<User>) -> Result<(), ClientError> {
    let User { act_as, as_uid, as_groups, as_user_extra, .. } = &user.value;
    if act_as.is_empty() {
        let has_more = !(as_uid.is_empty() && as_groups.is_empty() && as_user_extra.is_empty());
        let reason = "it is missing beside as-uid, as-groups or as-user-extra";
        return if has_more { Err(user.fault("as", reason)) } else { Ok(()) };
    }
    let values = [("as", act_as), ("as-uid", as_uid)].into_iter();
    let values = values.chain(as_groups.iter().map(|group| ("as-groups", group)));
    let values = values.chain(as_user_extra.values().flatten().map(|extra| ("as-user-extra", extra)));
    for (key, value) in values {
        HeaderValue::from_str(value)
            .map_err(|_| user.fault(key, "it has a character that no HTTP header can have; write it in ASCII"))?;
    }
    config.auth_info.impersonate = Some(act_as.clone());
    config.auth_info.impersonate_uid = Some(as_uid.clone()).filter(|uid| !uid.is_empty());
    config.auth_info.impersonate_groups = Some(as_groups.clone());
    config.auth_info.impersonate_user_extra = Some(as_user_extra.clone().into_iter().collect());
    Ok(())
}

/// A certificate and its key, in PEM.
type Identity = (Vec<u8>, Vec<u8>);

/// The user's client certificate, if there is one.
fn identity(user: &Item<User>) -> Result<Option<Identity>, ClientError> {
    let User { client_certificate, client_certificate_data, client_key, client_key_data, .. } = &user.value;
    let certificate = contents(
        user,
        ("client-certificate", client_certificate),
        ("client-certificate-data", client_certificate_data),
    )?;
    let Some(certificate) = certificate else { return Ok(None) };
    let key = contents(user, ("client-key", client_key), ("client-key-data", client_key_data))?;
    let key = key.ok_or_else(|| user.fault("client-key", "it is missing beside the client certificate"))?;
    Ok(Some((certificate, key)))
}

/// Reads them as the library will, whose errors would quote a line of them.
fn check_identity(certificate: &[u8], key: &[u8]) -> Result<(), &'static str> {
    let (mut certificates, mut keys) = (0, 0);
    let mut rest = key.iter().chain(certificate).copied().collect::<Vec<u8>>();
    let mut reader = std::io::Cursor::new(&mut rest);
    loop {
        match pem::from_buf(&mut reader) {
            Ok(Some((SectionKind::Certificate, _))) => certificates += 1,
            Ok(Some((SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey, _))) => {
                keys += 1
            }
            Ok(Some(_)) => return Err("beside it and its key there is something else"),
            Ok(None) => break,
            Err(_) => return Err("it or its key is not in PEM"),
        }
    }
    match (certificates, keys) {
        (0, _) => Err("it has no certificate in PEM"),
        (_, 0) => Err("its key is not a private key in PEM (PKCS #8, PKCS #1 or SEC 1)"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::Server;

    #[test]
    fn a_server_is_read_as_kubectl_reads_it() {
        for (text, is_tls, expected) in [
            ("https://host:6443", false, "https://host:6443/"),
            ("https://host/", false, "https://host/"),
            ("https://host//", false, "https://host/"),
            ("https://host/k8s/clusters/c-1/", false, "https://host/k8s/clusters/c-1"),
            ("https://host/a?token=b#c", false, "https://host/a"),
            ("HTTPS://host", false, "https://host/"),
            ("http://host", true, "http://host/"),
            ("127.0.0.1:6443", true, "https://127.0.0.1:6443/"),
            ("127.0.0.1:6443", false, "http://127.0.0.1:6443/"),
            ("localhost:8080", false, "http://localhost:8080/"),
            ("host", true, "https://host/"),
            ("host/", true, "https://host/"),
            ("[::1]:6443", true, "https://[::1]:6443/"),
            ("https://user:hunter2@host", false, "https://host/"),
        ] {
            let server = Server::of(text, is_tls).expect(text);
            assert_eq!(server.uri.to_string(), expected, "{text}");
            assert_eq!(server.is_guessed_plain, !text.contains("//") && !is_tls, "{text}");
        }
        let login = Server::of("https://user:a%40b@host", false).expect("a server").login;
        assert_eq!(login, Some(["user".into(), "a@b".into()]));
    }

    #[test]
    fn a_bad_server_says_what_to_write() {
        for text in [
            "",
            "ftp://host",
            "unix:///run/hunter2",
            "https://",
            "https:///x",
            "https://:6443",
            "https://host:",
            "https://host:99999",
            "https://host:port",
            "https://ho st",
            " https://host",
            "https:/host",
            "host/path",
            "host:6443/path",
            "/",
            "https://user:hunter2/@host",
            "https://user:hunter2@",
            "user:hunter2\n@host",
            "\u{e9}",
        ] {
            for is_tls in [false, true] {
                let error = Server::of(text, is_tls).map(|server| server.uri).expect_err(text);
                assert!(error.contains("write it as https://HOST:PORT"), "{text}: {error}");
                assert!(!error.contains("hunter2") || text.starts_with("unix"), "{text}: {error}");
            }
        }
    }
}
