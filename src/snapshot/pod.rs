//! A Pod as the snapshot knows it: what it registered, what of that is published, and what is not.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use smallvec::SmallVec;

use super::cost;
use super::told::{Overrides, OwnValues, Template, Told};
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
    /// Its name, and behind that its uid: one block of memory for both.
    texts: Box<str>,
    name_len: u32,
    /// Its state, that of the highest resource version.
    pub status: PodStatus,
    /// Another Pod of the same name is the current one.
    pub is_replaced: bool,
    /// Its state lets its endpoints be answered: running, not terminating, and ready unless that is not asked for.
    pub is_serving: bool,
    /// What it registered, by source and in the order written.
    pub registrations: Box<[Registered]>,
    rest: Option<Box<Rest>>,
}

/// What most Pods have nothing of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// What of its annotations was refused.
    pub refused: Vec<Refused>,
    /// The interfaces that it calls, each with the profile whose annotation says so.
    pub consumers: Vec<(Arc<str>, Consumer)>,
    /// Of the places that it registers, those that another Pod holds.
    pub lost: Vec<SocketAddr>,
    /// Of its annotations, those whose content is not kept.
    pub kept_out: Vec<KeptOut>,
}

/// An annotation that was read, and whose content there is no room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptOut {
    /// The profile whose annotation it is.
    pub profile: Arc<str>,
    /// What its content costs in memory, in bytes.
    pub cost: u32,
    /// How many registrations it has.
    pub registrations: u32,
    /// Why it is kept out; none where there is room again and its source is asked for it.
    pub reason: Option<Reason>,
}

/// A registration that was read.
#[derive(Clone, Debug)]
pub struct Registered {
    /// What other Pods register too.
    pub template: Arc<Template>,
    /// What is this Pod's own in it; its registrations share one.
    pub own: Option<Arc<Own>>,
    /// Where in the annotation it stands, in bytes of the decoded JSON.
    pub offset: u32,
    /// The port.
    pub port: u16,
    /// The weight.
    pub weight: u16,
    /// Whose the address is that it names.
    pub standing: Standing,
    /// A later one of the Pod has the same service, protocol, address and port.
    pub is_repeated: bool,
    /// Not switched off by the process itself. One that is makes its names exist, like one that is not ready.
    pub is_enabled: bool,
}

/// What a Pod's registrations have of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The address that they name; none for the Pod's own.
    address: Option<IpAddr>,
    /// What their metadata says otherwise than the template.
    values: OwnValues,
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
    /// A Pod of which nothing else is known yet.
    pub fn new(cluster: Arc<str>, namespace: Arc<str>, name: &str, uid: &str) -> PodRecord {
        PodRecord {
            cluster,
            namespace,
            texts: [name, uid].concat().into(),
            name_len: name.len() as u32, // of an object that a source has bounded
            status: PodStatus::default(),
            is_replaced: false,
            is_serving: false,
            registrations: Box::default(),
            rest: None,
        }
    }

    /// Gives it another namespace and name.
    pub fn rename(&mut self, namespace: Arc<str>, name: &str) {
        self.namespace = namespace;
        self.texts = [name, self.uid()].concat().into();
        self.name_len = name.len() as u32; // as in `new`
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.texts().0
    }

    /// Its uid.
    pub fn uid(&self) -> &str {
        self.texts().1
    }

    fn texts(&self) -> (&str, &str) {
        self.texts.split_at_checked(self.name_len as usize).unwrap_or_default()
    }

    /// What most Pods have nothing of.
    pub fn rest(&self) -> &Rest {
        static NOTHING: Rest =
            Rest { refused: Vec::new(), consumers: Vec::new(), lost: Vec::new(), kept_out: Vec::new() };
        self.rest.as_deref().unwrap_or(&NOTHING)
    }

    /// Changes that.
    pub fn change_rest(&mut self, change: impl FnOnce(&mut Rest)) {
        let mut rest = self.rest.take().map_or_else(Rest::default, |rest| *rest);
        change(&mut rest);
        self.rest = (rest != Rest::default()).then(|| Box::new(rest));
    }

    /// What it costs in memory, in bytes: the same whatever its state is, and whatever else there is.
    pub fn cost(&self) -> u64 {
        cost::of_record(self)
    }

    /// The profiles whose annotations have content here.
    pub(super) fn profiles(&self) -> BTreeSet<Arc<str>> {
        let registered = self.registrations.iter().map(|one| &one.template.common.profile);
        let refused = self.rest().refused.iter().map(|refused| &refused.profile);
        let called = self.rest().consumers.iter().map(|(profile, _)| profile);
        registered.chain(refused).chain(called).cloned().collect()
    }

    /// Lets go of its annotations' content, and notes why.
    pub fn keep_out(&mut self, reason: Reason) {
        let mut kept_out = self.rest().kept_out.clone();
        for profile in self.profiles() {
            let cost = u32::try_from(cost::of_profile(self, &profile)).unwrap_or(u32::MAX); // a Pod's annotations are bounded
            let registrations = self.registrations.iter().filter(|one| one.template.common.profile == profile).count();
            let registrations = registrations as u32; // at most REGISTRATIONS_MAX
            kept_out.push(KeptOut { profile, cost, registrations, reason: None });
        }
        kept_out.sort_by(|one, other| one.profile.cmp(&other.profile));
        kept_out.iter_mut().for_each(|one| one.reason = Some(reason));
        self.registrations = Box::default();
        self.rest = (!kept_out.is_empty()).then(|| Box::new(Rest { kept_out, ..Rest::default() }));
    }

    /// Notes that there is room for it; whether an annotation's content is missing.
    pub fn let_in(&mut self) -> bool {
        let is_missing = !self.rest().kept_out.is_empty();
        if is_missing {
            self.change_rest(|rest| rest.kept_out.iter_mut().for_each(|one| one.reason = None));
        }
        is_missing
    }

    /// Whether there is room for a profile's annotation, whose content is not here.
    pub fn is_missing(&self, profile: &str) -> bool {
        self.rest().kept_out.iter().any(|one| one.reason.is_none() && *one.profile == *profile)
    }

    /// How many registrations it has, those that are kept out among them.
    pub fn registration_count(&self) -> usize {
        let kept_out = self.rest().kept_out.iter().map(|one| one.registrations as usize);
        self.registrations.len() + kept_out.sum::<usize>()
    }

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
        match registered.address() {
            Some(_) if registered.standing == Standing::Unplaced => Addresses::new(),
            Some(address) => std::iter::once(address).collect(),
            None => self.status.pod_ips.iter().copied().collect(),
        }
    }

    /// The addresses that a registration is answered with; the first is its target.
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
        registered.is_claiming() && self.rest().lost.contains(&SocketAddr::new(address, registered.port))
    }

    /// The address that an unfinished Pod's registration is named after: the first one that it is answered with, or would
    /// be if no other Pod held it.
    pub fn target(&self, registered: &Registered) -> Option<IpAddr> {
        let claimed = self.claimed_addresses(registered);
        let own = claimed.iter().find(|address| !self.is_lost(registered, **address));
        own.or(claimed.first()).copied()
    }

    /// Whether a registration's target is this.
    pub fn has_target(&self, target: IpAddr) -> bool {
        let is_at = |one: &Registered| one.is_admitted() && self.target(one) == Some(target);
        self.is_registering() && self.registrations.iter().any(is_at)
    }

    /// Whether a registration is among the answers.
    pub fn is_published(&self, registered: &Registered) -> bool {
        let may_be = registered.is_claiming() && !self.addresses(registered).is_empty();
        self.is_registering() && self.is_serving && may_be
    }

    /// What of its annotations was refused, what was read and is foreign or kept out among it.
    pub fn refusals(&self) -> impl Iterator<Item = Refused> {
        let foreign = self.registrations.iter().filter(|registered| registered.standing == Standing::Foreign);
        let foreign = foreign.map(|registered| Refused {
            profile: registered.template.common.profile.clone(),
            offset: registered.offset as usize,
            key: Some("ip"),
            reason: Reason::ForeignAddress,
        });
        let kept_out = self.rest().kept_out.iter().filter_map(|one| {
            Some(Refused { profile: one.profile.clone(), offset: 0, key: None, reason: one.reason? })
        });
        self.rest().refused.iter().cloned().chain(foreign).chain(kept_out)
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
        self.template.common.protocol_label.as_ref()
    }

    /// All that it tells, secrets apart.
    pub fn told(&self) -> Told<'_> {
        self.template.told(self.own_values())
    }

    /// What its TXT record tells.
    pub fn published(&self) -> Told<'_> {
        self.template.published(self.own_values())
    }

    /// The address that it names; none for the Pod's own.
    pub fn address(&self) -> Option<IpAddr> {
        self.own.as_ref()?.address
    }

    fn own_values(&self) -> &Overrides {
        self.own.as_ref().map_or(&[], |own| &own.values)
    }

    /// Whether it makes its service's names exist: not overwritten, and the Pod's to make.
    pub fn is_admitted(&self) -> bool {
        !self.is_repeated && self.standing != Standing::Foreign
    }

    /// Whether it claims its address and port against other Pods. One that is switched off leaves them to the others.
    pub fn is_claiming(&self) -> bool {
        self.is_enabled && self.is_admitted()
    }
}

impl Own {
    /// None where there is nothing.
    pub fn of(address: Option<IpAddr>, values: Box<Overrides>) -> Option<Arc<Own>> {
        let is_something = address.is_some() || !values.is_empty();
        is_something.then(|| Arc::new(Own { address, values: values.into_vec().into() }))
    }
}

/// What it tells counts, and not how that is shared.
impl PartialEq for Registered {
    fn eq(&self, other: &Registered) -> bool {
        let Registered { template, own: _, offset, port, weight, standing, is_repeated, is_enabled } = self;
        let own_place = (self.address(), offset, port, weight, standing, is_repeated, is_enabled);
        let place = {
            let Registered { offset, port, weight, standing, is_repeated, is_enabled, .. } = other;
            (other.address(), offset, port, weight, standing, is_repeated, is_enabled)
        };
        own_place == place
            && template.is_of_same_kind(&other.template)
            && self.told() == other.told()
            && self.published() == other.published()
    }
}

impl Eq for Registered {}
