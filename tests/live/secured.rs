//! Commands and the library against a server with TLS and a token.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use callsign::registry::{Config, Registry, Selector, Update};
use hyper::client::conn::http2::Builder;
use hyper_util::rt::TokioExecutor;

use crate::harness::eventually;
use crate::harness::http2::Http2;
use crate::harness::process::scratch;
use crate::harness::server::Server;
use crate::harness::tls::{Authority, Mounted};

use super::site::{manifests, text};

/// How long a test waits for an expected event.
const PATIENCE: Duration = Duration::from_secs(20);

const INTERFACE: &str = "org.acme.Greeter";

/// The program, with no environment but `PATH`.
fn callsign(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callsign"));
    command.args(args).env_clear().output().expect("run the program")
}

/// A server with a token and a certificate of this authority; ready.
fn secured(authority: &Authority, token: &Path) -> Server {
    let (certificate, key, _) = authority.issue();
    let mounted = Mounted::new(&certificate, &key);
    let files = ["tls.crt", "tls.key"].map(|name| mounted.file(name));
    let args = ["--http-tls", "--tls-cert", &files[0], "--tls-key", &files[1], "--http-token", text(token)];
    let server =
        Server::launch(&[env!("CARGO_BIN_EXE_callsign")], &[&["--manifests", manifests()], &args[..]].concat());
    let (url, ca) = (format!("https://{}", server.http), text(&authority.file).to_owned());
    eventually(PATIENCE, || {
        let listed = callsign(&["ls", "--server", &url, "--server-ca", &ca, "--server-token", text(token)]);
        if listed.status.success() { Ok(()) } else { Err(format!("{listed:?} {}", server.log())) }
    });
    server
}

#[test]
fn commands_show_the_token_and_trust_the_authority() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let folder = scratch("secured");
    let [token, wrong, empty] = ["token", "wrong", "empty"].map(|name| folder.join(name));
    fs::write(&token, "s3cr3t\n").expect("write");
    fs::write(&wrong, "s3cr3t-2\n").expect("write");
    fs::write(&empty, "\n").expect("write");
    let server = secured(&authority, &token);
    let (secure, plain) = (format!("https://{}", server.http), format!("http://{}", server.http));
    let (ca, strange) = (text(&authority.file), text(&stranger.file));

    let whole = ["--server", &secure, "--server-ca", ca, "--server-token", text(&token)];
    for (command, expected) in
        [(&["ls"][..], INTERFACE), (&["ls", "--bad", "--json"], "["), (&["why", "nobody-0"], "no Pod default/nobody-0")]
    {
        let Output { stdout, stderr, .. } = callsign(&[command, &whole[..]].concat());
        let told = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        assert!(told.contains(expected), "{command:?}: {told}");
    }
    for (args, expected) in [
        (&["--server", &secure, "--server-ca", ca][..], "--server-token FILE"),
        (&["--server", &secure, "--server-ca", ca, "--server-token", text(&wrong)], "requires a token"),
        (&["--server", &secure, "--server-ca", ca, "--server-token", text(&empty)], "it must have one token"),
        (&["--server", &secure, "--server-ca", ca, "--server-token", "nowhere"], "nowhere: No such file"),
        (&["--server", &secure, "--server-ca", strange, "--server-token", text(&token)], "--server-ca FILE"),
        (&["--server", &secure, "--server-ca", text(&token)], "no certificate in PEM"),
        (&["--server", &plain, "--server-token", text(&token)], "with https:// if it has --http-tls"),
        (&["--manifests", manifests(), "--server-token", text(&token)], "cannot be used with"),
    ] {
        let failed = callsign(&[&["ls"], args].concat());
        let told = String::from_utf8_lossy(&failed.stderr);
        assert_eq!(failed.status.code(), Some(2), "{args:?}: {told}");
        assert!(told.contains(expected), "{args:?}: {told}");
        assert!(!told.contains("s3cr3t"), "{told}");
    }
    let refused = callsign(&["watch", INTERFACE, "--server", &secure, "--server-ca", ca]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("requires a token"), "{refused:?}");
}

/// The first update of a subscription.
fn first(config: Config) -> Option<Update> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let registry = Registry::connect(config).await.expect("a registry");
        let mut subscription = registry.subscribe(INTERFACE, Selector::default()).await.expect("a subscription");
        tokio::time::timeout(Duration::from_secs(3), subscription.next()).await.ok()
    })
}

#[test]
fn a_subscription_shows_the_token_and_trusts_the_authority() {
    let authority = Authority::new();
    let token = scratch("secured").join("token");
    fs::write(&token, "s3cr3t\n").expect("write");
    let server = secured(&authority, &token);
    let mut config = Config::of_server(format!("https://{}", server.http));
    config.server_ca = Some(authority.file.clone());
    config.server_token = Some(token);
    match first(config.clone()) {
        Some(Update::Set(set)) => assert!(!set.endpoints.is_empty()),
        other => panic!("{other:?}"),
    }
    let [mut without_token, mut without_authority] = [config.clone(), config];
    without_token.server_token = None;
    without_authority.server_ca = None;
    assert_eq!(first(without_token), None, "nothing without the token");
    assert_eq!(first(without_authority), None, "a server with an unknown authority");
}

/// Clients without the token take no place of clients with it.
#[test]
fn clients_without_the_token_take_no_place() {
    let folder = scratch("strangers");
    let token = folder.join("token");
    fs::write(&token, "s3cr3t").expect("write");
    let server =
        Server::launch(&[env!("CARGO_BIN_EXE_callsign")], &["--manifests", manifests(), "--http-token", text(&token)]);
    let url = format!("http://{}", server.http);
    let list = || callsign(&["ls", "--server", &url, "--server-token", text(&token)]);
    eventually(PATIENCE, || match list().status.success() {
        true => Ok(()),
        false => Err(server.log()),
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1).adaptive_window(false);
    let stranger = Http2::connect_with(server.http, None, &builder);
    let held: Vec<_> = (0..100).map(|_| stranger.open("/v1/pods").expect("an answer")).collect();
    assert!(held.iter().all(|answer| answer.status() == 401));
    let listed = list();
    assert!(listed.status.success(), "{listed:?}");
}
