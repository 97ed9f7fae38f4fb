//! Kubeconfigs as they are found: what a client does with each, and that no error has a secret in it.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use kube::client::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::kubeconfig::Kubeconfig;
use super::*;

/// A kubeconfig whose cluster and user are to be put in.
const CONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
    clusters: [{name: c, cluster: CLUSTER}]\n\
    users: [{name: u, user: USER}]\n\
    contexts: [{name: a, context: {cluster: c, user: u, namespace: ns}}, {name: b, context: {cluster: c, user: u}}]\n";

/// A server at which nobody is.
const NOBODY: &str = "{server: 'http://127.0.0.1:9'}";

const PLUGIN: &str =
    "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: [-c, 'SCRIPT']}}";

fn config(cluster: &str, user: &str) -> String {
    CONFIG.replace("CLUSTER", cluster).replace("USER", user)
}

/// A folder of a test's own, which goes with it.
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

/// What a request by the client of a kubeconfig says, from the file to the answer.
async fn ask(path: &Path, context: Option<&str>) -> Result<http::StatusCode, String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (client, _) = client(Some(path), context).await.map_err(|error| error.to_string())?;
    let request = http::Request::get("/api/v1/pods?limit=1").body(Body::empty()).expect("a request");
    client.send(request).await.map(|answer| answer.status()).map_err(|error| plain(&error))
}

/// An HTTP server that answers everything with a status and keeps the heads of the requests.
async fn server(status: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
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

/// The head of the request that a kubeconfig's client sends.
async fn head(cluster: &str, user: &str) -> Result<String, String> {
    let (address, heads) = server("200 OK").await;
    let folder = Folder::new();
    folder.file("token", "from-file\r\n");
    let path = folder.file("config", config(&cluster.replace("ADDRESS", &address), user));
    ask(&path, None).await?;
    let head = heads.lock().expect("the heads").last().cloned();
    head.ok_or_else(|| "no request came".to_owned())
}

#[tokio::test]
async fn takes_the_namespace_of_the_context() {
    let _ = rustls::crypto::ring::default_provider().install_default();
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
    const PLAIN: &str = "{server: 'http://ADDRESS'}";
    let given = |script: &str| PLUGIN.replace("SCRIPT", script);
    let token = given(r#"echo "{status: {token: $TOKEN}}""#).replace("args:", "env: [{name: TOKEN, value: t1}], args:");
    for (cluster, user, expected) in [
        (PLAIN, "{token: t1}", "authorization: Bearer t1\r\n"),
        (PLAIN, "{token: \"t1\\r\\n\"}", "authorization: Bearer t1\r\n"),
        (PLAIN, "{tokenFile: token}", "authorization: Bearer from-file\r\n"),
        (PLAIN, "{token: t1, tokenFile: token}", "authorization: Bearer from-file\r\n"),
        (PLAIN, "{token: t1, tokenFile: none}", "authorization: Bearer t1\r\n"),
        (PLAIN, "{token: '', tokenFile: token, username: '', exec: null}", "authorization: Bearer from-file\r\n"),
        (PLAIN, "{username: u, password: p}", "authorization: Basic dTpw\r\n"),
        (PLAIN, "{username: u}", "authorization: Basic dTo=\r\n"),
        (PLAIN, &token, "authorization: Bearer t1\r\n"),
        (PLAIN, "{auth-provider: {name: oidc, config: {id-token: t1}}}", "authorization: Bearer t1\r\n"),
        (PLAIN, "{as: some one, as-groups: [g1, g2]}", "impersonate-group: g2\r\n"),
        (PLAIN, "{as: x, as-user-extra: {a/b: [v]}}", "impersonate-extra-a%2fb: v\r\n"),
        ("{server: 'http://u:%70@ADDRESS'}", "{}", "authorization: Basic dTpw\r\n"),
        ("{server: 'http://ADDRESS/k8s/c-1/?x=y'}", "{}", "GET /k8s/c-1/api/v1/pods?limit=1 HTTP/1.1\r\n"),
        ("{server: 'ADDRESS'}", "{}", "GET /api/v1/pods?limit=1 HTTP/1.1\r\n"),
        ("{server: 'http://ADDRESS', proxy-url: ''}", "{}", "GET /api/v1/pods?limit=1 HTTP/1.1\r\n"),
    ] {
        let head = head(cluster, user).await;
        assert!(head.as_ref().is_ok_and(|head| head.contains(expected)), "{cluster} {user}: {head:?}");
    }
    // Nothing says that the way is encrypted, and kubectl shows nothing then either.
    let head = head("{server: 'ADDRESS'}", "{token: t1}").await.expect("a request");
    assert!(!head.contains("t1"), "{head}");
}

/// The library's own tunnel would ask for port 443 where an `http://` URL has none.
#[tokio::test]
async fn a_proxy_is_told_host_and_port() {
    let (address, heads) = server("407 No").await;
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
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (address, heads) = server("401 Unauthorized").await;
    let folder = Folder::new();
    folder.file("token", "first\n");
    let path = folder.file("config", config(&format!("{{server: 'http://{address}'}}"), "{tokenFile: token}"));
    let (client, _) = client(Some(&path), None).await.expect("a client");
    for written in ["second\n", "third", "bad\nbad", ""] {
        let request = http::Request::get("/").body(Body::empty()).expect("a request");
        client.send(request).await.expect("an answer");
        folder.file("token", written);
    }
    let request = http::Request::get("/").body(Body::empty()).expect("a request");
    client.send(request).await.expect("an answer");
    let heads = heads.lock().expect("the heads");
    for (head, expected) in heads.iter().zip(["first", "second", "third", "third", "third"]) {
        assert!(head.contains(&format!("Bearer {expected}\r\n")), "{head}");
    }
    assert_eq!(heads.len(), 5);
}

/// Each names the place, and says what is wrong.
#[tokio::test]
async fn an_error_names_the_place_and_no_secret() {
    let plugin = |script: &str| PLUGIN.replace("SCRIPT", script);
    let of_user = |user: &str| config(NOBODY, user);
    let of_cluster = |cluster: &str| config(cluster, "{token: hunter2}");
    let certificate = "aHVudGVyMg==";
    let pem = "LS0tLS1CRUdJTiBodW50ZXIyCmh1bnRlcjIK"; // a PEM section that begins wrongly, with hunter2 in it
    for (text, expected) in [
        (of_user("{token: [hunter2}"), "not a kubeconfig in YAML, line 5"),
        (of_user("{token: {a: hunter2}}"), "users[0].user.token is a map"),
        (of_user("{token: 123456}"), "users[0].user.token is a number, but must be a text: write it in quotes"),
        (of_user("{password: true}"), "users[0].user.password is a boolean"),
        (of_user("{as-groups: hunter2}"), "as-groups is a text, but must be a list"),
        (of_user("{exec: {env: [{name: A, value: 1}]}}"), "exec.env[0].value is a number"),
        (of_user("{exec: {env: {hunter2: x}}}"), "exec.env is a map, but must be a list"),
        (of_user("{token: \"hunter2\\nx\"}"), "user u: token: it has a line end"),
        (of_user("{token: hunter2, password: x}"), "user u: token: username and password are there too"),
        (of_user("{tokenFile: none}"), "user u: tokenFile: token file"),
        (of_user("{tokenFile: empty}"), "it is empty"),
        (of_user("{tokenFile: two-lines}"), "it has a line end"),
        (of_user("{tokenFile: binary}"), "it is not a text"),
        (of_user("{as: \"hunter\\n2\"}"), "user u: as: it has a character"),
        (of_user("{as-groups: [a]}"), "user u: as: it is missing"),
        (of_user("{auth-provider: {name: gcp, config: {access-token: hunter2}}}"), "gcp is no longer supported"),
        (of_user("{auth-provider: {name: oidc, config: {refresh-token: hunter2}}}"), "oidc is no longer supported"),
        (
            of_user("{client-certificate-data: hunter2!, client-key-data: hunter2}"),
            "client-certificate-data: it is not in Base64",
        ),
        (of_user(&format!("{{client-certificate-data: {certificate}}}")), "client-key: it is missing"),
        (
            of_user(&format!("{{client-certificate-data: {certificate}, client-key-data: {certificate}}}")),
            "no certificate in PEM",
        ),
        (of_user(&format!("{{client-certificate-data: {pem}, client-key-data: {pem}}}")), "is not in PEM"),
        (of_user("{client-certificate: none, client-key: none}"), "client-certificate: "),
        (of_user(&plugin("echo hunter2; exit 1")), "the credential plugin: sh failed: exit status: 1"),
        (of_user(&plugin("echo hunter2")), "sh gave no credentials"),
        (of_user(&plugin("echo \"{kind: ExecCredential, status: {token: [hunter2}\"")), "sh gave no credentials"),
        (of_user(&plugin("printf %s \"{status: {token: \\\"hunter2\\\\nx\\\"}}\"")), "its token: it has a line end"),
        (of_user(&plugin("echo \"{status: {expirationTimestamp: x, token: hunter2}}\"")), "expirationTimestamp"),
        (of_user(&plugin("echo \"{status: {}}\"")), "it gave no token and no certificate"),
        (of_user(&plugin("").replace("command: sh", "command: ./none")), "none cannot be run"),
        (of_user(&plugin("").replace("command: sh, ", "")), "user u: exec: command is missing"),
        (of_user(&plugin("").replace("/v1,", "/v1alpha1,")), "apiVersion must be"),
        (of_user(&plugin("").replace("Never", "Sometimes")), "interactiveMode must be"),
        (of_cluster("{}"), "cluster c: server: it is missing: write it as https://HOST:PORT"),
        (of_cluster("{server: 'ftp://hunter2@host'}"), "ftp://host: its scheme is neither https nor http"),
        (of_cluster("{server: 'https://user:hunter2@host:x'}"), "server: (a URL"),
        (of_cluster("{server: 'host/path'}"), "it has a path, but no scheme"),
        (
            of_cluster("{server: 'https://host', proxy-url: 'ftp://user:hunter2@p:1'}"),
            "cluster c: proxy-url: ftp://p:1: ",
        ),
        (of_cluster("{server: 'https://host', proxy-url: 'user:hunter2@p'}"), "proxy-url: p: it has no scheme"),
        (
            of_cluster("{server: 'https://host', proxy-url: 'http://user:hunter2@127.0.0.1:9'}"),
            "by the proxy http://127.0.0.1:9 (",
        ),
        (
            of_cluster("{server: 'https://host', proxy-url: 'socks5://user:hunter2@127.0.0.1:9'}"),
            "by the proxy socks5://127.0.0.1:9 (",
        ),
        (of_cluster("{server: 'https://host', tls-server-name: 'a b'}"), "tls-server-name: it is not a host's name"),
        (
            of_cluster("{server: 'https://host', insecure-skip-tls-verify: 'true'}"),
            "insecure-skip-tls-verify is a text, but must be true or false",
        ),
        (
            of_cluster(&format!("{{server: 'https://host', certificate-authority-data: {certificate}}}")),
            "no certificate in PEM",
        ),
        (
            of_cluster(&format!(
                "{{server: 'https://host', certificate-authority: x, certificate-authority-data: {certificate}}}"
            )),
            "keep one of the two",
        ),
        (of_cluster("{server: 'https://host', certificate-authority: none}"), "certificate-authority: "),
        ("hunter2".into(), "the document is a text"),
        (CONFIG.replace("kind: Config", "kind: Pod"), "kind is not Config"),
        (of_user("{}").replace("name: b", "name: a"), "contexts: two of them have the name a"),
        (of_user("{}").replace("current-context: a", ""), "current-context is not set"),
        (of_user("{}").replace("cluster: c,", "cluster: d,"), "context a: its cluster d is not among"),
        (of_user("{}").replace("cluster: c,", ""), "it names no cluster"),
        (String::new(), "current-context is not set"),
    ] {
        let folder = Folder::new();
        folder.file("empty", "\n");
        folder.file("two-lines", "hunter2\nhunter2");
        folder.file("binary", b"hunter2\xff");
        let path = folder.file("config", &text);
        let error = ask(&path, None).await.expect_err(&text);
        assert!(error.contains(expected), "{text}\n{error}");
        assert!(!error.contains("hunter2"), "{text}\n{error}");
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
