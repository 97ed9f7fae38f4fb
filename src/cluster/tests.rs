//! Tests what a client does with each form of a kubeconfig.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::client::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use self::server::{Answer, Authority, Issued, Server};
use super::kubeconfig::Kubeconfig;
use super::*;

mod errors;
mod identity;
mod server;

/// A kubeconfig with placeholders for its cluster and user. Base64 cannot contain the placeholders.
const CONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
    clusters: [{name: c, cluster: <CLUSTER>}]\n\
    users: [{name: u, user: <USER>}]\n\
    contexts: [{name: a, context: {cluster: c, user: u, namespace: ns}}, {name: b, context: {cluster: c, user: u}}]\n";

/// An address at which no server listens.
const NOBODY: &str = "{server: 'https://127.0.0.1:9'}";

const PLUGIN: &str =
    "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: [-c, 'SCRIPT']}}";

fn config(cluster: &str, user: &str) -> String {
    CONFIG.replace("<CLUSTER>", cluster).replace("<USER>", user)
}

/// A folder of one test. Dropping it removes the folder.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("callsign-kubeconfig-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a folder");
        Folder(path)
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("its folder");
        fs::write(&path, contents).expect("a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn install_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The error of a request by the client of a kubeconfig, from reading the file to the response.
async fn ask(path: &Path, context: Option<&str>) -> Result<http::StatusCode, String> {
    install_provider();
    let (client, _) = client(Some(path), context).await.map_err(|error| error.to_string())?;
    let request = http::Request::get("/api/v1/pods?limit=1").body(Body::empty()).expect("a request");
    client.send(request).await.map(|answer| answer.status()).map_err(|error| plain(&error))
}

/// A server of plain HTTP that answers every request with a status and keeps the heads of the requests.
async fn plain_server(status: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = heads.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 64 * 1024];
            let len = stream.read(&mut head).await.unwrap_or(0);
            kept.lock().expect("the heads").push(String::from_utf8_lossy(&head[..len]).into_owned());
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, heads)
}

/// A kubeconfig's user with the certificate of one and the key of another.
fn identity(certificate: &Issued, key: &Issued) -> String {
    let [data, key] = [&certificate.certificate, &key.key].map(|pem| STANDARD.encode(pem));
    format!("{{client-certificate-data: {data}, client-key-data: {key}}}")
}

/// The head of the request that a kubeconfig's client sends to a server of plain HTTP.
async fn plain_head(cluster: &str, user: &str) -> Result<String, String> {
    let (address, heads) = plain_server("200 OK").await;
    let folder = Folder::new();
    let path = folder.file("config", config(&cluster.replace("ADDRESS", &address), user));
    ask(&path, None).await?;
    let head = heads.lock().expect("the heads").last().cloned();
    head.ok_or_else(|| "no request came".to_owned())
}

/// The same of a server with TLS.
async fn head(address: &str, user: &str) -> Result<String, String> {
    let authority = Authority::new();
    let server = Server::start(&authority, false, |_| Answer::Status(200)).await;
    let folder = Folder::new();
    folder.file("token", "from-file\r\n");
    let cluster = authority.cluster(&address.replace("ADDRESS", &server.address));
    ask(&folder.file("config", config(&cluster, user)), None).await?;
    Ok(server.last().head)
}

#[tokio::test]
async fn takes_the_namespace_of_the_context() {
    install_provider();
    let folder = Folder::new();
    let path = folder.file("config", config(NOBODY, "{token: x}"));
    for (context, expected) in [(None, "ns"), (Some("a"), "ns"), (Some("b"), "default")] {
        let (_, namespace) = client(Some(&path), context).await.expect("a client");
        assert_eq!(&*namespace, expected);
    }
    let error = client(Some(&path), Some("z")).await.map(|_| ()).expect_err("no such context").to_string();
    assert!(error.contains("context z") && error.contains("there are: a, b"), "{error}");
}

#[tokio::test]
async fn a_request_shows_the_credentials() {
    const AT: &str = "ADDRESS";
    let given =
        r#"echo "{apiVersion: client.authentication.k8s.io/v1, kind: ExecCredential, status: {token: $TOKEN}}""#;
    let exec = PLUGIN.replace("args:", "env: [{name: TOKEN, value: t1}], args:").replace("SCRIPT", given);
    let beside = |more: &str| exec.replacen('{', &format!("{{{more}, "), 1);
    for (address, user, expected) in [
        (AT, "{token: t1}", "authorization: Bearer t1\r\n"),
        (AT, "{token: \"t1\\r\\n\"}", "authorization: Bearer t1\r\n"),
        (AT, "{tokenFile: token}", "authorization: Bearer from-file\r\n"),
        (AT, "{token: t1, tokenFile: token}", "authorization: Bearer from-file\r\n"),
        (AT, "{token: t1, tokenFile: none}", "authorization: Bearer t1\r\n"),
        (AT, "{token: '', tokenFile: token, username: '', exec: null}", "authorization: Bearer from-file\r\n"),
        (AT, "{username: u, password: p}", "authorization: Basic dTpw\r\n"),
        (AT, "{username: u}", "authorization: Basic dTo=\r\n"),
        (AT, "{tokenFile: token, password: p}", "authorization: Bearer from-file\r\n"),
        (AT, &exec, "authorization: Bearer t1\r\n"),
        (AT, &beside("token: t2"), "authorization: Bearer t2\r\n"),
        (AT, &beside("username: u"), "authorization: Basic dTo=\r\n"),
        (AT, "{auth-provider: {name: oidc, config: {id-token: t1}}}", "authorization: Bearer t1\r\n"),
        (AT, "{as: some one, as-groups: [g1, g2]}", "impersonate-group: g2\r\n"),
        (AT, "{as: x, as-user-extra: {a/b: [v]}}", "impersonate-extra-a%2fb: v\r\n"),
        (AT, "{as: x, as-user-extra: {'A%é': [v, w]}}", "impersonate-extra-a%25%c3%a9: w\r\n"),
        (AT, "{as: x, as-uid: u}", "impersonate-uid: u\r\n"),
        (AT, "{as: josé, as-groups: [ü]}", "impersonate-user: josé\r\nimpersonate-group: ü\r\n"),
        ("u:%70@ADDRESS", "{token: t1}", "authorization: Basic dTpw\r\n"),
        ("ADDRESS/k8s/c-1/?x=y", "{}", "GET /k8s/c-1/api/v1/pods?limit=1 HTTP/1.1\r\n"),
    ] {
        let head = head(address, user).await;
        assert!(head.as_ref().is_ok_and(|head| head.contains(expected)), "{address} {user}: {head:?}");
    }
}

/// kubectl then reads no file and runs no program either.
#[tokio::test]
async fn by_plain_http_no_credentials_are_shown() {
    const URL: &str = "{server: 'http://ADDRESS'}";
    let issued = Authority::new().issue();
    let identity = identity(&issued, &issued);
    let folder = Folder::new();
    let trace = folder.0.join("trace");
    let exec = PLUGIN.replace("SCRIPT", &format!("echo > {}", trace.display()));
    for (cluster, user) in [
        (URL, "{token: hunter2}"),
        ("{server: 'ADDRESS'}", "{token: hunter2}"),
        ("{server: 'HTTP://ADDRESS'}", "{token: hunter2}"),
        ("{server: 'http://ADDRESS', insecure-skip-tls-verify: true}", "{token: hunter2}"),
        ("{server: 'http://ADDRESS', certificate-authority-data: aHVudGVyMg==}", "{token: hunter2}"),
        (URL, "{tokenFile: none}"),
        (URL, "{username: user, password: hunter2}"),
        (URL, "{auth-provider: {name: oidc, config: {id-token: hunter2}}}"),
        (URL, "{auth-provider: {name: gcp}}"),
        (URL, &identity),
        (URL, &exec),
    ] {
        let head = plain_head(cluster, user).await.expect(user);
        assert!(!head.to_ascii_lowercase().contains("authorization"), "{cluster} {user}: {head}");
    }
    assert!(!trace.exists(), "the program has run");
    for (cluster, user, expected) in [
        (NOBODY, exec.clone(), true),
        ("{server: 'http://127.0.0.1:9'}", exec.clone(), false),
        ("{server: '127.0.0.1:9'}", exec.clone(), false),
        ("{server: 'https://user@127.0.0.1:9'}", exec.clone(), false),
        (NOBODY, exec.replacen('{', "{token: x, ", 1), false),
        (NOBODY, exec.replacen('{', "{client-certificate: x, ", 1), false),
        (NOBODY, "{token: x}".into(), false),
    ] {
        let path = folder.file("config", config(cluster, &user));
        assert_eq!(runs_programs(Some(&path), None).await.expect(&user), expected, "{cluster} {user}");
    }
    for (cluster, user, expected) in [
        ("{server: 'http://u:%70@ADDRESS'}", "{token: hunter2}", "authorization: Basic dTpw\r\n"),
        ("{server: 'http://ADDRESS'}", "{as: someone, token: hunter2}", "impersonate-user: someone\r\n"),
        ("{server: 'http://ADDRESS/k8s/c-1/?x=y'}", "{}", "GET /k8s/c-1/api/v1/pods?limit=1 HTTP/1.1\r\n"),
        ("{server: 'http://ADDRESS', proxy-url: ''}", "{}", "GET /api/v1/pods?limit=1 HTTP/1.1\r\n"),
    ] {
        let head = plain_head(cluster, user).await.expect(user);
        assert!(head.contains(expected) && !head.contains("hunter2"), "{cluster} {user}: {head}");
    }
}

/// kubectl runs no program if the user has a client certificate.
#[tokio::test]
async fn a_certificate_goes_before_a_program() {
    let authority = Authority::new();
    let server = Server::start(&authority, true, |_| Answer::Status(200)).await;
    let issued = authority.issue();
    let program = PLUGIN.replace("SCRIPT", "exit 1");
    let user = format!("{}, {}", identity(&issued, &issued).trim_end_matches('}'), program.trim_start_matches('{'));
    let folder = Folder::new();
    let path = folder.file("config", config(&authority.cluster(&server.address), &user));
    ask(&path, None).await.expect("an answer");
    assert_eq!(server.last().certificate, Some(issued.der));
}

/// The library's own tunnel would send port 443 if an `http://` URL has none.
#[tokio::test]
async fn a_proxy_is_told_host_and_port() {
    let (address, heads) = plain_server("407 No").await;
    for (server, login, expected) in [
        ("https://api.example", "", "CONNECT api.example:443 HTTP/1.1\r\n"),
        ("http://api.example/path", "", "CONNECT api.example:80 HTTP/1.1\r\n"),
        ("http://api.example:8080", "", "CONNECT api.example:8080 HTTP/1.1\r\n"),
        ("https://[fd00::1]:6443", "", "CONNECT [fd00::1]:6443 HTTP/1.1\r\n"),
        ("https://api.example", "u:%70@", "\r\nProxy-Authorization: Basic dTpw\r\n"),
    ] {
        let folder = Folder::new();
        let cluster = format!("{{server: '{server}', proxy-url: 'http://{login}{address}'}}");
        let path = folder.file("config", config(&cluster, "{token: hunter2}"));
        let error = ask(&path, None).await.expect_err("the proxy refuses");
        assert!(error.starts_with(&format!("by the proxy http://{address} (")), "{error}");
        assert!(error.contains("proxy authorization required"), "{error}");
        let head = heads.lock().expect("the heads").pop().expect("a request");
        assert!(head.contains(expected) && !head.contains("hunter2"), "{server}: {head}");
    }
}

#[tokio::test]
async fn a_token_file_is_read_again_when_the_server_refuses_its_token() {
    install_provider();
    let authority = Authority::new();
    let server = Server::start(&authority, false, |_| Answer::Status(401)).await;
    let folder = Folder::new();
    folder.file("token", "first\n");
    let path = folder.file("config", config(&authority.cluster(&server.address), "{tokenFile: token}"));
    let (client, _) = client(Some(&path), None).await.expect("a client");
    for (written, expected) in
        [("first\n", "first"), ("second\n", "second"), ("third", "third"), ("bad\nbad", "third"), ("", "third")]
    {
        folder.file("token", written);
        let request = http::Request::get("/").body(Body::empty()).expect("a request");
        client.send(request).await.expect("an answer");
        let head = server.last().head;
        assert!(head.contains(&format!("Bearer {expected}\r\n")), "{head}");
    }
}

#[test]
fn files_of_a_list_become_one() {
    let folder = Folder::new();
    let none = folder.0.join("none");
    let first = folder.file(
        "one/config",
        "current-context: ''\nclusters: [{name: c, cluster: {server: first}}]\nusers:\ncontexts: null\nunknown: 1\n",
    );
    let second = folder.file(
        "two/config",
        "current-context: a\nclusters: [{name: c, cluster: {server: second, certificate-authority: x}}]\n\
         users: [{name: u, user: {tokenFile: token}}]\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n",
    );
    let third = folder.file("three", "{\n\t\"current-context\": \"b\", \"contexts\": [{\"name\": \"b\"}]}");
    let list = [none.clone(), first.clone(), folder.file("empty", ""), second, third];
    let chosen = Kubeconfig::of_list(&list).expect("they are read").choose(None).expect("a context");
    assert_eq!((chosen.cluster.value.server.as_str(), chosen.cluster.file.as_ref()), ("first", first.as_path()));
    assert!(chosen.cluster.value.certificate_authority.is_empty(), "an entry is taken whole");
    assert_eq!(chosen.user.path(&chosen.user.value.token_file), folder.0.join("two/token"));
    assert_eq!(chosen.user.path("/token"), Path::new("/token"));

    assert!(Kubeconfig::of_list(std::slice::from_ref(&none)).expect("it is skipped").is_empty());
    let error = Kubeconfig::of_file(&none).map(|_| ()).expect_err("it was named").to_string();
    assert!(error.contains("none: there is no such file"), "{error}");
    let bad = folder.file("bad", "clusters: {");
    let error = Kubeconfig::of_list(&[first, bad]).map(|_| ()).expect_err("it is bad").to_string();
    assert!(error.contains("bad: not a kubeconfig in YAML"), "{error}");
    assert!(Kubeconfig::of_file(&folder.0).is_err(), "a folder");
    assert!(Kubeconfig::of_file(Path::new("/dev/zero")).is_err_and(|error| error.to_string().contains("16777216")));
}

/// kubectl reads the first document, the last of two equal keys, and empty items of lists.
#[test]
fn odd_texts_are_read_as_kubectl_reads_them() {
    const JSON: &str = r#"{"current-context":"a","clusters":[{"name":"c","cluster":{"server":"s"}}],"contexts":[{"name":"a","context":{"cluster":"c"}}]}"#;
    let folder = Folder::new();
    let text = config("{server: x, server: s}", "{as: x, as-groups: [null, x]}");
    for text in [
        text.clone(),
        format!("---\n{text}---\n{text}---\ncurrent-context: b\nusers: []\n"),
        format!("%YAML 1.2\n---\n{text}...\nno: [\n"),
        format!("{text}---\nno: [\n"),
        text.replace("clusters: [", "clusters: [null, "),
        text.replace('\n', "\r\n"),
        JSON.into(),
        format!("{JSON}{JSON}"),
        format!("\n{JSON}\n---\nno: [\n"),
    ] {
        let path = folder.file("config", &text);
        let chosen = Kubeconfig::of_file(&path).and_then(|file| file.choose(None)).expect(&text);
        assert_eq!(chosen.cluster.value.server, "s", "{text}");
    }
}

#[test]
fn a_file_has_one_of_three_encodings() {
    let folder = Folder::new();
    let text = config(NOBODY, "{token: é}");
    let units = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<_>>();
    for (name, contents, is_good) in [
        ("utf-8", text.clone().into_bytes(), true),
        ("bom", [b"\xef\xbb\xbf", text.as_bytes()].concat(), true),
        ("little", [b"\xff\xfe".to_vec(), units(u16::to_le_bytes)].concat(), true),
        ("big", [b"\xfe\xff".to_vec(), units(u16::to_be_bytes)].concat(), true),
        ("odd", b"\xff\xfea\0b".to_vec(), false),
        ("half", b"\xff\xfe\0\xd8".to_vec(), false),
        ("latin", b"a: \xe9".to_vec(), false),
        ("bom-latin", b"\xef\xbb\xbfa: \xe9".to_vec(), false),
    ] {
        let path = folder.file(name, contents);
        let chosen = Kubeconfig::of_file(&path).and_then(|file| file.choose(None));
        assert_eq!(chosen.is_ok_and(|chosen| chosen.user.value.token == "é"), is_good, "{name}");
    }
}
