//! Translates a kubeconfig, or a Pod's environment, into the settings of the client library.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use kube::Config;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::credentials::Credentials;
use super::identity::{self, ClientIdentity, UnusableCertificate};
use super::impersonation;
use super::kubeconfig::{self, Chosen, Cluster, ConfigEntry, Exec, User};
use super::plugin::{self, Plugin, Program};
use super::proxy::{Proxy, Variables, basic};
use super::{ClientError, plain};
use crate::url::{UNCLEAR, UrlAuthority};

/// All that a client needs.
pub(super) struct Settings {
    pub config: Config,
    pub credentials: Credentials,
    pub identity: ClientIdentity,
    pub proxy: Option<Proxy>,
}

impl Settings {
    /// The settings of a kubeconfig's context.
    pub(super) async fn of_kubeconfig(chosen: &Chosen, variables: &Variables) -> Result<Settings, ClientError> {
        let Chosen { namespace, cluster, user } = chosen;
        check_user(user)?;
        let Cluster { certificate_authority: file, certificate_authority_data: data, .. } = &cluster.value;
        let authority = contents(cluster, ["certificate-authority", "certificate-authority-data"], [file, data])?;
        let server = ApiServer::of_chosen(chosen)?;
        let mut config = Config::new(server.uri.clone());
        config.default_namespace = namespace.clone().unwrap_or_else(|| "default".to_owned());
        config.headers = impersonation::headers(user)?;
        if server.is_https() {
            verification(&mut config, cluster, authority.as_ref())?;
        }
        let authority = authority.map(|(_, pem)| pem).unwrap_or_default();
        let (credentials, identity) = requester(&server, chosen, &authority).await?;
        let proxy = match cluster.value.proxy_url.as_str() {
            "" => variables.proxy(&server.uri).map_err(ClientError::Proxy)?,
            url => {
                let place = format!("{}: {}: proxy-url", cluster.file.display(), cluster.what);
                Some(Proxy::of(url, &place).map_err(ClientError::Proxy)?)
            }
        };
        Ok(Settings { config, credentials, identity, proxy })
    }

    /// The settings of the Pod that this process runs in.
    pub(super) fn of_pod(variables: &Variables) -> Result<Settings, String> {
        let mut config = Config::incluster().map_err(|error| plain(&error))?;
        config.default_namespace = config.default_namespace.trim().to_owned();
        let file = config.auth_info.token_file.take().map(PathBuf::from);
        let credentials = file.map_or(Ok(Credentials::None), Credentials::of_file)?;
        let proxy = variables.proxy(&config.cluster_url)?;
        Ok(Settings { config, credentials, identity: ClientIdentity::new(None), proxy })
    }
}

/// The plugin that gives the credentials. `None` if the user has other credentials, or if the server has no TLS, as in kubectl.
pub(super) fn program(chosen: &Chosen) -> Result<Option<&Exec>, ClientError> {
    let server = ApiServer::of_chosen(chosen)?;
    let User { username, token, token_file, exec, .. } = &chosen.user.value;
    let has_other = [username, token.trim(), token_file].iter().any(|text| !text.is_empty());
    let is_due = server.is_https() && server.login.is_none() && !has_other && !chosen.user.value.has_certificate();
    Ok(exec.as_ref().filter(|_| is_due))
}

/// The credentials and the client certificate. Over plain HTTP only a login in the URL counts, as in kubectl: no token file is read, and
/// no plugin runs.
async fn requester(
    server: &ApiServer,
    chosen: &Chosen,
    authority: &[u8],
) -> Result<(Credentials, ClientIdentity), ClientError> {
    let Chosen { cluster, user, .. } = chosen;
    let login = server.login.as_ref().map(|[name, password]| Credentials::Fixed(basic(name, password)));
    if !server.is_https() {
        if user.value.has_identity() {
            let (file, cluster) = (cluster.file.display(), &cluster.what);
            tracing::warn!(
                "{file}: {cluster}: server: it is asked by plain HTTP, without the user's credentials; write https:// before the host"
            );
        }
        return Ok((login.unwrap_or(Credentials::None), ClientIdentity::new(None)));
    }
    let credentials = Credentials::of_user(user)?;
    let identity = identity(user)?.unwrap_or_else(|| ClientIdentity::new(None));
    let Some(exec) = program(chosen)? else {
        // As in kubectl, a login in the URL takes precedence over the user's credentials.
        return Ok((login.unwrap_or(credentials), identity));
    };
    let plugin = Plugin::start(Program::of(user, exec, cluster, authority)?, identity.clone()).await?;
    Ok((Credentials::Plugin(plugin), identity))
}

/// The address of an API server.
#[derive(Debug)]
struct ApiServer {
    uri: Uri,
    /// The user and the password in the URL.
    login: Option<[String; 2]>,
}

impl ApiServer {
    fn of_chosen(Chosen { cluster, user, .. }: &Chosen) -> Result<ApiServer, ClientError> {
        let Cluster { server, insecure_skip_tls_verify, .. } = &cluster.value;
        let is_tls = cluster.value.has_authority() || user.value.has_certificate() || *insecure_skip_tls_verify;
        ApiServer::of(server, is_tls).map_err(|reason| cluster.fault("server", reason))
    }

    /// Parses `server`. Without a scheme it is a host with or without a port, and the client uses TLS if the kubeconfig has any setting of
    /// TLS. No error contains the text, which may hold a secret.
    fn of(text: &str, is_tls: bool) -> Result<ApiServer, String> {
        if text.is_empty() {
            return Err("it is missing: write it as https://HOST:PORT".into());
        }
        let wrong = |reason: &str| format!("{reason}; write it as https://HOST:PORT");
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
        let UrlAuthority { login, host, port } = UrlAuthority::of(&uri, text).ok_or_else(|| wrong(UNCLEAR))?;
        if !has_scheme && uri.path() != "/" {
            return Err(wrong("it has a path, but no scheme"));
        }
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let base = format!("{scheme}://{host}{port}{}", uri.path().trim_end_matches('/'));
        let uri = base.parse().map_err(|_| wrong("it is not a URL"))?;
        Ok(ApiServer { uri, login })
    }

    fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }
}

/// The bytes of an entry, from a file or from Base64, and the key that gives them. No error contains the file's path, because the
/// operator may have written the secret itself in its place.
fn contents<T>(
    item: &ConfigEntry<T>,
    [file_key, data_key]: [&'static str; 2],
    [file, data]: [&str; 2],
) -> Result<Option<(&'static str, Vec<u8>)>, ClientError> {
    match (file, data) {
        ("", "") => Ok(None),
        (file, "") => kubeconfig::read(&item.path(file)).map(|bytes| Some((file_key, bytes))).map_err(|error| {
            let hint = format!("write a file's path here, and what the file holds, in Base64, as {data_key}");
            item.fault(file_key, format!("the file that it names cannot be read: {error}; {hint}"))
        }),
        ("", text) => {
            let text: String = text.chars().filter(|character| !character.is_ascii_whitespace()).collect();
            let bytes = STANDARD.decode(text).map_err(|_| item.fault(data_key, "it is not in Base64"))?;
            Ok(Some((data_key, bytes)))
        }
        _ => Err(item.fault(file_key, format!("{data_key} is there too; keep one of the two"))),
    }
}

/// Sets how the server's certificate is verified.
fn verification(
    config: &mut Config,
    cluster: &ConfigEntry<Cluster>,
    authority: Option<&(&str, Vec<u8>)>,
) -> Result<(), ClientError> {
    let Cluster { certificate_authority: file, tls_server_name: name, .. } = &cluster.value;
    config.accept_invalid_certs = cluster.value.insecure_skip_tls_verify;
    if let Some((key, pem)) = authority {
        if config.accept_invalid_certs {
            let reason = "a certificate authority is there too; keep one of the two";
            return Err(cluster.fault("insecure-skip-tls-verify", reason));
        }
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let found = found.ok().filter(|found| !found.is_empty());
        let found = found.ok_or_else(|| cluster.fault(key, "it has no certificate in PEM"))?;
        config.root_cert = Some(found.into_iter().map(|der| der.to_vec()).collect());
        // The library reads the file again after a minute.
        config.root_cert_file = Some(file).filter(|file| !file.is_empty()).map(|file| cluster.path(file));
    }
    if !name.is_empty() {
        let is_name = rustls::pki_types::ServerName::try_from(name.as_str()).is_ok();
        is_name.then_some(()).ok_or_else(|| cluster.fault("tls-server-name", "it is not a host's name"))?;
        config.tls_server_name = Some(name.clone());
    }
    Ok(())
}

/// The user's client certificate. `None` if it has none.
fn identity(user: &ConfigEntry<User>) -> Result<Option<ClientIdentity>, ClientError> {
    let User { client_certificate: file, client_certificate_data: data, .. } = &user.value;
    let User { client_key: key_file, client_key_data: key_data, .. } = &user.value;
    let certificate = contents(user, ["client-certificate", "client-certificate-data"], [file, data])?;
    let Some((certificate_key, certificate)) = certificate else { return Ok(None) };
    let key = contents(user, ["client-key", "client-key-data"], [key_file, key_data])?;
    let (key_key, key) = key.ok_or_else(|| user.fault("client-key", "it is missing beside the client certificate"))?;
    let pair = identity::pair(&certificate, &key).map_err(|unusable| match unusable {
        UnusableCertificate::Certificate(reason) => user.fault(certificate_key, reason),
        UnusableCertificate::Key(reason) => user.fault(key_key, reason),
    })?;
    if file.is_empty() || key_file.is_empty() {
        return Ok(Some(ClientIdentity::new(Some(pair))));
    }
    let place = format!("{}: {}: client-certificate", user.file.display(), user.what);
    Ok(Some(ClientIdentity::of_files(pair, user.path(file), user.path(key_file), place)))
}

/// Refuses what kubectl refuses of a user, with or without TLS.
fn check_user(user: &ConfigEntry<User>) -> Result<(), ClientError> {
    let User { token, username, password, exec, auth_provider, .. } = &user.value;
    let has_login = !username.is_empty() || !password.is_empty();
    if has_login && !token.is_empty() {
        return Err(user.fault("token", "username and password are there too; keep one of the two ways"));
    }
    if username.is_empty() && !password.is_empty() {
        tracing::warn!("{}: {}: password: it is not used, since username is missing", user.file.display(), user.what);
    }
    match (exec, auth_provider) {
        (Some(_), Some(_)) => Err(user.fault("auth-provider", "exec is there too; keep one of the two ways")),
        (Some(exec), None) => plugin::check(user, exec),
        (None, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::ApiServer;

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
            let server = ApiServer::of(text, is_tls).expect(text);
            assert_eq!(server.uri.to_string(), expected, "{text}");
        }
        let login = ApiServer::of("https://user:a%40b@host", false).expect("a server").login;
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
                let error = ApiServer::of(text, is_tls).map(|server| server.uri).expect_err(text);
                assert!(error.contains("write it as https://HOST:PORT"), "{text}: {error}");
                assert!(!error.contains("hunter2"), "{text}: {error}");
            }
        }
    }
}
