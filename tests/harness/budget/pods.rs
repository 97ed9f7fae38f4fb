//! Zones of any size, with Pods as in a real cluster.

use std::net::{IpAddr, Ipv4Addr};

use callsign::registration::ProfileText;
use callsign::source::{Phase, Pod, PodStatus};

use super::provider::{INTERFACES, Provider, interface_name};
use super::zone::{ZONE, Zone};

/// The number of Pods that register the same interfaces.
pub(crate) const REPLICAS: usize = 4;

impl Zone {
    /// This many Pods, four of a kind, with five registrations each.
    pub(crate) fn of_pods(pods: usize) -> Zone {
        let mut zone = Zone::empty();
        let provider = Provider::recorded();
        zone.list((0..pods).map(|number| pod(&provider, number, true)));
        zone
    }
}

/// The SRV name of a service.
pub(crate) fn service_name(kind: usize, interface: usize) -> String {
    format!("_rpc._tcp.{}.{}.{ZONE}", interface_name(kind, interface), namespace(kind))
}

fn namespace(kind: usize) -> String {
    format!("shop-{}", kind % 10)
}

pub(crate) fn pod(provider: &Provider, number: usize, ready: bool) -> Pod {
    let kind = number / REPLICAS;
    let address = Ipv4Addr::from(0x0af4_0000 + number as u32);
    let name = format!("shop-{kind}-6d5f7c9b8-{number:05}");
    Pod {
        namespace: namespace(kind).into(),
        uid: format!("5e4d1e0a-0000-4000-8000-{number:012}").into(),
        resource_version: 1,
        status: PodStatus {
            phase: Phase::Running,
            ready,
            pod_ips: [IpAddr::from(address)].into_iter().collect(),
            start_time: Some(1_700_000_000),
            ..PodStatus::default()
        },
        text: ProfileText::of_value(provider.annotation(kind, number, address, INTERFACES)),
        name: name.into(),
    }
}
