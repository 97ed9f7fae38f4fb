//! A Pod as the snapshot knows it: what it registered, what of that is published, and what is not.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use smallvec::SmallVec;

use super::told::{OwnValues, Template, Told};
use crate::name::Service;
use crate::registration::{Consumer, Reason};
use crate::source::PodStatus;

/// The addresses of one endpoint: one, or two in a dual-stack network.
pub type Addresses = SmallVec<[IpAddr; 2]>;

/// A Pod that carries a profile's label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRecord {
    /// The cluster that it runs in.
    pub cluster: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its uid.
    pub uid: Arc<str>,
    /// Its state, that of the highest resource version.
    pub status: PodStatus,
    /// Another Pod of the same name is the current one.
    pub is_replaced: bool,
    /// Its state lets its endpoints be answered: running, not terminating, and ready unless that is not asked for.
    pub is_serving: bool,
    /// What it registered, by source and in the order written.
    pub registrations: Box<[Registered]>,
    /// What of its annotations was refused.
    pub refused: Box<[Refused]>,
    /// The interfaces that it calls, each with the profile whose annotation says so.
    pub consumers: Box<[(Arc<str>, Consumer)]>,
}

/// A registration that was read.
#[derive(Clone, Debug)]
pub struct Registered {
    /// What other Pods register too.
    pub template: Arc<Template>,
    /// What this Pod's metadata says otherwise; its registrations share one.
    pub own: Option<Arc<OwnValues>>,
    /// The addresses at which another Pod holds the port; none is the rule, and takes no memory.
    pub lost: Option<Box<Addresses>>,
    /// Where in the annotation it stands, in bytes of the decoded JSON.
    pub offset: u32,
    /// The address that it names; none for the Pod's own.
    pub address: Option<IpAddr>,
    /// Whose that address is.
    pub standing: Standing,
    /// A later one of the Pod has the same service, protocol, address and port.
    pub is_repeated: bool,
    /// Not switched off by the process itself.
    pub is_enabled: bool,
    /// The port.
    pub port: u16,
    /// The weight.
    pub weight: u16,
}

/// Whose the address of a registration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The Pod's own.
    Own,
    /// Another's, trusted by the operator's word.
    Trusted,
    /// Another's: refused.
    Foreign,
    /// Not known yet: the Pod has no address.
    Unplaced,
}

/// A registration, or a whole annotation, that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The profile whose annotation it stands in.
    pub profile: Arc<str>,
    /// Where in it, in bytes.
    pub offset: usize,
    /// The key that it is about, if it is about one.
    pub key: Option<&'static str>,
    /// Why.
    pub reason: Reason,
}

impl PodRecord {
    /// Whether its registrations make names exist: it is not over, and it is the Pod of its name.
    pub fn is_registering(&self) -> bool {
        !self.status.phase.is_finished() && !self.is_replaced
    }

    /// Whether it has a name of its own in DNS: one registration at least, and not over.
    pub fn is_named(&self) -> bool {
        self.is_registering() && self.registrations.iter().any(Registered::is_admitted)
    }

    /// The addresses that a registration stands for, whoever holds them.
    pub fn claimed_addresses(&self, registered: &Registered) -> Addresses {
        match registered.address {
            Some(_) if registered.standing == Standing::Unplaced => Addresses::new(),
            Some(address) => std::iter::once(address).collect(),
            None => self.status.pod_ips.iter().copied().collect(),
        }
    }

    /// The addresses that a registration is answered with; the first is its target.
    pub fn addresses(&self, registered: &Registered) -> Addresses {
        let mut addresses = self.claimed_addresses(registered);
        addresses.retain(|address| !registered.lost().contains(address));
        addresses
    }

    /// Whether a registration is among the answers.
    pub fn is_published(&self, registered: &Registered) -> bool {
        self.is_registering() && self.is_serving && registered.is_admitted() && !self.addresses(registered).is_empty()
    }

    /// What of its annotations was refused, foreign addresses among it.
    pub fn refusals(&self) -> impl Iterator<Item = Refused> {
        let foreign = self.registrations.iter().filter(|registered| registered.standing == Standing::Foreign);
        let foreign = foreign.map(|registered| Refused {
            profile: registered.template.profile.clone(),
            offset: registered.offset as usize,
            key: Some("ip"),
            reason: Reason::ForeignAddress,
        });
        self.refused.iter().cloned().chain(foreign)
    }

    /// Where a registration is reached: its target and port.
    pub fn socket(&self, registered: &Registered) -> Option<SocketAddr> {
        self.addresses(registered).first().map(|address| SocketAddr::new(*address, registered.port))
    }
}

impl Registered {
    /// The service.
    pub fn service(&self) -> &Arc<Service> {
        &self.template.service
    }

    /// The protocol's label in names, if it has one.
    pub fn protocol_label(&self) -> Option<&Arc<str>> {
        self.template.protocol_label.as_ref()
    }

    /// All that it tells, secrets apart.
    pub fn told(&self) -> Told<'_> {
        self.template.told(self.own.as_deref().map_or(&[], |own| own))
    }

    /// What its TXT record tells.
    pub fn published(&self) -> Told<'_> {
        self.template.published(self.own.as_deref().map_or(&[], |own| own))
    }

    /// The addresses at which another Pod holds the port.
    pub fn lost(&self) -> &[IpAddr] {
        self.lost.as_deref().map_or(&[], |lost| lost)
    }

    /// Whether it makes its service's names exist: not switched off, not overwritten, and the Pod's to make.
    pub fn is_admitted(&self) -> bool {
        self.is_enabled && !self.is_repeated && self.standing != Standing::Foreign
    }
}

/// What it tells counts, and not how that is shared.
impl PartialEq for Registered {
    fn eq(&self, other: &Registered) -> bool {
        let Registered { template, own: _, lost, offset, address, standing, is_repeated, is_enabled, port, weight } =
            self;
        let own_place = (lost, offset, address, standing, is_repeated, is_enabled, port, weight);
        let place = {
            let Registered { lost, offset, address, standing, is_repeated, is_enabled, port, weight, .. } = other;
            (lost, offset, address, standing, is_repeated, is_enabled, port, weight)
        };
        own_place == place
            && template.is_of_same_kind(&other.template)
            && self.told() == other.told()
            && self.published() == other.published()
    }
}

impl Eq for Registered {}
