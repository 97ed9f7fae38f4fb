//! Tests the errors about a kubeconfig: each has the file, the key and the reason, and no secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::server::Authority;
use super::{CONFIG, Folder, NOBODY, PLUGIN, ask, config, identity};

/// Each error names the key, and says what is wrong.
#[tokio::test]
async fn an_error_names_the_place_and_no_secret() {
    let plugin = |script: &str| PLUGIN.replace("SCRIPT", script);
    let gives = |status: &str| {
        let version = "client.authentication.k8s.io/v1";
        plugin(&format!("printf %s \"{{apiVersion: {version}, kind: ExecCredential, status: {{{status}}}}}\""))
    };
    let [first, second] = [(); 2].map(|()| Authority::new().issue());
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
        (of_user("{tokenFile: none}"), "user u: tokenFile: the file that it names cannot be read: No such file"),
        (of_user("{tokenFile: empty}"), "user u: tokenFile: the file is empty"),
        (of_user("{tokenFile: two-lines}"), "user u: tokenFile: the file's token: it has a line end"),
        (of_user("{tokenFile: binary}"), "user u: tokenFile: the file is not a text"),
        (of_user("{as: \"hunter\\n2\"}"), "user u: as: it has a line end or another character"),
        (of_user("{as-groups: [a]}"), "user u: as: it is missing"),
        (of_user("{auth-provider: {name: gcp, config: {access-token: hunter2}}}"), "auth-provider: only `oidc`"),
        (of_user("{auth-provider: {name: oidc, config: {refresh-token: hunter2}}}"), "auth-provider: only `oidc`"),
        (of_user("{username: hunter2, tokenFile: token}"), "user u: tokenFile: username is there too"),
        (
            of_user(&plugin("").replacen('{', "{auth-provider: {name: oidc}, ", 1)),
            "user u: auth-provider: exec is there",
        ),
        (
            of_user("{client-certificate-data: hunter2!, client-key-data: hunter2}"),
            "client-certificate-data: it is not in Base64",
        ),
        (of_user(&format!("{{client-certificate-data: {certificate}}}")), "client-key: it is missing"),
        (
            of_user(&format!("{{client-certificate-data: {certificate}, client-key-data: {certificate}}}")),
            "user u: client-certificate-data: it has no certificate in PEM",
        ),
        (of_user(&format!("{{client-certificate-data: {pem}, client-key-data: {pem}}}")), "it is not in PEM"),
        (of_user(&identity(&first, &second)), "user u: client-key-data: it is the key of another certificate"),
        (of_user("{client-certificate: two-lines, client-key: two-lines}"), "user u: client-certificate: it has no"),
        (of_user("{client-certificate: none, client-key: none}"), "client-certificate: the file that it names cannot"),
        (of_user(&plugin("echo hunter2; exit 1")), "the credential plugin: it failed: exit status: 1"),
        (of_user(&plugin("echo hunter2")), "plugin: it gave no credentials"),
        (of_user(&plugin("echo \"{kind: ExecCredential, status: {token: [hunter2}\"")), "it gave no credentials"),
        (of_user(&gives("token: \\\"hunter2\\\\nx\\\"")), "its token: it has a line end"),
        (of_user(&gives("expirationTimestamp: hunter2, token: hunter2")), "expirationTimestamp"),
        (of_user(&gives("")), "it gave no token and no certificate"),
        (
            of_user(&plugin("").replace("command: sh", "command: ./none")),
            "user u: exec.command: it cannot be run: No such file",
        ),
        (of_user(&plugin("").replace("command: sh, ", "")), "user u: exec.command: it is missing"),
        (of_user(&plugin("").replace("/v1,", "/v1alpha1,")), "user u: exec.apiVersion: it must be"),
        (of_user(&plugin("").replace("Never", "Sometimes")), "user u: exec.interactiveMode: it must be"),
        (of_cluster("{}"), "cluster c: server: it is missing: write it as https://HOST:PORT"),
        (of_cluster("{server: 'ftp://hunter2@host'}"), "cluster c: server: its scheme is neither https nor http"),
        (of_cluster("{server: 'https://user:hunter2@host:x'}"), "cluster c: server: its host or port is unclear"),
        (of_cluster("{server: 'host/path'}"), "it has a path, but no scheme"),
        (
            of_cluster("{server: 'https://host', proxy-url: 'ftp://user:hunter2@p:1'}"),
            "cluster c: proxy-url: callsign does not know its scheme",
        ),
        (of_cluster("{server: 'https://host', proxy-url: 'user:hunter2@p'}"), "cluster c: proxy-url: it has no scheme"),
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
            "cluster c: certificate-authority-data: it has no certificate in PEM",
        ),
        (
            of_cluster(&format!(
                "{{server: 'https://host', certificate-authority: x, certificate-authority-data: {certificate}}}"
            )),
            "keep one of the two",
        ),
        (of_cluster("{server: 'https://host', certificate-authority: none}"), "certificate-authority: the file that"),
        ("hunter2".into(), "the document is a text"),
        (CONFIG.replace("kind: Config", "kind: Pod"), "kind is not Config"),
        (of_user("{}").replace("name: b", "name: a"), "contexts: two of them have the name a"),
        (of_user("{}").replace("current-context: a", ""), "current-context is not set"),
        (
            of_user("{}").replace("current-context: a", "current-context: z"),
            "config: current-context: no kubeconfig has a context of that name; there are: a, b",
        ),
        (
            of_user("{}").replace("cluster: c,", "cluster: d,"),
            "config: cluster: no kubeconfig has a cluster of that name; there are: c",
        ),
        (
            of_user("{}").replace("cluster: c,", ""),
            "config: cluster: it is missing: write `cluster: NAME`; there are: c",
        ),
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

/// An operator may write a secret in the place of a name, a path, a program or a URL.
#[tokio::test]
async fn no_value_is_in_an_error() {
    const USERS: [&str; 14] = [
        "client-certificate: <VALUE>, client-key: <VALUE>",
        "client-certificate-data: <VALUE>, client-key: <VALUE>",
        "client-certificate-data: CERTIFICATE, client-key: <VALUE>",
        "client-certificate-data: CERTIFICATE, client-key-data: <VALUE>",
        "token: <VALUE>",
        "tokenFile: <VALUE>",
        "username: <VALUE>, password: <VALUE>",
        "as: <VALUE>, as-uid: <VALUE>, as-groups: [<VALUE>], as-user-extra: {<VALUE>: [<VALUE>]}",
        "as-user-extra: {<VALUE>: [<VALUE>]}",
        "auth-provider: {name: <VALUE>, config: {<VALUE>: <VALUE>}}",
        "exec: {command: <VALUE>, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, args: [<VALUE>]}",
        "exec: {command: x, apiVersion: <VALUE>, interactiveMode: Never}",
        "exec: {command: x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: <VALUE>}",
        "exec: {command: none, apiVersion: client.authentication.k8s.io/v1beta1, env: [{name: <VALUE>, value: <VALUE>}]}",
    ];
    const CLUSTERS: [&str; 5] = [
        "server: <VALUE>",
        "server: 'https://127.0.0.1:9', tls-server-name: <VALUE>",
        "server: 'https://127.0.0.1:9', certificate-authority: <VALUE>",
        "server: 'https://127.0.0.1:9', certificate-authority-data: <VALUE>",
        "server: 'https://127.0.0.1:9', proxy-url: <VALUE>",
    ];
    let certificate = STANDARD.encode(Authority::new().issue().certificate);
    let users = USERS.map(|user| config(NOBODY, &format!("{{{}}}", user.replace("CERTIFICATE", &certificate))));
    let clusters = CLUSTERS.map(|cluster| config(&format!("{{{cluster}}}"), "{token: x}"));
    let others = ["current-context: a", "cluster: c, user: u, namespace: ns", "user: u, namespace: ns"];
    let others = others.map(|text| {
        let (keys, value) = text.split_once(": ").expect("a key");
        config(NOBODY, "{}").replace(text, &format!("{keys}: <VALUE>{}", &value[1..]))
    });
    for text in users.into_iter().chain(clusters).chain(others) {
        for value in ["'curl -H hunter2'", "\"hunter2\\nx\"", "'ftp://hunter2@hunter2/hunter2'", "'hunter2 /hunter2='"]
        {
            let folder = Folder::new();
            let text = text.replace("<VALUE>", value);
            let path = folder.file("config", &text);
            let error = ask(&path, None).await.expect_err(&text);
            assert!(!error.contains("hunter2"), "{text}\n{error}");
        }
    }
}
