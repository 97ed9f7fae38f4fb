//! The proxy to an API server: that of the kubeconfig, or else that of the environment, by Go's rules.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use ipnet::IpNet;

use crate::url::{UNCLEAR, UrlAuthority, redacted};

/// The most bytes of a SOCKS proxy's user name and password together. One buffer of the library holds them and the host's name.
const SOCKS_LOGIN_LEN_MAX: usize = 180;

/// A proxy.
#[derive(Clone)]
pub(super) struct Proxy {
    pub kind: ProxyKind,
    /// Its scheme, host and port.
    pub uri: Uri,
    /// Its URL without secrets, and the key or variable that names it, for errors.
    pub shown: String,
}

/// The protocol of a proxy.
#[derive(Clone)]
pub(super) enum ProxyKind {
    /// HTTP's CONNECT, over `http://` or `https://`.
    Http { authorization: Option<HeaderValue> },
    /// SOCKS5. The proxy resolves the host's name.
    Socks { login: Option<(String, String)> },
}

/// The environment's variables about proxies. An empty one counts as absent.
#[derive(Default)]
pub(super) struct Variables {
    http: Option<(&'static str, String)>,
    https: Option<(&'static str, String)>,
    no: String,
    /// A web server has started this process, so `HTTP_PROXY` may be a header of a request.
    is_cgi: bool,
}

impl Variables {
    /// The variables of this process.
    #[allow(clippy::disallowed_methods, reason = "every program reads its proxies from them")]
    pub(super) fn of_process() -> Variables {
        Variables::of(|name| std::env::var(name).ok())
    }

    fn of(value: impl Fn(&str) -> Option<String>) -> Variables {
        let first = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| Some((name, value(name).filter(|value| !value.is_empty())?)))
        };
        Variables {
            http: first(["HTTP_PROXY", "http_proxy"]),
            https: first(["HTTPS_PROXY", "https_proxy"]),
            no: first(["NO_PROXY", "no_proxy"]).map(|(_, value)| value).unwrap_or_default(),
            is_cgi: value("REQUEST_METHOD").is_some_and(|value| !value.is_empty()),
        }
    }

    /// The proxy to a server. `None` if it needs none.
    ///
    /// # Errors
    /// The variable is not valid. A variable that the server does not need is not checked.
    pub(super) fn proxy(&self, server: &Uri) -> Result<Option<Proxy>, String> {
        let is_https = server.scheme_str() == Some("https");
        let variable = if is_https { &self.https } else { &self.http };
        let host = server.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = server.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        match variable {
            Some((name, value)) if is_due(&self.no, &host, port) => {
                if !is_https && self.is_cgi {
                    return Err(format!("{name}: it is not used beside REQUEST_METHOD, which a web server sets"));
                }
                // A bare `host:port` means `http://host:port`.
                let text = if value.contains("://") { value.clone() } else { format!("http://{value}") };
                Proxy::of(&text, name).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Whether the environment's proxy is used for a server: not if the server is local or matches `NO_PROXY`.
fn is_due(no_proxy: &str, host: &str, port: u16) -> bool {
    let ip = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return false;
    }
    !no_proxy.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| matches(&entry, host, ip, port))
}

/// Whether an entry of `NO_PROXY` matches this host. It is `*`, a network, or a name or address with or without a port. A name also
/// matches the names below it, and with a dot before it only those.
fn matches(entry: &str, host: &str, ip: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(network) = entry.parse::<IpNet>() {
        return ip.is_some_and(|ip| network.contains(&ip));
    }
    let (name, wanted_port) = match entry.rsplit_once(':') {
        // Several colons without brackets are an address.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (entry, None),
    };
    if wanted_port.is_some_and(|wanted| !wanted.is_empty() && wanted != port.to_string()) {
        return false;
    }
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = name.parse::<IpAddr>() {
        return ip == Some(address.to_canonical());
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    match (ip, name.strip_prefix('.')) {
        (Some(_), _) | (_, Some("")) => false,
        (None, Some(_)) => host.ends_with(name),
        (None, None) => {
            !name.is_empty() && host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        }
    }
}

impl Proxy {
    /// Parses a proxy's URL. `place` is the key or variable that has it, for errors.
    ///
    /// # Errors
    /// The URL is not valid. The error says what to write, and does not contain the text, which may be a secret.
    pub(super) fn of(text: &str, place: &str) -> Result<Proxy, String> {
        let wrong = |reason: &str| {
            format!("{place}: {reason}; write it as http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT")
        };
        let uri: Uri = text.parse().map_err(|_| wrong("it is not a URL"))?;
        let scheme = uri.scheme_str().ok_or_else(|| wrong("it has no scheme"))?;
        let UrlAuthority { login, host, port } = UrlAuthority::of(&uri, text).ok_or_else(|| wrong(UNCLEAR))?;
        let port = port.unwrap_or(match scheme {
            "http" => 80,
            "https" => 443,
            _ => 1080,
        });
        let kind = match scheme {
            "http" | "https" => {
                let header = login.map(|[user, password]| basic(&user, &password));
                ProxyKind::Http { authorization: header }
            }
            "socks5" | "socks5h" => match login {
                Some([user, password]) if user.len() + password.len() > SOCKS_LOGIN_LEN_MAX => {
                    return Err(wrong("its user name and password are over 180 bytes"));
                }
                login => ProxyKind::Socks { login: login.map(|[user, password]| (user, password)) },
            },
            _ => return Err(wrong("callsign does not know its scheme")),
        };
        let shown = format!("{} ({place})", redacted(&format!("{scheme}://{host}:{port}")));
        // SOCKS itself runs over plain TCP.
        let scheme = if scheme == "https" { "https" } else { "http" };
        let uri = format!("{scheme}://{host}:{port}/").parse().map_err(|_| wrong("it is not a URL"))?;
        Ok(Proxy { kind, uri, shown })
    }
}

/// The value of an `Authorization` header with a user's name and password.
pub(super) fn basic(user: &str, password: &str) -> HeaderValue {
    let encoded = STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::try_from(format!("Basic {encoded}")).expect("Base64 is printable");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(list: &[(&str, &str)]) -> Variables {
        let found = |name: &str| list.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Variables::of(found)
    }

    #[test]
    fn no_proxy_is_read_as_go_reads_it() {
        for (no_proxy, server, is_due) in [
            ("", "https://api.example:6443", true),
            ("", "https://127.0.0.1:6443", false),
            ("", "https://127.9.9.9", false),
            ("", "https://[::1]:6443", false),
            ("", "https://localhost:6443", false),
            ("", "https://LOCALHOST", false),
            ("", "https://10.0.0.1", true),
            ("*", "https://10.0.0.1", false),
            ("a, *", "https://api.example", false),
            ("10.0.0.1", "https://10.0.0.1", false),
            ("10.0.0.1", "https://10.0.0.2", true),
            ("10.0.0.1:443", "https://10.0.0.1", false),
            ("10.0.0.1:443", "https://10.0.0.1:6443", true),
            ("10.0.0.0/8", "https://10.255.0.1:6443", false),
            ("10.0.0.0/8", "https://11.0.0.1", true),
            ("10.0.0.0/8", "https://api.example", true),
            ("fd00::/8", "https://[fd00::1]:6443", false),
            ("fd00::1", "https://[fd00::1]:6443", false),
            ("[fd00::1]:6443", "https://[fd00::1]:6443", false),
            ("[fd00::1]:443", "https://[fd00::1]:6443", true),
            ("example", "https://example", false),
            ("example", "https://api.example", false),
            ("example", "https://myexample", true),
            (".example", "https://api.example", false),
            (".example", "https://example", true),
            ("*.example", "https://api.example", false),
            ("*.example", "https://example", true),
            ("EXAMPLE", "https://Api.Example", false),
            ("example:6443", "https://api.example:6443", false),
            ("example:6443", "https://api.example", true),
            (" a ,, example ", "https://api.example", false),
            (".", "https://api.example", true),
            (":443", "https://api.example", true),
            ("0.0.0.1", "https://api.0.0.0.1x", true),
            ("svc,.cluster.local", "https://kubernetes.default.svc", false),
        ] {
            let variables = variables(&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", no_proxy)]);
            let proxy = variables.proxy(&server.parse().expect("a URL")).expect("a proxy");
            assert_eq!(proxy.is_some(), is_due, "NO_PROXY={no_proxy} {server}");
        }
    }

    #[test]
    fn the_scheme_tells_the_variable() {
        let of = |list: &[(&str, &str)], server: &str| {
            let proxy = variables(list).proxy(&server.parse().expect("a URL"));
            proxy.map(|proxy| proxy.map(|proxy| proxy.uri.to_string()).unwrap_or_default())
        };
        for (list, server, expected) in [
            (&[("HTTPS_PROXY", "http://p:1")][..], "https://a", "http://p:1/"),
            (&[("HTTPS_PROXY", "http://p:1")], "http://a", ""),
            (&[("HTTP_PROXY", "http://p:1")], "http://a", "http://p:1/"),
            (&[("HTTP_PROXY", "http://p:1")], "https://a", ""),
            (&[("https_proxy", "http://p:1")], "https://a", "http://p:1/"),
            (&[("HTTPS_PROXY", ""), ("https_proxy", "http://p:1")], "https://a", "http://p:1/"),
            (&[("HTTPS_PROXY", "http://p:1"), ("https_proxy", "http://q:1")], "https://a", "http://p:1/"),
            (&[("HTTPS_PROXY", "p:8080")], "https://a", "http://p:8080/"),
            (&[("HTTPS_PROXY", "p")], "https://a", "http://p:80/"),
            (&[("HTTPS_PROXY", "user:hunter2@p:1")], "https://a", "http://p:1/"),
            (&[("HTTPS_PROXY", "http://p:1"), ("no_proxy", "a")], "https://a", ""),
            (&[("HTTPS_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")], "https://a", "http://p:1/"),
            (&[("HTTPS_PROXY", "ftp://p:1"), ("NO_PROXY", "a")], "https://a", ""),
            (&[("ALL_PROXY", "http://p:1")], "https://a", ""),
        ] {
            assert_eq!(of(list, server).as_deref(), Ok(expected), "{list:?} {server}");
        }
        let error = of(&[("HTTP_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")], "http://a").expect_err("a proxy");
        assert!(error.starts_with("HTTP_PROXY: "), "{error}");
    }

    #[test]
    fn reads_urls_of_proxies() {
        for (text, expected) in [
            ("http://p:3128", "http://p:3128/"),
            ("http://p", "http://p:80/"),
            ("https://p", "https://p:443/"),
            ("https://user:a%40b@p:1/x", "https://p:1/"),
            ("socks5://p", "http://p:1080/"),
            ("socks5h://user:hunter2@[::1]:1", "http://[::1]:1/"),
        ] {
            let proxy = Proxy::of(text, "proxy-url").expect(text);
            assert_eq!(proxy.uri.to_string(), expected, "{text}");
            assert!(!proxy.shown.contains('@'), "{}", proxy.shown);
        }
        let authorization = |text| match Proxy::of(text, "x").expect(text).kind {
            ProxyKind::Http { authorization } => authorization.expect("a header").to_str().expect("text").to_owned(),
            ProxyKind::Socks { .. } => panic!("{text}"),
        };
        assert_eq!(authorization("http://user:p%40%3A@p"), format!("Basic {}", STANDARD.encode("user:p@:")));
        assert_eq!(authorization("http://user@p"), format!("Basic {}", STANDARD.encode("user:")));
    }

    #[test]
    fn a_bad_proxy_is_told_without_its_password() {
        for text in [
            "ftp://user:hunter2@p:1",
            "socks4://user:hunter2@p:1",
            "user:hunter2@p:1",
            "http://user:hunter2@p:99999",
            "http://user:hunter2@p:port",
            "http://user:hunter2@:1",
            "http://user:hunter 2@p:1",
            "http://user:hunter2/@p:1",
            "http://user:hunter2",
            "http://hunter2#x@p:1",
            "http://hunter2?x@p:1",
            "//user:hunter2@p:1",
            "",
        ] {
            let error = Proxy::of(text, "HTTPS_PROXY").map(|_| ()).expect_err(text);
            assert!(error.starts_with("HTTPS_PROXY: ") && error.contains("socks5://HOST:PORT"), "{error}");
            assert!(!error.contains("hunter"), "{text}: {error}");
        }
        let long = format!("socks5://user:{}@p", "x".repeat(SOCKS_LOGIN_LEN_MAX));
        assert!(Proxy::of(&long, "x").is_err_and(|error| error.contains("180 bytes") && !error.contains("xx")));
    }
}
