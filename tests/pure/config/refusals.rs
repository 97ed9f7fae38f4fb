//! What is refused, and what the error says.

use super::load;

#[test]
fn what_is_refused() {
    let long = |len: usize| format!("--zone {}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(len - 64 - 64 - 2));
    assert_eq!(load(&long(134), "", "").unwrap().zone.wire().len(), 134);
    let too_long = long(135);
    for (flags, variables, file, expected) in [
        (too_long.as_str(), "", "", "takes 135 bytes on the wire; at most 134"),
        ("--zone .", "", "", "--zone: \".\" is not a zone name: it is the root"),
        ("--zone a..b", "", "", "empty label"),
        ("--zone a/b", "", "", "letters, digits"),
        ("--ttl 0", "", "", "--ttl: 0 is not from 1 to 86400 seconds"),
        ("--ttl 86401", "", "", "--ttl"),
        ("--stale-after 0", "", "", "--stale-after"),
        (
            "--max-registrations-per-namespace 9",
            "",
            "",
            "in bytes now; remove this option, or write --max-namespace-bytes",
        ),
        ("", "CALLSIGN_MAX_REGISTRATIONS_PER_NAMESPACE=9", "", "is in bytes now"),
        ("", "", "max-registrations-per-namespace = 9", "is in bytes now"),
        ("--max-bytes 3MiB", "", "", "--max-bytes: a single Pod may need 4MiB"),
        ("--max-namespace-bytes 1", "", "", "--max-namespace-bytes: a single Pod may need 4MiB"),
        ("--max-namespace-bytes 1GiB", "", "", "raise --max-bytes too"),
        ("", "", "max-bytes = -1", "not a size"),
        ("", "", "max-bytes = '1 pound'", "write 256MiB"),
        ("--max-stale 100", "", "", "less than --stale-after 180"),
        ("--state-wait 3", "", "", "--state-wait: it has no effect without --state-dir"),
        ("--state-dir d --state-wait 601", "", "", "--state-wait: 601 is not from 0 to 600 seconds"),
        ("--lame-duck 3601", "", "", "--lame-duck"),
        ("--reverse 10.0.0.1", "", "", "10.244.0.0/16"),
        ("--reverse 0.0.0.0/0", "", "", "every address"),
        ("--txt-keys a,all", "", "", "must be the only value"),
        ("--txt-keys a=b", "", "", "is not a key"),
        ("--txt-keys a,,b", "", "", "is not a key"),
        ("--namespace A", "", "", "is not a namespace"),
        ("--namespace a --all-namespaces", "", "", "contradicts --all-namespaces"),
        ("", "", "namespace = 'a'\nall-namespaces = true", "contradicts --all-namespaces"),
        ("--listen 10.0.0.1:53 --listen 10.0.0.1:53", "", "", "given twice"),
        ("--listen [::ffff:10.0.0.1]:53 --listen 10.0.0.1:53", "", "", "10.0.0.1:53 is given twice"),
        ("--listen 127.0.0.1:8053", "", "", "also the address of --http"),
        ("--listen-tls 10.0.0.1:853", "", "", "--listen-tls: it needs a certificate: give --tls-cert FILE"),
        ("--listen-quic 10.0.0.1:853 --tls-cert c", "", "", "--listen-quic: it needs the certificate's key"),
        (
            "--tls-cert c --tls-key k",
            "",
            "",
            "no effect without --listen-tls, --listen-https, --listen-quic or --http-tls",
        ),
        ("--tls-cert c --tls-key k --listen-tls 127.0.0.1:5354", "", "", "also an address of --listen"),
        ("--tls-cert c --tls-key k --listen-https 127.0.0.1:8053", "", "", "also an address of --http"),
        (
            "--tls-cert c --tls-key k --listen-tls [::]:1 --listen-https [::]:1",
            "",
            "",
            "also an address of --listen-tls",
        ),
        ("--tls-cert c --tls-key k --listen-https [::]:1 --listen-quic [::]:1", "", "", "of --listen-https; give one"),
        ("--tls-cert c --tls-key k --listen-quic [::]:1 --listen-quic [::]:1", "", "", "[::]:1 is given twice"),
        ("--allow 10.0.0.0/33", "", "", "--allow: \"10.0.0.0/33\" is not a network; write 10.244.0.0/16"),
        ("--trusted-client coredns", "", "", "--trusted-client: \"coredns\" is not a network"),
        ("--client-prefix6 0", "", "", "--client-prefix6: 0 is not from 1 to 128"),
        ("--client-prefix6 129", "", "", "--client-prefix6: 129 is not from 1 to 128"),
        ("--tcp-clients 0", "", "", "--tcp-clients: 0 is not from 1 to 1000000"),
        ("--tcp-clients 9 --tcp-per-client 10", "", "", "--tcp-per-client: 10 is not from 1 to 9"),
        ("--rrl 0", "", "", "--rrl: 0 is not from 1"),
        ("--cookies=false --cookie-secret s", "", "", "--cookie-secret: it has no effect with --cookies=false"),
        ("--http-tls", "", "", "--http-tls: it needs a certificate"),
        ("--log-level loud", "", "", "is not a log filter"),
        ("", "HOSTNAME=a\u{1b}b", "", "the host name must have"),
        ("--config /nonexistent.toml", "", "", "config file /nonexistent.toml: No such file"),
        ("", "CALLSIGN_TTL=soon", "", "CALLSIGN_TTL: invalid value 'soon' for '--ttl <SECONDS>'"),
        ("", "CALLSIGN_LISTEN=10.0.0.1:53,here", "", "CALLSIGN_LISTEN: invalid value 'here'"),
        ("", "CALLSIGN_PUBLISH_NOT_READY=1", "", "CALLSIGN_PUBLISH_NOT_READY: invalid value '1'"),
        ("", "CALLSIGN_LOG_FORMAT=xml", "", "[possible values: text, json]"),
        (
            "",
            "CALLSIGN_ZONNE=a",
            "",
            "CALLSIGN_ZONNE; unset it, or use one of: CALLSIGN_ALLOW CALLSIGN_ALL_NAMESPACES ",
        ),
        ("", "CALLSIGN_PROFILE=a", "", "CALLSIGN_PROFILE"),
        ("", "", "ttl = 1\n\nttll = 1", "line 3: unknown field `ttll`"),
        ("", "", "\nttl = -1", "line 2: "),
        ("", "", "\n\nlisten = ['10.0.0.1:53', 'here']", "line 3: \"here\": write one such as 127.0.0.1:5354"),
        ("", "", "config = 'x'", "line 1: unknown field `config`"),
        ("", "", "publish-not-ready = 'true'", "line 1: `publish-not-ready`: invalid type"),
        ("", "", "publish_not_ready = true", "unknown field"),
    ] {
        let error = load(flags, variables, file).map(|_| "accepted").unwrap_err();
        assert!(error.contains(expected), "{flags} {variables} {file}: {error}");
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn an_error_of_the_file_does_not_show_its_lines() {
    let kubeconfig = "apiVersion: v1\nusers:\n- user:\n    token: s3cr3t\n";
    for file in [kubeconfig, "token = 's3cr3t'", "a = 's3cr3t", "s3cr3t s3cr3t", "[s3cr3t", "ttl = s3cr3t"] {
        let error = load("", "", file).unwrap_err();
        assert!(error.contains("line 1: ") && !error.contains("s3cr3t"), "{file}: {error}");
    }
}
