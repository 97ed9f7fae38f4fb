//! Options: they mean the same in three places, and a refusal says what to do.

mod profiles;
mod refusals;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use callsign::cli::{Cli, Command};
use callsign::config::{Environment, Namespaces, ServeConfig};
use callsign::logging::Format;
use callsign::snapshot::TxtKeys;
use callsign::source::default_profiles;
use callsign::source::kube::QUIET_MAX;
use clap::{CommandFactory, Parser};

/// A file that is removed at the end of the test.
struct TempFile(PathBuf);

impl TempFile {
    fn new(text: &str) -> TempFile {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("callsign-config-{}-{number}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        TempFile(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Loads a configuration from flags, variables and a file's text. Variables and the file have one option a line.
fn load(flags: &str, variables: &str, file: &str) -> Result<ServeConfig, String> {
    let file = (!file.is_empty()).then(|| TempFile::new(file));
    let mut words: Vec<OsString> = vec!["callsign".into(), "serve".into()];
    words.extend(flags.split_whitespace().map(OsString::from));
    if let Some(TempFile(path)) = &file {
        words.extend(["--config".into(), path.into()]);
    }
    let Command::Serve(args) = Cli::try_parse_from(words).map_err(|error| error.to_string())?.command else {
        panic!("not serve");
    };
    let variables = variables.lines().filter_map(|line| line.trim().split_once('='));
    let environment = Environment::of_variables(variables.map(|(name, value)| (name.into(), value.into())));
    environment.and_then(|environment| ServeConfig::load(*args, &environment)).map_err(|error| error.to_string())
}

/// The configuration without the values that differ from host to host.
fn shown(config: Result<ServeConfig, String>) -> String {
    let mut config = config.unwrap();
    config.nsid = if config.nsid == "here" { config.nsid } else { "the host's name".into() };
    format!("{config:?}")
}

#[test]
fn defaults() {
    let config = load("", "HOSTNAME=callsign-0", "").unwrap();
    assert_eq!(config.zone.to_string(), "rpc.cluster.local.");
    assert_eq!(
        format!("{:?}", config.name_servers),
        "[NameServer { name: ns.rpc.cluster.local., addresses: [127.0.0.1] }]"
    );
    assert_eq!(format!("{:?} {:?}", config.listen, config.http), "[127.0.0.1:5354] 127.0.0.1:8053");
    assert_eq!((config.ttl, config.stale_after, config.max_stale), (5, Duration::from_secs(180), None));
    assert_eq!((config.lame_duck, config.nsid.as_str()), (Duration::from_secs(5), "callsign-0"));
    let keys = ["weight", "serialization", "release", "region", "zone", "environment", "tag"];
    assert_eq!(config.txt_keys, TxtKeys::Only(keys.map(str::to_owned).to_vec()));
    assert_eq!(config.profiles, default_profiles());
    assert_eq!((config.log_format, config.log_level.as_str(), config.log_queries), (Format::Text, "info", false));
    assert!(!config.publish_not_ready && !config.trust_addresses);
    assert_eq!((config.namespace_bytes_max, config.bytes_max), (544 << 20, 576 << 20));
    assert!(config.reverse.is_empty() && config.zones.is_none() && config.warnings.is_empty());
}

/// Every option, spelled in three ways. The next test checks that none is missing.
const SPELLINGS: [(&str, &str, &str); 45] = [
    ("--zone=a.b", "ZONE=a.b", "zone = 'a.b'"),
    ("--ns=x --ns=y=10.0.0.9", "NS=x,y=10.0.0.9", "ns = ['x', 'y=10.0.0.9']"),
    ("--reverse=10.9.0.0/8 --reverse=fd00::/8", "REVERSE=10.0.0.0/8, fd00::/8", "reverse = ['10.0.0.0/8', 'fd00::/8']"),
    ("--ttl=9", "TTL=9", "ttl = 9"),
    ("--txt-keys=a,b", "TXT_KEYS=a,b", "txt-keys = ['a', 'b']"),
    ("--zones=z", "ZONES=z", "zones = 'z'"),
    ("--manifests=m --manifests=n", "MANIFESTS=m,n", "manifests = 'm,n'"),
    ("--kubeconfig=k", "KUBECONFIG=k", "kubeconfig = 'k'"),
    ("--context=c", "CONTEXT=c", "context = 'c'"),
    ("--namespace=a --namespace=b", "NAMESPACE=a,b", "namespace = ['a', 'b']"),
    ("--all-namespaces", "ALL_NAMESPACES=true", "all-namespaces = true"),
    ("--publish-not-ready", "PUBLISH_NOT_READY=true", "publish-not-ready = true"),
    ("--max-namespace-bytes=9MiB", "MAX_NAMESPACE_BYTES=9Mi", "max-namespace-bytes = 9437184"),
    ("--max-bytes=1GiB", "MAX_BYTES=1 GiB", "max-bytes = '1073741824'"),
    ("--trust-addresses", "TRUST_ADDRESSES=true", "trust-addresses = true"),
    ("--listen=[::1]:0 --listen=10.0.0.1:53", "LISTEN=[::1]:0,10.0.0.1:53", "listen = ['[::1]:0', '10.0.0.1:53']"),
    (
        "--listen-tls=[::1]:853 --tls-cert=c --tls-key=k",
        "LISTEN_TLS=[::1]:853\nCALLSIGN_TLS_CERT=c\nCALLSIGN_TLS_KEY=k",
        "listen-tls = '[::1]:853'\ntls-cert = 'c'\ntls-key = 'k'",
    ),
    (
        "--listen-https=[::]:443 --tls-cert=c --tls-key=k",
        "LISTEN_HTTPS=[::]:443\nCALLSIGN_TLS_CERT=c\nCALLSIGN_TLS_KEY=k",
        "listen-https = '[::]:443'\ntls-cert = 'c'\ntls-key = 'k'",
    ),
    (
        "--listen-quic=10.0.0.1:853 --tls-cert=c --tls-key=k",
        "LISTEN_QUIC=10.0.0.1:853\nCALLSIGN_TLS_CERT=c\nCALLSIGN_TLS_KEY=k",
        "listen-quic = '10.0.0.1:853'\ntls-cert = 'c'\ntls-key = 'k'",
    ),
    (
        "--tls-cert=c --tls-key=k --listen-tls=[::1]:0",
        "TLS_CERT=c\nCALLSIGN_TLS_KEY=k\nCALLSIGN_LISTEN_TLS=[::1]:0",
        "tls-cert = 'c'\ntls-key = 'k'\nlisten-tls = '[::1]:0'",
    ),
    (
        "--tls-key=k --tls-cert=c --listen-tls=[::1]:0",
        "TLS_KEY=k\nCALLSIGN_TLS_CERT=c\nCALLSIGN_LISTEN_TLS=[::1]:0",
        "tls-key = 'k'\ntls-cert = 'c'\nlisten-tls = '[::1]:0'",
    ),
    ("--profiles=labels,app", "PROFILES=labels,app", "profiles = ['labels', 'app']"),
    ("--http=[::]:80", "HTTP=[::]:80", "http = '[::]:80'"),
    ("--stale-after=99", "STALE_AFTER=99", "stale-after = 99"),
    ("--max-stale=200", "MAX_STALE=200", "max-stale = 200"),
    ("--state-dir=d", "STATE_DIR=d", "state-dir = 'd'"),
    ("--state-wait=9 --state-dir=d", "STATE_WAIT=9\nCALLSIGN_STATE_DIR=d", "state-wait = 9\nstate-dir = 'd'"),
    ("--state-max-age=9 --state-dir=d", "STATE_MAX_AGE=9\nCALLSIGN_STATE_DIR=d", "state-max-age = 9\nstate-dir = 'd'"),
    ("--nsid=here", "NSID=here", "nsid = 'here'"),
    ("--lame-duck=0", "LAME_DUCK=0", "lame-duck = 0"),
    ("--allow=10.0.0.1 --allow=fd00::7/8", "ALLOW=10.0.0.1/32,fd00::/8", "allow = ['10.0.0.1', 'fd00::/8']"),
    ("--trusted-client=10.0.0.1", "TRUSTED_CLIENT=10.0.0.1/32", "trusted-client = '10.0.0.1'"),
    ("--tcp-clients=9", "TCP_CLIENTS=9", "tcp-clients = 9"),
    ("--tcp-per-client=9", "TCP_PER_CLIENT=9", "tcp-per-client = 9"),
    ("--client-prefix6=128", "CLIENT_PREFIX6=128", "client-prefix6 = 128"),
    ("--cookies", "COOKIES=true", "cookies = true"),
    ("--cookie-secret=s", "COOKIE_SECRET=s", "cookie-secret = 's'"),
    ("--rrl=200", "RRL=200", "rrl = 200"),
    ("--http-allow=10.0.0.0/8", "HTTP_ALLOW=10.9.9.9/8", "http-allow = ['10.0.0.0/8']"),
    ("--http-token=t", "HTTP_TOKEN=t", "http-token = 't'"),
    (
        "--http-tls --tls-cert=c --tls-key=k",
        "HTTP_TLS=true\nCALLSIGN_TLS_CERT=c\nCALLSIGN_TLS_KEY=k",
        "http-tls = true\ntls-cert = 'c'\ntls-key = 'k'",
    ),
    ("--seccomp=false", "SECCOMP=false", "seccomp = false"),
    ("--log-format=json", "LOG_FORMAT=json", "log-format = 'json'"),
    ("--log-level=callsign=debug", "LOG_LEVEL=callsign=debug", "log-level = 'callsign=debug'"),
    ("--log-queries", "LOG_QUERIES=true", "log-queries = true"),
];

#[test]
fn flags_environment_and_file_mean_the_same() {
    let default = shown(load("", "", ""));
    for (flag, variable, toml) in SPELLINGS {
        let by_flag = shown(load(flag, "", ""));
        assert_ne!(by_flag, default, "{flag} changes nothing");
        assert_eq!(shown(load("", &format!("CALLSIGN_{variable}"), "")), by_flag, "{variable}");
        assert_eq!(shown(load("", "", toml)), by_flag, "{toml}");
    }
}

#[test]
fn every_option_is_in_the_table_above() {
    let command = Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let arguments = serve.get_arguments().filter(|argument| !argument.is_hide_set()); // removed options
    for flag in arguments.filter_map(|argument| argument.get_long()).filter(|&flag| flag != "config") {
        let prefix = format!("--{flag}");
        let is_spelt = |(typed, ..): &(&str, &str, &str)| typed.split(['=', ' ']).next() == Some(prefix.as_str());
        assert!(SPELLINGS.iter().any(is_spelt), "{flag}");
    }
}

#[test]
fn a_flag_precedes_the_environment_and_the_environment_the_file() {
    let file = "ttl = 1\nlame-duck = 1\nnsid = 'file'\nlisten = ['10.0.0.1:1', '10.0.0.2:1']\npublish-not-ready = true";
    let variables = "CALLSIGN_TTL=2\nCALLSIGN_LAME_DUCK=2\nCALLSIGN_NSID=";
    let config = load("--ttl 3 --listen 10.0.0.3:1 --publish-not-ready=false", variables, file).unwrap();
    assert_eq!((config.ttl, config.lame_duck.as_secs(), config.nsid.as_str()), (3, 2, "file"));
    assert_eq!(format!("{:?}", config.listen), "[10.0.0.3:1]");
    assert!(!config.publish_not_ready);

    let file = TempFile::new("ttl = 7");
    assert_eq!(load("", &format!("CALLSIGN_CONFIG={}", file.0.display()), "").unwrap().ttl, 7);
}

#[test]
fn the_namespaces_are_one_choice() {
    let named = |names: &[&str]| Namespaces::Named(names.iter().map(|&name| name.into()).collect());
    for (flags, variables, file, expected) in [
        ("--context c", "", "", Namespaces::Own),
        ("--all-namespaces", "", "", Namespaces::All),
        ("--namespace b --namespace a --namespace b", "", "", named(&["b", "a"])),
        ("--all-namespaces", "", "namespace = 'a'", Namespaces::All),
        ("--namespace a", "CALLSIGN_ALL_NAMESPACES=true", "", named(&["a"])),
        ("--context c --all-namespaces=false", "", "all-namespaces = true", Namespaces::Own),
        ("", "CALLSIGN_ALL_NAMESPACES=false", "namespace = 'a'", named(&["a"])),
    ] {
        let config = load(flags, variables, file).unwrap();
        assert_eq!(
            config.kubernetes.map(|kubernetes| kubernetes.namespaces),
            Some(expected),
            "{flags} {variables} {file}"
        );
    }
}

#[test]
fn where_pods_come_from() {
    for (flags, variables, reads_files, watches) in [
        ("--manifests a", "", true, false),
        ("--manifests a", "KUBERNETES_SERVICE_HOST=10.96.0.1", true, false),
        ("", "KUBERNETES_SERVICE_HOST=10.96.0.1", false, true),
        ("--manifests a --context c", "", true, true),
        ("--kubeconfig k", "", false, true),
        ("--namespace a", "", false, true),
        ("--all-namespaces", "", false, true),
    ] {
        let config = load(flags, variables, "").unwrap().with_source().unwrap();
        assert_eq!((!config.manifests.is_empty(), config.kubernetes.is_some()), (reads_files, watches), "{flags}");
    }
    let error = load("--zones z --all-namespaces=false", "", "").unwrap().with_source().unwrap_err().to_string();
    assert!(error.contains("--manifests PATH") && error.contains("--all-namespaces"), "{error}");
}

#[test]
fn reverse_networks_are_normalised() {
    for (flags, expected, warnings) in [
        ("--reverse 10.244.3.7/16", "[10.244.0.0/16]", 0),
        ("--reverse fd00::7/9 --reverse 10.1.0.0/16 --reverse 10.1.2.3/16", "[10.1.0.0/16, fd00::/9]", 0),
        ("--reverse 10.1.0.0/16 --reverse 10.0.0.0/8", "[10.0.0.0/8]", 1),
    ] {
        let config = load(flags, "", "").unwrap();
        assert_eq!((format!("{:?}", config.reverse).as_str(), config.warnings.len()), (expected, warnings), "{flags}");
    }
}

#[test]
fn a_stale_after_below_a_quiet_clusters_age_is_warned_of() {
    assert_eq!(QUIET_MAX.as_secs(), 50, "the README says so");
    for (flags, is_warned) in [("--stale-after 49", true), ("--stale-after 50", false), ("--stale-after 60", false)] {
        let warnings = load(flags, "", "").unwrap().warnings;
        let told = warnings.iter().any(|warning| warning.contains("sends nothing for up to 50 s"));
        assert_eq!((told, warnings.len()), (is_warned, usize::from(is_warned)), "{flags}: {warnings:?}");
    }
}

#[test]
fn variables_that_kubernetes_sets_for_services_are_ignored() {
    for name in [
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_DNS_TCP",
        "PORT",
        "PORT_53_UDP",
        "PORT_53_UDP_ADDR",
        "HTTP_SERVICE_HOST",
        "HTTP_PORT_80_TCP_PROTO",
        "COMMIT",
    ] {
        assert!(load("", &format!("CALLSIGN_{name}=tcp://10.96.0.53:53"), "").is_ok(), "{name}");
    }
}
