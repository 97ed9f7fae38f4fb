//! DNS-SD instances: the registrations of one Pod at one port.

use std::io::Write;

use smallvec::SmallVec;

use super::{Found, PodRecord, Registered, Selected, Snapshot};
use crate::dns::LABEL_LEN_MAX;
use crate::name::{self, TargetLabel};

/// The name of a DNS-SD instance: `<pod>-<port>`, or the target's label and the port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstanceLabel(SmallVec<[u8; LABEL_LEN_MAX]>);

/// An instance: a Pod, and those of its registrations that the instance covers, at least one.
pub type Instance<'s> = (&'s PodRecord, SmallVec<[&'s Registered; 1]>);

impl InstanceLabel {
    /// The label for a Pod's registrations at one port. `None` without an address.
    pub fn of(pod: &PodRecord, registered: &Registered) -> Option<InstanceLabel> {
        let port = registered.port;
        let mut label = SmallVec::new();
        if pod.name().len() < LABEL_LEN_MAX {
            let _ = write!(label, "{}-{port}", pod.name()); // writing to memory cannot fail
        }
        if label.is_empty() || !name::is_instance_label(&label) {
            label.clear();
            let _ = write!(label, "{}-{port}", TargetLabel::of(pod.socket(registered)?.ip()));
        }
        Some(InstanceLabel(label))
    }

    /// The label without its length byte.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether a question's label is this one, in any letter case.
    fn is(&self, label: &[u8]) -> bool {
        self.0.eq_ignore_ascii_case(label)
    }
}

impl Snapshot {
    /// The instance below a service's name, for one protocol or for all. `label` is in lower case.
    pub fn instance<'s>(
        &'s self,
        selected: &Selected<'s>,
        protocol: Option<&[u8]>,
        label: &[u8],
    ) -> Option<Instance<'s>> {
        let (host, port) = split(label)?;
        let namespace = selected.services.first()?.namespace.as_bytes();
        let mut key: SmallVec<[u8; 64]> = SmallVec::new();
        key.push(host.len() as u8);
        key.extend_from_slice(host);
        let by_name = match self.pods_named(namespace, &key) {
            Found::Here(slots) => slots,
            _ => SmallVec::new(),
        };
        let by_target = TargetLabel::read(host).into_iter().flat_map(|target| self.pods_at_target(target));
        by_name.into_iter().chain(by_target).find_map(|slot| {
            let pod = self.pod(slot)?;
            let registered: SmallVec<[_; 1]> = (pod.registrations.iter())
                .filter(|one| one.port == port && selected.services.contains(one.service()) && pod.is_published(one))
                .filter(|one| {
                    protocol.is_none_or(|protocol| one.protocol_label().map(|label| label.as_bytes()) == Some(protocol))
                })
                .filter(|one| InstanceLabel::of(pod, one).is_some_and(|own| own.is(label)))
                .collect();
            (!registered.is_empty()).then_some((&**pod, registered))
        })
    }
}

/// `<host>-<port>`
fn split(label: &[u8]) -> Option<(&[u8], u16)> {
    let hyphen = label.iter().rposition(|byte| *byte == b'-')?;
    let port = std::str::from_utf8(&label[hyphen + 1..]).ok()?.parse().ok()?;
    Some((&label[..hyphen], port))
}
