use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::*;
use crate::dns::{Rcode, Rtype};
use crate::http::HttpCounters;
use crate::registration::Reason;
use crate::server::{DropReason, ServerCounters, Transport};
use crate::snapshot::Tally;
use crate::source::SourceId;
use crate::state::StateCounters;

fn scrape() -> Scrape {
    Scrape {
        tally: Tally {
            pods: 3,
            registrations: 5,
            endpoints: 4,
            conflicts: 1,
            malformed_protocols: 2,
            withheld: 6,
            left_out: 8,
            bytes: 1 << 40,
            namespace_bytes: 3_000,
            refused: BTreeMap::from([(Reason::BadBase64, 7), (Reason::ForeignAddress, 8)]),
        },
        bytes_max: 512 << 20,
        namespace_bytes_max: 256 << 20,
        services: 11,
        alias_only: 4,
        hidden: 9,
        serial: u32::MAX,
        revision: u64::MAX,
        is_synced: true,
        sources: vec![source("app", None, None), source("dubbo", Some("shop"), Some(Duration::from_millis(1500)))],
        subscribers: 12,
    }
}

fn source(profile: &str, namespace: Option<&str>, silence: Option<Duration>) -> SourceStats {
    SourceStats {
        source: SourceId {
            cluster: "a\"b\\c\nd".into(),
            profile: profile.into(),
            namespace: namespace.map(|name| name.into()),
        },
        is_synced: silence.is_some(),
        silence,
        age: silence.map(|silence| silence * 2),
        restarts: vec![("ended", 2), ("silent", 0)],
        relists: 9,
        skipped: 10,
    }
}

fn text() -> String {
    let (server, http, state) =
        (Arc::<ServerCounters>::default(), Arc::<HttpCounters>::default(), StateCounters::default());
    state.state_written(false);
    let metrics = Metrics::new("1.2.3", "0a1b2c").with(server.clone()).with(http.clone()).with(state);
    server.query(Rtype::SRV, Transport::Udp, Rcode::NOERROR);
    server.query(Rtype::SRV, Transport::Udp, Rcode::NOERROR);
    server.query(Rtype(65), Transport::Tcp, Rcode(77));
    server.query(Rtype(64), Transport::Tcp, Rcode(78));
    server.query(Rtype(0), Transport::Udp, Rcode::FORMERR);
    server.query(Rtype::TSIG, Transport::Tcp, Rcode::BADVERS);
    server.truncated(Transport::Tcp);
    server.dropped(DropReason::Accept);
    http.event_sent();
    http.event_sent();
    http.slow_reader();
    server.panicked();
    let _open = server.open(Transport::Tls);
    drop(server.open(Transport::Tls));
    server.dropped(DropReason::Handshake);
    server.certificate_read(true);
    server.certificate_read(false);
    server.certificate_read(false);
    metrics.observe_event_lag(Duration::from_millis(3));
    metrics.observe_event_lag(Duration::from_secs(60));
    metrics.encode_with(scrape())
}

#[test]
fn every_number_has_its_line() {
    let text = text();
    let escaped = r#"cluster="a\"b\\c\nd""#;
    for line in [
        r#"callsign_queries_total{qtype="SRV",transport="udp",rcode="NOERROR"} 2"#,
        r#"callsign_queries_total{qtype="other",transport="tcp",rcode="other"} 2"#,
        r#"callsign_queries_total{qtype="none",transport="udp",rcode="FORMERR"} 1"#,
        r#"callsign_queries_total{qtype="TSIG",transport="tcp",rcode="BADVERS"} 1"#,
        r#"callsign_truncated_total{transport="udp"} 0"#,
        r#"callsign_truncated_total{transport="tcp"} 1"#,
        r#"callsign_dropped_total{reason="accept"} 1"#,
        r#"callsign_dropped_total{reason="not-a-query"} 0"#,
        r#"callsign_connections{transport="tls"} 1"#,
        r#"callsign_connections{transport="quic"} 0"#,
        r#"callsign_dropped_total{reason="handshake"} 1"#,
        r#"callsign_certificate_reloads_total{result="served"} 1"#,
        r#"callsign_certificate_reloads_total{result="refused"} 2"#,
        "callsign_subscribers 12",
        "callsign_events_sent_total 2",
        "callsign_slow_readers_total 1",
        "callsign_panics_total 1",
        "callsign_log_lines_lost_total 0",
        "callsign_state_writes_total{result=\"failed\"} 1",
        "callsign_event_lag_seconds_count 2",
        r#"callsign_event_lag_seconds_bucket{le="0.005"} 1"#,
        r#"callsign_event_lag_seconds_bucket{le="10.0"} 1"#,
        r#"callsign_event_lag_seconds_bucket{le="+Inf"} 2"#,
        "callsign_pods 3",
        "callsign_registrations 5",
        "callsign_endpoints 4",
        "callsign_conflicts 1",
        "callsign_malformed_protocols 2",
        "callsign_services 11",
        "callsign_pairs_withheld 6",
        "callsign_pairs_left_out 8",
        "callsign_services_alias_only 4",
        "callsign_names_hidden 9",
        r#"callsign_registrations_refused{reason="bad-base64"} 7"#,
        r#"callsign_registrations_refused{reason="foreign-address"} 8"#,
        "callsign_zone_serial 4294967295",
        "callsign_snapshot_revision 18446744073709551615",
        "callsign_synced 1",
        &format!(r#"callsign_source_synced{{{escaped},profile="app",namespace=""}} 0"#),
        &format!(r#"callsign_source_synced{{{escaped},profile="dubbo",namespace="shop"}} 1"#),
        &format!(r#"callsign_source_last_frame_seconds{{{escaped},profile="dubbo",namespace="shop"}} 1.5"#),
        &format!(r#"callsign_source_age_seconds{{{escaped},profile="dubbo",namespace="shop"}} 3.0"#),
        &format!(r#"callsign_source_restarts_total{{{escaped},profile="app",namespace="",reason="ended"}} 2"#),
        &format!(r#"callsign_source_relists_total{{{escaped},profile="app",namespace=""}} 9"#),
        &format!(r#"callsign_source_skipped_total{{{escaped},profile="app",namespace=""}} 10"#),
        r#"callsign_build_info{version="1.2.3",commit="0a1b2c"} 1"#,
        "# TYPE callsign_queries_total counter",
        "# TYPE callsign_source_last_frame_seconds gauge",
        "# TYPE callsign_source_age_seconds gauge",
    ] {
        assert!(text.lines().any(|written| written == line), "{line}\nis not in\n{text}");
    }
    assert_eq!(text.matches("callsign_queries_total{").count(), 4, "only counters above zero");
    assert_eq!(text.matches("callsign_source_last_frame_seconds{").count(), 1, "only sources with a frame");
}

/// Checks what scrapers refuse in format 0.0.4, and what `promtool` reports.
#[test]
fn the_text_is_well_formed() {
    let text = text();
    assert!(text.ends_with('\n'));
    let (mut families, mut samples) = (HashSet::new(), HashSet::new());
    let (mut family, mut kind) = ("", "");
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let [keyword, name, rest] = *comment.splitn(3, ' ').collect::<Vec<_>>() else { panic!("{line}") };
            match keyword {
                "HELP" => {
                    assert!(families.insert(name) && name.starts_with("callsign_") && rest.ends_with('.'), "{line}");
                    family = name;
                }
                "TYPE" => {
                    assert_eq!(name, family);
                    assert_eq!(rest == "counter", name.ends_with("_total"), "{line}");
                    kind = rest;
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
        assert!(samples.insert(series), "{line} appears twice");
        let suffix = series.split('{').next().unwrap().strip_prefix(family).unwrap_or_else(|| panic!("{line}"));
        let expected: &[&str] = match kind {
            "counter" | "gauge" => &[""],
            "histogram" => &["_sum", "_count", "_bucket"],
            _ => panic!("{kind}"),
        };
        assert!(expected.contains(&suffix), "{line}");
    }
    assert_eq!(families.len(), 36);
}
