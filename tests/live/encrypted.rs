//! TLS, HTTPS and QUIC: the same answers, with common clients.

use std::net::SocketAddr;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::base::iana::Rtype;
use http::Request;

use crate::harness::ask::{Ask, Reply};
use crate::harness::dig::{Dig, kdig};
use crate::harness::process::{free_address, output, scratch};
use crate::harness::quic::Quic;
use crate::harness::server::Server;
use crate::harness::tls::{Authority, Mounted, SERVER_NAME};

use super::site::{ask, manifests, text, whole, zones};

/// A server on every transport, shared by the tests that only query.
static SITE: LazyLock<Encrypted> = LazyLock::new(Encrypted::start);

/// A server on every transport, and its certificate authority.
pub(crate) struct Encrypted {
    pub(crate) server: Server,
    pub(crate) authority: Authority,
    pub(crate) mounted: Mounted,
    pub(crate) tls: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) quic: SocketAddr,
}

impl Encrypted {
    pub(crate) fn start() -> Encrypted {
        Encrypted::of(manifests())
    }

    /// The same with other Pods.
    pub(crate) fn of(manifests: &str) -> Encrypted {
        Encrypted::with(manifests, &["--trusted-client", "127.0.0.1"])
    }

    /// The same with other arguments.
    pub(crate) fn with(manifests: &str, args: &[&str]) -> Encrypted {
        let authority = Authority::new();
        let (certificate, key, _) = authority.issue();
        let mounted = Mounted::new(&certificate, &key);
        let [tls, https, quic] = [free_address(), free_address(), free_address()];
        let [on_tls, on_https, on_quic] = [tls, https, quic].map(|address| address.to_string());
        let [certificate, key] = ["tls.crt", "tls.key"].map(|name| mounted.file(name));
        let mut all = vec!["--manifests", manifests, "--zones", zones(), "--reverse", "10.244.0.0/16"];
        all.extend(["--listen-tls", &on_tls, "--listen-https", &on_https, "--listen-quic", &on_quic]);
        all.extend(["--tls-cert", &certificate, "--tls-key", &key]);
        all.extend(args);
        let server = Server::start(&all);
        Encrypted { server, authority, mounted, tls, https, quic }
    }

    /// Asks with kdig over a transport: `+tls`, `+https`, `+https-get` or `+quic`.
    #[track_caller]
    pub(crate) fn kdig(&self, transport: &str, args: &[&str]) -> Dig {
        let server = match transport {
            "+tls" => self.tls,
            "+quic" => self.quic,
            _ => self.https,
        };
        let (ca, name) = (format!("+tls-ca={}", text(&self.authority.file)), format!("+tls-hostname={SERVER_NAME}"));
        kdig(server, &[&[ca.as_str(), &name, transport], args].concat())
    }

    /// The value of a metric. 0 if it does not exist yet.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let (_, metrics) = self.server.get("/metrics");
        let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().expect("a number"))
    }
}

#[test]
fn kdig_reads_the_same_over_every_transport() {
    for args in [
        &["SRV", "_rpc._tcp.org.acme.greeter.default.rpc.cluster.local."][..],
        &["TXT", "_rpc._tcp.org.acme.greeter.default.rpc.cluster.local."],
        &["SOA", "rpc.cluster.local."],
        &["A", "nobody.default.rpc.cluster.local."],
        &["A", "www.static.test."],
        &["NS", "."],
        &["+nsid", "ANY", "rpc.cluster.local."],
        &["+noedns", "A", "rpc.cluster.local."],
        &["+edns=1", "A", "rpc.cluster.local."],
    ] {
        let plain = kdig(SITE.server.dns, &[&["+tcp"], args].concat());
        for transport in ["+tls", "+https", "+https-get", "+quic"] {
            let reply = SITE.kdig(transport, &[&["+nopadding"], args].concat());
            let parts = |dig: &Dig| {
                let Dig { status, flags, answer, authority, additional, .. } = dig;
                (status.clone(), flags.clone(), answer.clone(), authority.clone(), additional.clone())
            };
            assert_eq!(parts(&reply), parts(&plain), "{transport} {args:?}:\n{}", reply.text);
        }
    }
    for transport in ["tls", "https", "quic"] {
        let series = format!("callsign_queries_total{{qtype=\"SRV\",transport=\"{transport}\",rcode=\"NOERROR\"}}");
        assert!(SITE.metric(&series) > 0, "{series}");
    }
}

#[test]
fn a_padded_query_has_a_padded_reply() {
    for transport in ["+tls", "+https", "+quic"] {
        let reply = SITE.kdig(transport, &["+padding", "SOA", "rpc.cluster.local."]);
        assert!(reply.text.contains("Received 468 B"), "{}", reply.text);
        let reply = SITE.kdig(transport, &["+nopadding", "SOA", "rpc.cluster.local."]);
        assert!(!reply.text.contains("PADDING"), "{}", reply.text);
    }
    let reply = kdig(SITE.server.dns, &["+tcp", "+padding", "SOA", "rpc.cluster.local."]);
    assert!(!reply.text.contains("PADDING: "), "what anyone can read is not padded: {}", reply.text);
}

#[test]
fn queries_are_pipelined_over_tls() {
    let mut connection = SITE.authority.connect(SITE.tls);
    for n in 0..25 {
        let query = ask(&format!("n{n}.default.Z"), Rtype::A).to_wire();
        let reply = connection.exchange(&query).expect("a reply");
        assert_eq!(Reply::read(&query, reply).rcode, "NXDOMAIN");
    }
}

/// A query for the zone's SOA, with the id 0, which helps caches (RFC 8484 §4.1).
fn soa() -> Vec<u8> {
    let mut query = ask("Z", Rtype::SOA).to_wire();
    query[..2].copy_from_slice(&[0, 0]);
    query
}

pub(super) fn url(path: &str, message: &[u8]) -> String {
    format!("https://{SERVER_NAME}{path}?dns={}", BASE64_URL_SAFE_NO_PAD.encode(message))
}

/// An HTTP request and its response: method, URL, media type, body; status and `Cache-Control`.
type Exchange = (&'static str, String, &'static str, Vec<u8>, u16, &'static str);

fn exchanges() -> Vec<Exchange> {
    let get = |message: &[u8]| url("/dns-query", message);
    let query = |name: &str, rtype| ask(name, rtype).to_wire();
    let post = || format!("https://{SERVER_NAME}/dns-query");
    let mut response = soa();
    response[2] |= 0x80;
    let media_type = "application/dns-message";
    vec![
        ("GET", get(&soa()), "", vec![], 200, "max-age=5"),
        ("GET", get(&query("www.static.test.", Rtype::A)), "", vec![], 200, "max-age=300"),
        ("GET", get(&query("nobody.default.Z", Rtype::A)), "", vec![], 200, "max-age=5"),
        ("GET", get(&query("elsewhere.", Rtype::A)), "", vec![], 200, "max-age=0"),
        ("GET", get(&soa()[..20]), "", vec![], 200, "max-age=0"),
        ("POST", post(), media_type, soa(), 200, "max-age=5"),
        ("POST", post(), "Application/DNS-Message; x=y", soa(), 200, "max-age=5"),
        ("GET", url("/", &soa()), "", vec![], 404, ""),
        ("GET", url("/dns-query/", &soa()), "", vec![], 404, ""),
        ("POST", format!("https://{SERVER_NAME}/metrics"), media_type, soa(), 404, ""),
        ("GET", post(), "", vec![], 400, ""),
        ("GET", format!("{}?dns=%%%", post()), "", vec![], 400, ""),
        ("GET", format!("{}&dns=AAAA", get(&soa())), "", vec![], 400, ""),
        ("GET", get(b"short"), "", vec![], 400, ""),
        ("GET", get(&response), "", vec![], 400, ""),
        ("PUT", post(), media_type, soa(), 405, ""),
        ("DELETE", get(&soa()), "", vec![], 405, ""),
        ("POST", post(), "text/plain", soa(), 415, ""),
        ("POST", post(), media_type, vec![0; 65_536], 413, ""),
        ("POST", post(), media_type, vec![], 400, ""),
    ]
}

#[test]
fn http_2_errors_have_a_status() {
    let (authority, folder) = (text(&SITE.authority.file).to_owned(), scratch("curl"));
    for (n, (method, url, media_type, body, status, cache)) in exchanges().into_iter().enumerate() {
        let (sent, received) = (folder.join(format!("{n}.sent")), folder.join(format!("{n}.received")));
        std::fs::write(&sent, &body).expect("write");
        let resolved = format!("{SERVER_NAME}:{}:{}", SITE.https.port(), SITE.https.ip());
        let url = url.replacen(SERVER_NAME, &format!("{SERVER_NAME}:{}", SITE.https.port()), 1);
        let content_type = format!("Content-Type: {media_type}");
        let data = format!("@{}", text(&sent));
        let mut args = vec!["-sS", "--http2", "--cacert", &authority, "--resolve", &resolved, "-X", method, "-o"];
        args.extend([
            text(&received),
            "-w",
            "%{http_version} %{http_code} %header{cache-control} %header{allow}",
            &url,
        ]);
        if !media_type.is_empty() {
            args.extend(["-H", &content_type, "--data-binary", &data]);
        }
        let said = output("curl", &args);
        let allow = if status == 405 { "GET, POST" } else { "" };
        assert_eq!(said, format!("2 {status} {cache} {allow}"), "{method} {url}");
        if status == 200 {
            let reply = std::fs::read(&received).expect("a reply");
            assert_eq!(reply[2] & 0x80, 0x80, "{method} {url}");
        }
    }
}

#[test]
fn http_3_errors_have_the_same_status() {
    let connection = Quic::connect(&SITE.authority, SITE.https, b"h3");
    let requests = exchanges().into_iter().map(|(method, url, media_type, body, ..)| {
        let request = Request::builder().method(method).uri(url.replace("%%%", "!"));
        request.header("content-type", media_type).body(Bytes::from(body)).expect("a request")
    });
    let responses = connection.requests(requests.collect());
    for (response, (method, url, _, body, status, cache)) in responses.iter().zip(exchanges()) {
        assert_eq!(response.status().as_u16(), status, "{method} {url} {} bytes", body.len());
        let said = response.headers().get("cache-control").map_or("", |value| value.to_str().expect("text"));
        assert_eq!(said, cache, "{method} {url}");
        if status == 200 && url == self::url("/dns-query", &soa()) {
            assert_eq!(response.headers()["content-type"], "application/dns-message");
            assert_eq!(Reply::read(&soa(), response.body().clone()).answer.len(), 1);
        }
    }
    assert_eq!(responses.len(), exchanges().len());
}

pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

#[test]
fn quic_carries_many_queries_of_one_connection() {
    let connection = Quic::connect(&SITE.authority, SITE.quic, b"doq");
    for _ in 0..250 {
        let reply = connection.exchange(&framed(&soa())).expect("a reply");
        let (len, message) = reply.split_first_chunk::<2>().expect("a length");
        assert_eq!(usize::from(u16::from_be_bytes(*len)), message.len());
        assert_eq!(Reply::read(&soa(), message.to_vec()).answer.len(), 1);
    }
}

#[test]
fn a_client_that_breaks_the_quic_protocol_is_cut_off() {
    let keepalive = super::site::options(&[(11, &[])]);
    let mut keepalive = Ask::new(&whole("Z"), Rtype::SOA).opt(keepalive).to_wire();
    keepalive[..2].copy_from_slice(&[0, 0]);
    let mut with_id = soa();
    with_id[1] = 1;
    let mut response = soa();
    response[2] |= 0x80;
    for (what, bytes) in [
        ("an id", framed(&with_id)),
        ("the option of TCP's keepalive", framed(&keepalive)),
        ("a reply", framed(&response)),
        ("two queries", [framed(&soa()), framed(&soa())].concat()),
        ("less than its length", framed(&soa())[..20].to_vec()),
        ("nothing", vec![]),
        ("more than a message", vec![0xff; 70_000]),
    ] {
        let connection = Quic::connect(&SITE.authority, SITE.quic, b"doq");
        connection.exchange(&framed(&soa())).expect("a reply to what is right");
        assert!(connection.exchange(&bytes).is_err(), "{what}");
        assert_eq!(connection.closed(), 2, "{what} is a protocol error");
    }
}
