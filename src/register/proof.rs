//! Proves that this process is in a Pod whose name and namespace may be another Pod's ([`PodDoubt`]).
//!
//! The containers of a Pod share its network: if this process has an address of the Pod, it is in that Pod. A Pod on
//! its node's network shares its addresses with all others there, so they prove nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use k8s_openapi::api::core::v1::Pod;

use super::{PodDoubt, RegisterError};

/// A port for [`is_own`], which sends nothing to it (RFC 863).
const DISCARD: u16 = 9;

/// Whether an address is one of this process's network interfaces, on any system: packets to an own address leave from
/// that address. Connecting a UDP socket selects the route and sends nothing.
pub(super) fn is_own(address: IpAddr) -> bool {
    let any = if address.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, DISCARD))?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == address)
}

/// Compares the Pod's addresses with this process's. `name` is the Pod's name for the error.
///
/// # Errors
/// [`RegisterError::Unproven`] if the Pod has no address yet, [`RegisterError::NotProven`] if it has only other
/// addresses.
pub(super) fn check(
    pod: &Pod,
    is_own: impl Fn(IpAddr) -> bool,
    name: &str,
    doubt: PodDoubt,
) -> Result<(), RegisterError> {
    let refused = |reason| Err(RegisterError::NotProven { pod: name.to_owned(), doubt, reason });
    if pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true)) {
        return refused("that Pod is on its node's network, where addresses prove nothing");
    }
    let status = pod.status.as_ref();
    let many = status.and_then(|status| status.pod_ips.as_deref()).unwrap_or_default().iter().map(|one| &one.ip);
    let one = status.and_then(|status| status.pod_ip.as_ref());
    let mut its = many.chain(one).filter_map(|ip| ip.parse::<IpAddr>().ok()).peekable();
    if its.peek().is_none() {
        return Err(RegisterError::Unproven { pod: name.to_owned(), doubt });
    }
    if its.any(is_own) { Ok(()) } else { refused("this process has none of that Pod's addresses") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn checked(spec: Value, status: Value) -> Result<(), RegisterError> {
        let pod = json!({ "metadata": { "name": "a" }, "spec": spec, "status": status });
        let own = ["127.0.0.1", "10.244.0.81", "fd00::81"].map(|ip| ip.parse::<IpAddr>().unwrap());
        check(&serde_json::from_value(pod).unwrap(), |ip| own.contains(&ip), "default/a", PodDoubt::HostName)
    }

    #[test]
    fn an_address_of_the_pod_proves_it_and_nothing_else_does() {
        let at = |ips: &[&str]| json!({ "podIPs": ips.iter().map(|ip| json!({ "ip": ip })).collect::<Vec<_>>() });
        let here = json!({ "containers": [] });
        let on_host = json!({ "containers": [], "hostNetwork": true });
        for status in [at(&["10.244.0.81"]), at(&["10.9.9.9", "fd00:0::81"]), json!({ "podIP": "10.244.0.81" })] {
            assert!(checked(here.clone(), status.clone()).is_ok(), "{status}");
            let told = checked(on_host.clone(), status.clone()).expect_err("on the host's network").to_string();
            assert!(told.contains("prove nothing") && told.contains("fieldPath: metadata.uid"), "{told}");
        }
        let told = checked(here.clone(), at(&["10.244.0.82"])).expect_err("another's").to_string();
        assert!(told.contains("default/a") && told.contains("63 bytes"), "{told}");
        for status in [at(&[]), json!({}), json!({ "podIPs": [{ "ip": "" }] })] {
            let waiting = checked(here.clone(), status.clone()).expect_err("no address yet");
            assert!(waiting.is_passing(), "{status}: {waiting}");
        }
    }

    /// TEST-NET-2 and the documentation prefix of IPv6 (RFC 5737, RFC 3849) are on no interface.
    #[test]
    fn the_loopback_is_an_own_address_and_one_for_documentation_is_not() {
        assert!(is_own(Ipv4Addr::LOCALHOST.into()));
        for other in ["198.51.100.1", "2001:db8::1", "0.0.0.0", "::"] {
            assert!(!is_own(other.parse().unwrap()), "{other}");
        }
    }
}
