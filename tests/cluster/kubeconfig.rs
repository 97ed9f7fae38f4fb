//! Kubeconfigs against a real API server: what kubectl takes, callsign takes, and by the same way.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::cluster::{Cluster, binaries};
use crate::harness::container::container;
use crate::harness::control_plane::{ADMIN_TOKEN, admin_certificate};
use crate::harness::process::{clean, scratch};
use crate::harness::proxies::OtherProxy;
use crate::harness::server::Server;

const CALLSIGN: &str = env!("CARGO_BIN_EXE_callsign");

/// Writes a kubeconfig of this cluster and user, and the files that it may name.
fn write(cluster: &Value, user: &Value) -> PathBuf {
    let dir = scratch("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "contexts": [{ "name": "test", "context": { "cluster": "c", "user": "u" } }],
        "clusters": [{ "name": "c", "cluster": cluster }],
        "users": [{ "name": "u", "user": user }],
    });
    for (name, text) in [
        ("config", config.to_string()),
        ("token", format!("{ADMIN_TOKEN}\n")),
        ("token-of-windows", format!("{ADMIN_TOKEN}\r\n")),
        ("bad-token", "hunter2\nhunter2\n".into()),
        ("empty", String::new()),
    ] {
        std::fs::write(dir.join(name), text).expect("write a file");
    }
    dir.join("config")
}

/// Runs a command to its end: whether it went well, and all that it says.
fn run(mut command: Command, variables: &[(&str, &str)]) -> (bool, String) {
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let output = command.output().expect("run a program");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), text.concat())
}

fn callsign(kubeconfig: &Path, variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = clean(CALLSIGN);
    command.args(["ls", "-A", "--kubeconfig"]).arg(kubeconfig);
    run(command, variables)
}

fn kubectl(kubeconfig: &Path, variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = clean(binaries().join("kubectl"));
    command.args(["get", "--raw", "/api/v1/pods?limit=1", "--request-timeout=10s", "--kubeconfig"]).arg(kubeconfig);
    run(command, variables)
}

/// Runs both, which have to agree: what callsign says.
#[track_caller]
fn compare(expected: bool, kubeconfig: &Path, variables: &[(&str, &str)]) -> String {
    let shown = std::fs::read_to_string(kubeconfig).expect("read a file");
    let (theirs, told) = kubectl(kubeconfig, variables);
    assert_eq!(theirs, expected, "kubectl: {shown} {variables:?}\n{told}");
    let (ours, text) = callsign(kubeconfig, variables);
    assert_eq!(ours, expected, "callsign: {shown} {variables:?}\n{text}");
    text
}

/// Does the same with all, several at a time: most that fail do so after a wait.
fn at_once<T: Sync>(cases: &[T], check: impl Fn(&T) + Sync) {
    const AT_ONCE: usize = 16;
    for some in cases.chunks(AT_ONCE) {
        std::thread::scope(|scope| some.iter().for_each(|case| drop(scope.spawn(|| check(case)))));
    }
}

/// A value with others over it.
fn with(base: &Value, over: Value) -> Value {
    let mut all = base.clone();
    let over = over.as_object().expect("a map").clone();
    all.as_object_mut().expect("a map").extend(over);
    all
}

/// The cluster's entry, and the one by an address that no proxy is skipped for.
fn entries() -> [Value; 2] {
    let cluster = Cluster::shared();
    let folder = Path::new(cluster.admin_kubeconfig()).parent().expect("a folder");
    let (authority, port) = (folder.join("apiserver.crt"), cluster.api_server.port);
    let local = json!({ "server": format!("https://127.0.0.1:{port}"), "certificate-authority": authority });
    let far = json!({ "server": format!("https://0.0.0.0:{port}"), "tls-server-name": "kubernetes" });
    [local.clone(), with(&local, far)]
}

fn exec(script: &str) -> Value {
    let (version, info) = ("client.authentication.k8s.io/v1", true);
    json!({ "exec": { "apiVersion": version, "interactiveMode": "Never", "provideClusterInfo": info, "command": "sh",
        "env": [{ "name": "GIVEN", "value": ADMIN_TOKEN }], "args": ["-c", script] } })
}

#[test]
fn kubeconfigs_that_kubectl_accepts_are_accepted() {
    const GIVE: &str = r#"echo "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"$GIVEN\",\"expirationTimestamp\":\"2099-01-01T00:00:00Z\"}}""#;
    let [local, _] = entries();
    let server = local["server"].as_str().expect("a URL").to_owned();
    let admin = json!({ "token": ADMIN_TOKEN });
    let insecure = json!({ "server": server, "insecure-skip-tls-verify": true });
    let named = exec(&format!(r#"case $KUBERNETES_EXEC_INFO in *'"server":"{server}'*) {GIVE} ;; esac"#));
    let cases = [
        (true, local.clone(), admin.clone()),
        (true, with(&local, json!({ "server": format!("{server}/") })), admin.clone()),
        (true, with(&local, json!({ "server": server.replace("https", "HTTPS") })), admin.clone()),
        (false, with(&local, json!({ "server": server.replace("//", "//hunter2@") })), admin.clone()),
        (false, with(&local, json!({ "server": format!("{server}/prefix") })), admin.clone()),
        (false, with(&local, json!({ "server": server.replace("https", "http") })), admin.clone()),
        (false, with(&local, json!({ "server": server.replace("https", "ftp") })), admin.clone()),
        (false, with(&local, json!({ "server": format!("{server}9") })), admin.clone()),
        (false, with(&local, json!({ "server": "" })), admin.clone()),
        (false, with(&local, json!({ "server": 1 })), admin.clone()),
        (false, json!({ "server": server.trim_start_matches("https://") }), admin.clone()),
        (false, json!({ "server": server }), admin.clone()),
        (true, insecure.clone(), admin.clone()),
        (false, with(&local, json!({ "insecure-skip-tls-verify": true })), admin.clone()),
        (true, with(&local, json!({ "tls-server-name": "kubernetes" })), admin.clone()),
        (true, with(&local, json!({ "tls-server-name": "", "proxy-url": "" })), admin.clone()),
        (false, with(&local, json!({ "tls-server-name": "other" })), admin.clone()),
        (true, local.clone(), json!({ "tokenFile": "token" })),
        (true, local.clone(), json!({ "tokenFile": "token-of-windows" })),
        (true, local.clone(), json!({ "token": "hunter2", "tokenFile": "token" })),
        (true, local.clone(), json!({ "token": ADMIN_TOKEN, "tokenFile": "" })),
        (false, local.clone(), json!({ "tokenFile": "bad-token" })),
        (false, local.clone(), json!({ "tokenFile": "empty" })),
        (false, local.clone(), json!({ "tokenFile": "none" })),
        (false, local.clone(), json!({ "token": "hunter2\nhunter2" })),
        (false, local.clone(), json!({ "token": "hunter2" })),
        (false, local.clone(), json!({ "token": 123 })),
        (false, local.clone(), json!({ "token": ADMIN_TOKEN, "username": "hunter2" })),
        (false, local.clone(), json!({ "username": "user", "password": "hunter2" })),
        (false, local.clone(), json!({ "username": "hunter2", "tokenFile": "token" })),
        (true, local.clone(), json!({ "password": "hunter2", "tokenFile": "token" })),
        (true, local.clone(), json!({ "token": ADMIN_TOKEN, "as": "someone", "as-groups": ["system:masters"] })),
        (true, local.clone(), json!({ "token": ADMIN_TOKEN, "as": "josé", "as-groups": ["ü", "system:masters"] })),
        (false, local.clone(), json!({ "token": ADMIN_TOKEN, "as": "some\none", "as-groups": ["system:masters"] })),
        (false, local.clone(), json!({ "token": ADMIN_TOKEN, "as": "someone" })),
        (false, local.clone(), json!({ "token": ADMIN_TOKEN, "as-groups": ["system:masters"] })),
        (true, local.clone(), exec(GIVE)),
        (true, local.clone(), named),
        (true, local.clone(), with(&exec("exit 1"), admin.clone())),
        (false, local.clone(), with(&exec(GIVE), json!({ "token": "hunter2" }))),
        (false, local.clone(), with(&exec(GIVE), json!({ "auth-provider": { "name": "oidc" } }))),
        (false, local.clone(), with(&admin, json!({ "exec": { "command": "hunter2" } }))),
        (false, local.clone(), exec(&GIVE.replace("/v1", "/v1beta1"))),
        (false, local.clone(), exec(r#"echo "{\"status\":{\"token\":\"$GIVEN\"}}""#)),
        (false, local.clone(), exec("echo hunter2")),
        (false, local.clone(), exec("exit 1")),
        (false, local.clone(), json!({ "auth-provider": { "name": "gcp", "config": { "access-token": "hunter2" } } })),
        (false, local.clone(), json!({ "client-certificate-data": "aHVudGVyMg==", "client-key-data": "aHVudGVyMg==" })),
        (false, with(&local, json!({ "proxy-url": "ftp://user:hunter2@127.0.0.1:9" })), admin.clone()),
        (false, with(&local, json!({ "proxy-url": "http://user:hunter2@127.0.0.1:9" })), admin.clone()),
    ];
    at_once(&cases, |(expected, cluster, user)| {
        let text = compare(*expected, &write(cluster, user), &[]);
        assert!(!text.contains("hunter2") && !text.contains(ADMIN_TOKEN) && !text.contains("panic"), "{user}\n{text}");
    });
}

/// The folder with the API server's files.
fn api_server_dir() -> PathBuf {
    Path::new(Cluster::shared().admin_kubeconfig()).parent().expect("a folder").to_owned()
}

/// A program that prints a certificate, or one half of it.
fn exec_of(certificate: &str, key: &str) -> Value {
    let status = json!({ "clientCertificateData": certificate, "clientKeyData": key });
    let version = "client.authentication.k8s.io/v1";
    let printed = json!({ "apiVersion": version, "kind": "ExecCredential", "status": status });
    let mut user = exec("printf %s \"$GIVEN\"");
    user["exec"]["env"][0]["value"] = json!(printed.to_string());
    user
}

#[test]
fn client_certificates_are_shown_as_kubectl_shows_them() {
    let [local, _] = entries();
    let dir = api_server_dir();
    let [[good, key], [old, old_key]] = [2099, 2001].map(|year| admin_certificate(&dir, year));
    let data = |certificate: &str, key: &str| json!({ "client-certificate-data": STANDARD.encode(certificate), "client-key-data": STANDARD.encode(key) });
    let files = scratch("certificates");
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let [certificate, key_file, both] = ["tls.crt", "tls.key", "both.pem"].map(|name| files.join(name));
    std::fs::write(&certificate, &good).expect("write a file");
    std::fs::write(&key_file, &key).expect("write a file");
    std::fs::write(&both, format!("{parameters}{key}{good}")).expect("write a file");
    let cases = [
        (true, local.clone(), data(&good, &key)),
        (false, local.clone(), data(&good, &old_key)),
        (false, local.clone(), data(&old, &old_key)),
        (false, local.clone(), data(&good, "hunter2")),
        (false, local.clone(), with(&data(&good, &key), json!({ "client-key-data": "" }))),
        (true, local.clone(), json!({ "client-certificate": certificate, "client-key": key_file })),
        (true, local.clone(), json!({ "client-certificate": both, "client-key": both })),
        (false, local.clone(), json!({ "client-certificate": key_file, "client-key": key_file })),
        (true, local.clone(), with(&data(&good, &key), exec("exit 1"))),
        (true, local.clone(), exec_of(&good, &key)),
        (false, local.clone(), exec_of(&good, "")),
        (false, local.clone(), exec_of("", &key)),
        (false, local.clone(), exec_of(&good, &old_key)),
        (false, local.clone(), exec_of(&old, &old_key)),
    ];
    at_once(&cases, |(expected, cluster, user)| {
        let text = compare(*expected, &write(cluster, user), &[]);
        assert!(!text.contains("hunter2") && !text.contains("PRIVATE KEY"), "{text}");
    });
}

/// The first certificate that the program gives has ended, and the API server refuses it.
#[test]
fn a_server_renews_the_certificate_of_a_program() {
    let [local, _] = entries();
    let dir = api_server_dir();
    let [mut user, good] = [2001, 2099].map(|year| {
        let [certificate, key] = admin_certificate(&dir, year);
        exec_of(&certificate, &key)
    });
    let mut first = user["exec"]["env"][0].clone();
    first["name"] = json!("FIRST");
    let runs = scratch("runs").join("runs");
    user["exec"]["env"] = json!([first, good["exec"]["env"][0], { "name": "RUNS", "value": runs }]);
    let script = r#"test -e "$RUNS" || GIVEN=$FIRST; echo >> "$RUNS"; printf %s "$GIVEN""#;
    user["exec"]["args"] = json!(["-c", script]);
    let kubeconfig = write(&local, &user).display().to_string();
    Server::launch(&[CALLSIGN], &["--kubeconfig", &kubeconfig, "--namespace", "default"]).wait_for("/readyz");
    assert_eq!(std::fs::read_to_string(runs).expect("a file").lines().count(), 2);
}

#[test]
fn a_missing_cluster_user_or_context_is_named() {
    for (args, expected) in [
        (&["ls", "-A", "--context", "a"][..], "context a: /none, /nor-this: no such file, or an empty one"),
        (
            &["serve", "--namespace", "a"],
            "no API server: $KUBECONFIG or ~/.kube/config: /none, /nor-this: no such file",
        ),
    ] {
        let mut command = clean(CALLSIGN);
        command.args(args);
        let (is_good, text) = run(command, &[("KUBECONFIG", "/none::/nor-this")]);
        assert!(!is_good && text.contains(expected), "{args:?}: {text}");
    }
}

/// kubectl would speak plain HTTP to it, whatever the kubeconfig has about TLS.
#[test]
fn a_server_without_a_scheme_uses_tls_if_the_kubeconfig_has_tls() {
    let [local, _] = entries();
    let server = local["server"].as_str().expect("a URL").trim_start_matches("https://").to_owned();
    let kubeconfig = write(&with(&local, json!({ "server": server })), &json!({ "token": ADMIN_TOKEN }));
    let (ours, text) = callsign(&kubeconfig, &[]);
    assert!(ours, "{text}");
}

#[test]
fn proxies_are_used_as_kubectl_uses_them() {
    let [local, far] = entries();
    let admin = json!({ "token": ADMIN_TOKEN });
    let proxies = [
        ("http", OtherProxy::http(false), OtherProxy::http(true)),
        ("socks5", OtherProxy::socks(false), OtherProxy::socks(true)),
    ];
    for (scheme, open, closed) in &proxies {
        let url = |login: &str, proxy: &OtherProxy| format!("{scheme}://{login}127.0.0.1:{}", proxy.port);
        let (open, good, bad) = (url("", open), url("user:%68unter2@", closed), url("user:wrong@", closed));
        let dead = format!("{scheme}://user:hunter2@127.0.0.1:9");
        let of_kubeconfig = |url: &str| with(&local, json!({ "proxy-url": url }));
        let cases = [
            (true, of_kubeconfig(&open), &[][..]),
            (true, of_kubeconfig(&good), &[]),
            (false, of_kubeconfig(&bad), &[]),
            (false, of_kubeconfig(&url("", closed)), &[]),
            (false, of_kubeconfig(&dead), &[("NO_PROXY", "*")]),
            (true, of_kubeconfig(&good), &[("HTTPS_PROXY", &*dead)]),
            (true, local.clone(), &[("HTTPS_PROXY", &*dead)]),
            (true, local.clone(), &[("HTTPS_PROXY", &*dead), ("NO_PROXY", "127.0.0.1")]),
            (true, far.clone(), &[("HTTPS_PROXY", &*open)]),
            (true, far.clone(), &[("https_proxy", &*good)]),
            (false, far.clone(), &[("HTTPS_PROXY", &*bad)]),
            (false, far.clone(), &[("HTTPS_PROXY", &*dead)]),
            (true, far.clone(), &[("HTTP_PROXY", &*dead)]),
            (true, far.clone(), &[("ALL_PROXY", &*dead)]),
            (true, far.clone(), &[("HTTPS_PROXY", &*dead), ("NO_PROXY", "0.0.0.0")]),
            (true, far.clone(), &[("HTTPS_PROXY", &*dead), ("no_proxy", "a.b, 0.0.0.0/8")]),
            (true, far.clone(), &[("HTTPS_PROXY", &*dead), ("NO_PROXY", "*")]),
            (false, far.clone(), &[("HTTPS_PROXY", &*dead), ("NO_PROXY", "0.0.0.0:443")]),
            (false, far.clone(), &[("HTTPS_PROXY", &*dead), ("NO_PROXY", ".0.0.0,10.0.0.0/8")]),
        ];
        at_once(&cases, |(expected, cluster, variables)| {
            let text = compare(*expected, &write(cluster, &admin), variables);
            assert!(!text.contains("hunter2") && !text.contains("wrong"), "{text}");
            assert!(*expected || text.contains(&format!("by the proxy {scheme}://127.0.0.1:")), "{text}");
        });
    }
    assert!(proxies[0].1.log().contains("CONNECT"), "{}", proxies[0].1.log());
}

#[test]
fn a_proxy_may_be_behind_tls() {
    let [local, _] = entries();
    let dir = scratch("proxy");
    let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let (certificate, authority) = (dir.join("proxy.pem"), dir.join("authorities.pem"));
    std::fs::write(&certificate, issued.cert.pem() + &issued.signing_key.serialize_pem()).expect("write a file");
    let of_cluster = std::fs::read_to_string(local["certificate-authority"].as_str().expect("a path"));
    std::fs::write(&authority, of_cluster.expect("a certificate") + &issued.cert.pem()).expect("write a file");
    let open = OtherProxy::http(true);
    let tls = OtherProxy::tls(&open, &certificate);
    for (expected, login) in [(true, "user:hunter2@"), (false, "user:wrong@")] {
        let url = format!("https://{login}127.0.0.1:{}", tls.port);
        let cluster = with(&local, json!({ "certificate-authority": authority, "proxy-url": url }));
        compare(expected, &write(&cluster, &json!({ "token": ADMIN_TOKEN })), &[]);
    }
}

/// With the system calls that it gives up, too.
#[test]
fn a_server_watches_by_a_proxy_and_by_a_list_of_kubeconfigs() {
    let [_, far] = entries();
    let proxy = OtherProxy::socks(true);
    let good = write(&far, &json!({ "tokenFile": "token" })).display().to_string();
    let list = format!("KUBECONFIG=:/none:{good}:/none");
    let of_proxy = format!("HTTPS_PROXY=socks5://user:hunter2@127.0.0.1:{}", proxy.port);
    for variables in [&[list.as_str(), &of_proxy][..], &[&list]] {
        let command = [&["env"], variables, &[CALLSIGN]].concat();
        let mut server = Server::launch(&command, &["--namespace", "default"]);
        server.wait_for("/readyz");
        assert!(!server.log().contains("hunter2"), "{}", server.log());
    }
}

#[test]
fn a_pod_reads_its_own_token_and_skips_the_proxy() {
    let container = container(Cluster::shared(), "default\n", &format!("{ADMIN_TOKEN}\n"));
    let container: Vec<&str> = container.iter().map(String::as_str).collect();
    let command = [&container[..], &["HTTPS_PROXY=http://127.0.0.1:9", "NO_PROXY=127.0.0.1", CALLSIGN]].concat();
    Server::launch(&command, &["--namespace", "default"]).wait_for("/readyz");
}
