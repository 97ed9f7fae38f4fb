//! The only place that formats URLs for errors, logs and pages.

use http::Uri;
use percent_encoding::percent_decode_str;

/// A URL without anything that may be secret: its scheme, host, port and path. User name, password, query and fragment
/// are left out. A text that cannot be split into these parts is not shown at all.
pub fn redacted(url: &str) -> String {
    of_text(url).unwrap_or_else(|| "(a URL that is not shown, because it may contain a secret)".to_owned())
}

fn of_text(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let UrlAuthority { host, port, .. } = UrlAuthority::of(&uri, url)?;
    let scheme = uri.scheme_str().map(|scheme| format!("{scheme}://")).unwrap_or_default();
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = if uri.path() == "/" { "" } else { uri.path() };
    Some(format!("{scheme}{host}{port}{path}"))
}

/// The error of a URL without an [`UrlAuthority`].
#[cfg(feature = "register")]
pub(crate) const UNCLEAR: &str =
    "its host or port is unclear (in a password write `/`, `?`, `#` and `@` as %2F, %3F, %23 and %40)";

/// The parts of a URL between its scheme and its path.
pub(crate) struct UrlAuthority<'u> {
    /// The user name and the password.
    #[cfg_attr(not(feature = "register"), expect(dead_code))] // for the API server's client
    pub login: Option<[String; 2]>,
    /// The host. An IPv6 address is in brackets.
    pub host: &'u str,
    pub port: Option<u16>,
}

impl UrlAuthority<'_> {
    /// The authority of a URL that was parsed from `text`. `None` if it has no host, or if the port is not a number.
    pub(crate) fn of<'u>(uri: &'u Uri, text: &str) -> Option<UrlAuthority<'u>> {
        let authority = uri.authority()?.as_str();
        // A password with an unescaped `/`, `?` or `#` ends the authority early. The text then has an `@` after it.
        if authority.matches('@').count() != text.matches('@').count() {
            return None;
        }
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let host_len = place.find(']').map(|end| end + 1).or_else(|| place.find(':')).unwrap_or(place.len());
        let (host, port) = place.split_at(host_len);
        let port = match port {
            "" => None,
            port => Some(port.strip_prefix(':')?.parse().ok()?),
        };
        let login = login.map(|login| {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            [user, password].map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
        });
        (!host.is_empty()).then_some(UrlAuthority { login, host, port })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{UrlAuthority, redacted};

    #[test]
    fn no_secret_of_a_url_is_shown() {
        for (url, expected) in [
            ("https://host", "https://host"),
            ("https://host:6443/", "https://host:6443"),
            ("https://host:6443/k8s/clusters/c-1?token=hunter2#hunter2", "https://host:6443/k8s/clusters/c-1"),
            ("http://user:hunter2@127.0.0.1:9", "http://127.0.0.1:9"),
            ("http://hunter2@[::1]:9/x", "http://[::1]:9/x"),
            ("socks5://user:%68unter2@proxy:1080", "socks5://proxy:1080"),
            ("127.0.0.1:6443", "127.0.0.1:6443"),
            ("user:hunter2@127.0.0.1:6443", "127.0.0.1:6443"),
        ] {
            assert_eq!(redacted(url), expected, "{url}");
        }
        for url in [
            "http://user:hunter2/x@host:9",
            "http://user:1/hunter2@host:9",
            "http://user:hunter2?x@host:9",
            "http://user:1?hunter2@host:9",
            "http://user:hunter2#x@host:9",
            "http://user:hunter 2@host:9",
            "http://user:hunter2@",
            "user:hunter2",
            "hunter2\n",
            "",
        ] {
            assert!(redacted(url).starts_with("(a URL"), "{url}: {}", redacted(url));
        }
    }

    proptest! {
        #[test]
        fn no_part_of_any_login_is_shown(before in ".{0,8}", middle in ".{0,8}", after in ".{0,8}", scheme in "(https?|socks5)://|") {
            let login = format!("{before}zq{middle}qz{after}");
            for url in [format!("{scheme}{login}@host:1/x"), format!("{scheme}u:{login}@host/x"), format!("{scheme}host/?{login}")] {
                let shown = redacted(&url);
                prop_assert!(!shown.contains("zq") && !shown.contains("qz"), "{url}: {shown}");
                if let Some(UrlAuthority { host, .. }) = url.parse().ok().as_ref().and_then(|uri| UrlAuthority::of(uri, &url)) {
                    prop_assert!(!host.is_empty() && !host.contains('@'));
                }
            }
        }
    }
}
