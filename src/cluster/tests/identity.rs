//! Tests client certificates from a plugin that renews them, and from files.

use std::time::Duration;

use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::json;

use super::server::{Answer, Authority, Issued, Server};
use super::{Folder, PLUGIN, config, install_provider};
use crate::cluster::{client, plain};

const NEVER: &str = "2099-01-01T00:00:00Z";

/// Prints the file `credentials` of a folder, and counts the runs in the file `runs`.
const SCRIPT: &str = r#"cat "$DIR/credentials" && echo >> "$DIR/runs""#;

/// A kubeconfig whose user is a program that prints a file, and the folder with it.
struct Given(Folder);

impl Given {
    fn new(cluster: &str) -> Given {
        let folder = Folder::new();
        let env = format!("env: [{{name: DIR, value: '{}'}}], args:", folder.0.display());
        folder.file("config", config(cluster, &PLUGIN.replace("args:", &env).replace("SCRIPT", SCRIPT)));
        Given(folder)
    }

    /// Sets the credentials that the next runs give.
    fn give(&self, certificate: Option<&Issued>, token: Option<&str>, end: &str) {
        let status = json!({
            "clientCertificateData": certificate.map(|issued| &issued.certificate),
            "clientKeyData": certificate.map(|issued| &issued.key),
            "token": token,
            "expirationTimestamp": end,
        });
        let version = "client.authentication.k8s.io/v1";
        let printed = json!({ "apiVersion": version, "kind": "ExecCredential", "status": status });
        self.0.file("credentials", printed.to_string());
    }

    fn runs(&self) -> usize {
        std::fs::read_to_string(self.0.0.join("runs")).unwrap_or_default().lines().count()
    }

    async fn client(&self) -> Result<kube::Client, String> {
        install_provider();
        let client = client(Some(&self.0.0.join("config")), None).await;
        client.map(|(client, _)| client).map_err(|error| error.to_string())
    }
}

async fn ask(client: &kube::Client, path: &str) -> Result<http::Response<Body>, String> {
    let request = http::Request::get(path).body(Body::empty()).expect("a request");
    client.send(request).await.map_err(|error| plain(&error))
}

/// Waits for a future that must complete soon.
async fn soon(what: &str, mut is_there: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_there() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen");
}

/// The server demands a certificate, and the certificate of a plugin expires after an hour or a day.
#[tokio::test]
async fn a_programs_certificate_is_renewed_when_it_ends() {
    let authority = Authority::new();
    let server = Server::start(&authority, true, |_| Answer::Status(200)).await;
    let given = Given::new(&authority.cluster(&server.address));
    let (first, second) = (authority.issue(), authority.issue());
    given.give(Some(&first), None, "2000-01-01T00:00:00Z");
    let client = given.client().await.expect("a client");
    given.give(Some(&second), None, NEVER);
    for _ in 0..3 {
        ask(&client, "/").await.expect("an answer");
    }
    let seen = server.seen();
    assert!(seen.iter().all(|seen| seen.certificate.as_ref() == Some(&second.der)), "{seen:?}");
    assert_eq!((seen.len(), given.runs()), (3, 2), "it runs at the start and at the end");
}

#[tokio::test]
async fn a_programs_certificate_is_renewed_when_the_server_refuses_it() {
    let authority = Authority::new();
    let (first, second) = (authority.issue(), authority.issue());
    let refused = first.der.clone();
    let server = Server::start(&authority, true, move |seen| {
        Answer::Status(if seen.certificate.as_ref() == Some(&refused) { 401 } else { 200 })
    });
    let server = server.await;
    let given = Given::new(&authority.cluster(&server.address));
    given.give(Some(&first), Some("t1"), NEVER);
    let client = given.client().await.expect("a client");
    // All requests were in flight with the first certificate, and one run is enough for all.
    given.give(Some(&second), Some("t2"), NEVER);
    let answers = futures_util::future::join_all([(); 4].map(|()| ask(&client, "/"))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status() == 401)), "{answers:?}");
    for _ in 0..3 {
        assert_eq!(ask(&client, "/").await.expect("an answer").status(), 200);
    }
    let last = server.last();
    assert_eq!(last.certificate, Some(second.der));
    assert!(last.head.contains("authorization: Bearer t2\r\n"), "{last:?}");
    assert_eq!(given.runs(), 2);
}

/// Otherwise the API server would keep the old identity for a running watch.
#[tokio::test]
async fn connections_end_when_the_certificate_is_replaced_and_not_when_the_token_is() {
    let authority = Authority::new();
    let (first, second) = (authority.issue(), authority.issue());
    let server = Server::start(&authority, true, |seen| match seen.head.split(' ').nth(1) {
        Some("/refused") => Answer::Status(401),
        Some("/watch") => Answer::Endless,
        _ => Answer::Status(200),
    });
    let server = server.await;
    let given = Given::new(&authority.cluster(&server.address));
    given.give(Some(&first), Some("t1"), NEVER);
    let client = given.client().await.expect("a client");
    let mut watch = ask(&client, "/watch").await.expect("an answer").into_body();
    watch.frame().await.expect("a frame").expect("a part of the body");

    given.give(Some(&first), Some("t2"), NEVER);
    ask(&client, "/refused").await.expect("an answer");
    ask(&client, "/").await.expect("an answer");
    assert!(server.last().head.contains("Bearer t2"), "{:?}", server.last());
    assert_eq!(server.last().connection, 1, "the connection of before is good for another token");
    let more = tokio::time::timeout(Duration::from_millis(100), watch.frame()).await;
    assert!(more.is_err(), "the watch goes on: {more:?}");

    given.give(Some(&second), Some("t3"), NEVER);
    ask(&client, "/refused").await.expect("an answer");
    ask(&client, "/").await.expect("an answer");
    let last = server.last();
    assert_eq!((last.connection, last.certificate), (2, Some(second.der)));
    let error = watch.frame().await.expect("a frame").expect_err("it broke off");
    assert!(plain(&error).contains("the client certificate has been replaced"), "{}", plain(&error));
    soon("the end of both connections", || server.ended.lock().expect("the ends").len() == 2).await;
}

#[tokio::test]
async fn a_program_that_fails_leaves_credentials_that_are_still_good() {
    let authority = Authority::new();
    let server = Server::start(&authority, true, |_| Answer::Status(200)).await;
    let given = Given::new(&authority.cluster(&server.address));
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(30);
    let issued = authority.issue();
    given.give(Some(&issued), None, &end.to_string());
    let client = given.client().await.expect("a client");
    given.0.file("credentials", "hunter2");
    ask(&client, "/").await.expect("an answer");
    assert_eq!((server.last().certificate, given.runs()), (Some(issued.der), 2));

    given.give(Some(&authority.issue()), None, "2000-01-01T00:00:00Z");
    ask(&client, "/").await.expect("an answer");
    given.0.file("credentials", "hunter2");
    let error = ask(&client, "/").await.map(|_| ()).expect_err("they have ended");
    assert!(error.contains("user u: exec: the credential plugin: it gave no credentials"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

/// A request times out after ten seconds, and some plugins take longer.
#[tokio::test]
async fn a_request_that_is_given_up_does_not_end_the_program() {
    let authority = Authority::new();
    let server = Server::start(&authority, false, |_| Answer::Status(200)).await;
    let given = Given::new(&authority.cluster(&server.address));
    given.give(None, Some("t1"), "2000-01-01T00:00:00Z");
    let text = std::fs::read_to_string(given.0.0.join("config")).expect("a kubeconfig");
    let slow = format!("if test -s $DIR/runs; then sleep 0.5; fi; {SCRIPT}");
    given.0.file("config", text.replace(SCRIPT, &slow));
    let client = given.client().await.expect("a client");
    given.give(None, Some("t2"), NEVER);
    let given_up = tokio::time::timeout(Duration::from_millis(50), ask(&client, "/")).await;
    assert!(given_up.is_err(), "the program takes longer");
    ask(&client, "/").await.expect("an answer");
    assert!(server.last().head.contains("Bearer t2"), "{:?}", server.last());
    assert_eq!(given.runs(), 2);
}

/// kubectl refuses a certificate without its key, a key without its certificate, and any version but the kubeconfig's.
#[tokio::test]
async fn what_a_program_gives_is_checked() {
    let issued = Authority::new().issue();
    let other = Authority::new().issue();
    let version = "client.authentication.k8s.io/v1";
    let printed = |status| json!({ "apiVersion": version, "kind": "ExecCredential", "status": status });
    let over = |key: &str, value: &str| {
        let mut all = printed(json!({ "token": "hunter2" }));
        all[key] = json!(value);
        all
    };
    for (printed, expected) in [
        (printed(json!({ "clientCertificateData": issued.certificate })), "a certificate without its key"),
        (printed(json!({ "token": "hunter2", "clientKeyData": issued.key })), "a certificate's key without"),
        (printed(json!({ "clientCertificateData": "", "clientKeyData": "", "token": " \n" })), "no token and no"),
        (printed(json!({ "clientCertificateData": null, "token": null })), "no token and no"),
        (
            printed(json!({ "clientCertificateData": issued.certificate, "clientKeyData": other.key })),
            "its clientKeyData: it is the key of another certificate",
        ),
        (
            printed(json!({ "clientCertificateData": issued.certificate, "clientKeyData": "hunter2" })),
            "its clientKeyData: it has no private key in PEM",
        ),
        (
            printed(json!({ "clientCertificateData": "hunter2", "clientKeyData": issued.key })),
            "its clientCertificateData: it has no certificate in PEM",
        ),
        (printed(json!({ "token": "hunter2", "expirationTimestamp": "hunter2" })), "its expirationTimestamp"),
        (printed(json!(null)), "what it printed has no status"),
        (over("apiVersion", "client.authentication.k8s.io/v1beta1"), "another kind or version"),
        (over("apiVersion", ""), "another kind or version"),
        (over("kind", "Pod"), "another kind or version"),
        (json!("x".repeat(2 << 20)), "it printed over 1048576 bytes"),
    ] {
        let given = Given::new("{server: 'https://127.0.0.1:9'}");
        given.0.file("credentials", printed.to_string());
        let error = given.client().await.map(|_| ()).expect_err("it is no good");
        assert!(error.contains(expected), "{printed}: {error}");
        assert!(
            error.contains("config: user u: exec: the credential plugin: ") && !error.contains("hunter2"),
            "{error}"
        );
    }
}

/// The kubelet and cert-manager renew their certificates in place.
#[tokio::test]
async fn a_certificate_in_files_is_read_again() {
    install_provider();
    let authority = Authority::new();
    let server = Server::start(&authority, true, |_| Answer::Status(401)).await;
    let folder = Folder::new();
    let [first, second, third] = [(); 3].map(|()| authority.issue());
    // Both in one file, after the section that OpenSSL writes before a key.
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let write = |issued: &Issued| folder.file("both.pem", format!("{parameters}{}{}", issued.key, issued.certificate));
    write(&first);
    let user = "{client-certificate: both.pem, client-key: both.pem}";
    let path = folder.file("config", config(&authority.cluster(&server.address), user));
    let (client, _) = client(Some(&path), None).await.expect("a client");
    // While a file is half written, the old certificate stays.
    let half = || {
        folder.file("both.pem", &second.certificate);
    };
    let turns: [(&dyn Fn(), _); 4] =
        [(&|| (), &first), (&half, &first), (&|| drop(write(&second)), &second), (&|| drop(write(&third)), &third)];
    for (turn, expected) in turns {
        turn();
        ask(&client, "/").await.expect("an answer");
        assert_eq!(server.last().certificate.as_ref(), Some(&expected.der));
    }
    assert_eq!(server.last().connection, 2, "one connection for each certificate");
}
