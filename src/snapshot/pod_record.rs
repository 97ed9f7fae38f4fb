//! A Pod in the snapshot: what it registers, what of that is published, and what is not.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use smallvec::SmallVec;

use super::cost;
use super::metadata_view::{MetadataView, Overrides, OwnValues, Template};
use crate::name::Service;
use crate::registration::{Consumer, ProblemKey, Reason};
use crate::source::PodStatus;

/// The addresses of one endpoint: one, or two in a dual-stack network.
pub type Addresses = SmallVec<[IpAddr; 2]>;

/// A Pod that carries a profile's label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRecord {
    /// The cluster's name, from the configuration.
    pub cluster: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name followed by its uid, in one block of memory.
    texts: Box<str>,
    name_len: u32,
    /// What it costs in memory, in bytes: `recount` keeps it up to date.
    cost: u32,
    /// The status with the highest resource version.
    pub status: PodStatus,
    /// Another Pod of the same name has replaced it.
    pub is_replaced: bool,
    /// Its status allows answers: it runs, does not terminate, and is ready (or readiness is not required).
    pub is_serving: bool,
    /// Its registrations, by profile and then in the order written.
    pub registrations: Box<[Registered]>,
    rare: Option<Box<RareFields>>,
}

/// What most Pods do not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RareFields {
    /// The refused registrations and annotations.
    pub refused: Vec<Refused>,
    /// The interfaces that it calls, each with the profile of the annotation.
    pub consumers: Vec<(Arc<str>, Consumer)>,
    /// The registered addresses and ports that another Pod holds.
    pub lost: Vec<SocketAddr>,
    /// The annotations whose content a quota keeps out of memory.
    pub kept_out: Vec<KeptOut>,
}

/// An annotation that was decoded, and whose content a quota keeps out of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptOut {
    /// The annotation's profile.
    pub profile: Arc<str>,
    /// What the content costs in memory, in bytes.
    pub cost: u32,
    /// How many registrations it has.
    pub registrations: u32,
    /// Why it is kept out. `None` once it is admitted again, until its source has sent it.
    pub reason: Option<Reason>,
}

/// A registration that was decoded.
#[derive(Clone, Debug)]
pub struct Registered {
    /// What many Pods register alike.
    pub template: Arc<Template>,
    /// What only this Pod has. Its registrations share the `Arc`.
    pub own: Option<Arc<OwnDetails>>,
    /// Where the registration begins, in bytes of the decoded JSON.
    pub offset: u32,
    /// Never 0.
    pub port: u16,
    /// Never 0.
    pub weight: u16,
    /// Whose address it names.
    pub standing: Standing,
    /// The addresses at which another registration of the Pod counts instead.
    pub repeated: Repeated,
    /// False if the process disabled it. Its names then exist without records, as for a Pod that is not ready.
    pub is_enabled: bool,
}

/// What distinguishes a Pod's registrations from those of other Pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnDetails {
    /// The address that they name, or `None` for the Pod's own.
    address: Option<IpAddr>,
    /// The metadata values that differ from the template's.
    values: OwnValues,
}

/// Whose address a registration names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The Pod's own.
    Own,
    /// Not the Pod's, but the operator trusts it.
    Trusted,
    /// Not the Pod's: the registration is refused.
    Foreign,
    /// Not known yet: the Pod has no address.
    Unplaced,
}

/// The addresses of a registration at which another one of the Pod, of the same service, protocol and port, counts
/// instead: a bit for each address in the order of [`PodRecord::named_addresses`]. Sources keep at most 16 addresses of a
/// Pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repeated(u16);

/// A registration, or a whole annotation, that was refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// The annotation's profile.
    pub profile: Arc<str>,
    /// Where in the annotation, in bytes.
    pub offset: usize,
    /// The key at fault, if it is a single one.
    pub key: Option<ProblemKey>,
    /// Shown to people, and a label in metrics.
    pub reason: Reason,
}

impl PodRecord {
    /// A Pod with a name and nothing else yet.
    pub fn new(cluster: Arc<str>, namespace: Arc<str>, name: &str, uid: &str) -> PodRecord {
        let mut record = PodRecord {
            cluster,
            namespace,
            texts: [name, uid].concat().into(),
            name_len: name.len() as u32, // sources bound an object's size
            cost: 0,
            status: PodStatus::default(),
            is_replaced: false,
            is_serving: false,
            registrations: Box::default(),
            rare: None,
        };
        record.recount();
        record
    }

    /// Changes its namespace and name.
    pub fn rename(&mut self, namespace: Arc<str>, name: &str) {
        self.namespace = namespace;
        self.texts = [name, self.uid()].concat().into();
        self.name_len = name.len() as u32; // as in `new`
    }

    /// Its name, without the namespace.
    pub fn name(&self) -> &str {
        self.texts().0
    }

    /// Its uid, unique in its cluster.
    pub fn uid(&self) -> &str {
        self.texts().1
    }

    fn texts(&self) -> (&str, &str) {
        self.texts.split_at_checked(self.name_len as usize).unwrap_or_default()
    }

    /// What most Pods do not have: all lists are empty for them.
    pub fn rare(&self) -> &RareFields {
        static NOTHING: RareFields =
            RareFields { refused: Vec::new(), consumers: Vec::new(), lost: Vec::new(), kept_out: Vec::new() };
        self.rare.as_deref().unwrap_or(&NOTHING)
    }

    /// Changes what most Pods do not have.
    pub fn change_rare(&mut self, change: impl FnOnce(&mut RareFields)) {
        let mut rare = self.rare.take().map_or_else(RareFields::default, |rare| *rare);
        change(&mut rare);
        self.rare = (rare != RareFields::default()).then(|| Box::new(rare));
    }

    /// What it costs in memory, in bytes. It depends neither on the Pod's status nor on other Pods.
    pub fn cost(&self) -> u64 {
        debug_assert_eq!(u64::from(self.cost), cost::of_record(self), "recounted after its content changed");
        self.cost.into()
    }

    /// Computes the cost again. A caller that changes the name or the annotations' content calls it. It walks through
    /// all texts, and the record is asked for its cost several times a change, so the result is kept.
    pub fn recount(&mut self) {
        self.cost = u32::try_from(cost::of_record(self)).unwrap_or(u32::MAX); // bounded per Pod
    }

    /// The profiles whose annotations have content in this record.
    pub(super) fn profiles(&self) -> BTreeSet<Arc<str>> {
        let registered = self.registrations.iter().map(|one| &one.template.common.profile);
        let refused = self.rare().refused.iter().map(|refused| &refused.profile);
        let called = self.rare().consumers.iter().map(|(profile, _)| profile);
        registered.chain(refused).chain(called).cloned().collect()
    }

    /// Drops the content of its annotations, and records why.
    pub fn keep_out(&mut self, reason: Reason) {
        let mut kept_out = self.rare().kept_out.clone();
        for profile in self.profiles() {
            let cost = u32::try_from(cost::of_profile(self, &profile)).unwrap_or(u32::MAX); // bounded per Pod
            let registrations = self.registrations.iter().filter(|one| one.template.common.profile == profile).count();
            let registrations = registrations as u32; // at most REGISTRATIONS_MAX
            kept_out.push(KeptOut { profile, cost, registrations, reason: None });
        }
        kept_out.sort_by(|one, other| one.profile.cmp(&other.profile));
        kept_out.iter_mut().for_each(|one| one.reason = Some(reason));
        self.registrations = Box::default();
        self.rare = (!kept_out.is_empty()).then(|| Box::new(RareFields { kept_out, ..RareFields::default() }));
    }

    /// Records that the quotas admit it. Returns whether any content is missing.
    pub fn admit(&mut self) -> bool {
        let is_missing = !self.rare().kept_out.is_empty();
        if is_missing {
            self.change_rare(|rare| rare.kept_out.iter_mut().for_each(|one| one.reason = None));
        }
        is_missing
    }

    /// Whether a profile's annotation is admitted and its content is missing.
    pub fn is_missing(&self, profile: &str) -> bool {
        self.rare().kept_out.iter().any(|one| one.reason.is_none() && *one.profile == *profile)
    }

    /// How many registrations it has, including those that are kept out.
    pub fn registration_count(&self) -> usize {
        let kept_out = self.rare().kept_out.iter().map(|one| one.registrations as usize);
        self.registrations.len() + kept_out.sum::<usize>()
    }

    /// Whether its registrations make names exist: it has not finished, and no Pod of the same name has replaced it.
    pub fn is_registering(&self) -> bool {
        !self.status.phase.is_finished() && !self.is_replaced
    }

    /// Whether it has its own name in DNS: its registrations make names exist, and it has at least one.
    pub fn is_named(&self) -> bool {
        self.is_registering() && self.registrations.iter().any(Registered::is_admitted)
    }

    /// The addresses that a registration stands for, even if another Pod holds them.
    pub fn claimed_addresses(&self, registered: &Registered) -> Addresses {
        let mut addresses = self.named_addresses(registered);
        if registered.repeated != Repeated::default() {
            let mut place = 0..;
            addresses.retain(|_| place.next().is_some_and(|place| !registered.repeated.is_at(place)));
        }
        addresses
    }

    /// The addresses that a registration names, even if another registration of the Pod counts there.
    pub fn named_addresses(&self, registered: &Registered) -> Addresses {
        match registered.address() {
            Some(_) if registered.standing == Standing::Unplaced => Addresses::new(),
            Some(address) => std::iter::once(address).collect(),
            None => self.status.pod_ips.iter().copied().collect(),
        }
    }

    /// The addresses in a registration's answers. The first is its target.
    pub fn addresses(&self, registered: &Registered) -> Addresses {
        let mut addresses = self.claimed_addresses(registered);
        addresses.retain(|address| !self.is_lost(registered, *address));
        addresses
    }

    /// The addresses at which another Pod holds a registration's port.
    pub fn lost(&self, registered: &Registered) -> Addresses {
        let mut addresses = self.claimed_addresses(registered);
        addresses.retain(|address| self.is_lost(registered, *address));
        addresses
    }

    fn is_lost(&self, registered: &Registered, address: IpAddr) -> bool {
        registered.is_claiming() && self.rare().lost.contains(&SocketAddr::new(address, registered.port))
    }

    /// The address in the name of a registration's target: the first that it publishes, or if another Pod holds all of
    /// them, the first that it claims.
    pub fn target(&self, registered: &Registered) -> Option<IpAddr> {
        let claimed = self.claimed_addresses(registered);
        let own = claimed.iter().find(|address| !self.is_lost(registered, **address));
        own.or(claimed.first()).copied()
    }

    /// Whether any of its registrations has this target.
    pub fn has_target(&self, target: IpAddr) -> bool {
        let is_at = |one: &Registered| one.is_admitted() && self.target(one) == Some(target);
        self.is_registering() && self.registrations.iter().any(is_at)
    }

    /// Whether a registration is published.
    pub fn is_published(&self, registered: &Registered) -> bool {
        !self.published_addresses(registered).is_empty()
    }

    /// The addresses in a registration's answers. Empty if it is not published.
    pub fn published_addresses(&self, registered: &Registered) -> Addresses {
        match self.is_registering() && self.is_serving && registered.is_claiming() {
            true => self.addresses(registered),
            false => Addresses::new(),
        }
    }

    /// All refusals, including foreign addresses and annotations that are kept out.
    pub fn refusals(&self) -> impl Iterator<Item = Refused> {
        let foreign = self.registrations.iter().filter(|registered| registered.standing == Standing::Foreign);
        let foreign = foreign.map(|registered| Refused {
            profile: registered.template.common.profile.clone(),
            offset: registered.offset as usize,
            key: Some(ProblemKey::Field("ip")),
            reason: Reason::ForeignAddress,
        });
        let kept_out = self.rare().kept_out.iter().filter_map(|one| {
            Some(Refused { profile: one.profile.clone(), offset: 0, key: None, reason: one.reason? })
        });
        self.rare().refused.iter().cloned().chain(foreign).chain(kept_out)
    }

    /// A registration's target and port.
    pub fn socket(&self, registered: &Registered) -> Option<SocketAddr> {
        self.addresses(registered).first().map(|address| SocketAddr::new(*address, registered.port))
    }
}

impl Registered {
    /// The service that it registers.
    pub fn service(&self) -> &Arc<Service> {
        &self.template.service
    }

    /// The protocol's label in names, if the protocol has one.
    pub fn protocol_label(&self) -> Option<&Arc<str>> {
        self.template.common.protocol_label.as_ref()
    }

    /// What distinguishes its protocol from others: the label, or a protocol without one as it is written.
    pub fn protocol_key(&self) -> &Arc<str> {
        self.protocol_label().unwrap_or(&self.template.common.protocol)
    }

    /// Its content without secrets.
    pub fn metadata(&self) -> MetadataView<'_> {
        self.template.metadata(self.own_values())
    }

    /// The content of its TXT record.
    pub fn published(&self) -> MetadataView<'_> {
        self.template.published(self.own_values())
    }

    /// The address that it names, or `None` for the Pod's own.
    pub fn address(&self) -> Option<IpAddr> {
        self.own.as_ref()?.address
    }

    fn own_values(&self) -> &Overrides {
        self.own.as_ref().map_or(&[], |own| &own.values)
    }

    /// Whether it makes its service's names exist: it counts at one of its addresses at least, and that is not foreign.
    pub fn is_admitted(&self) -> bool {
        !self.repeated.is_everywhere() && self.standing != Standing::Foreign
    }

    /// Whether it claims its address and port against other Pods. A disabled one does not.
    pub fn is_claiming(&self) -> bool {
        self.is_enabled && self.is_admitted()
    }
}

impl Repeated {
    /// Another registration counts at each address. Also if there is no address yet.
    pub const EVERYWHERE: Repeated = Repeated(u16::MAX);

    /// Another registration counts at the address of this place.
    pub fn add(&mut self, place: usize) {
        self.0 |= bit(place);
    }

    pub fn is_everywhere(self) -> bool {
        self == Repeated::EVERYWHERE
    }

    fn is_at(self, place: usize) -> bool {
        self.0 & bit(place) != 0
    }
}

/// The bit of an address. 0 for one that no source keeps.
fn bit(place: usize) -> u16 {
    u32::try_from(place).ok().and_then(|place| 1u16.checked_shl(place)).unwrap_or(0)
}

impl OwnDetails {
    /// `None` if there is no address and no value.
    pub fn of(address: Option<IpAddr>, values: Box<Overrides>) -> Option<Arc<OwnDetails>> {
        let is_something = address.is_some() || !values.is_empty();
        is_something.then(|| Arc::new(OwnDetails { address, values: values.into_vec().into() }))
    }
}

/// Compares the content, not how it is shared.
impl PartialEq for Registered {
    fn eq(&self, other: &Registered) -> bool {
        let Registered { template, own: _, offset, port, weight, standing, repeated, is_enabled } = self;
        let own_place = (self.address(), offset, port, weight, standing, repeated, is_enabled);
        let place = {
            let Registered { offset, port, weight, standing, repeated, is_enabled, .. } = other;
            (other.address(), offset, port, weight, standing, repeated, is_enabled)
        };
        own_place == place
            && template.is_of_same_kind(&other.template)
            && self.metadata() == other.metadata()
            && self.published() == other.published()
    }
}

impl Eq for Registered {}
