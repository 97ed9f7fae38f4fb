//! What the index keeps about a Pod beside its published record.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;

use smallvec::SmallVec;

use super::intern::Interner;
use crate::object_name::{is_namespace, is_pod_name};
use crate::registration::{DECODED_LEN_MAX, Decoded, Problem, REGISTRATIONS_MAX, Reason, Registration};
use crate::snapshot::{OwnDetails, PodRecord, Refused, Registered, Repeated, Standing, ZoneSettings};

/// The index's marks on a Pod.
pub(super) struct PodMarks {
    /// The Pod's current record, until it is settled and published.
    pub staged: Option<Box<PodRecord>>,
    /// The resource version of the published status, or `None` if the Pod is not published. Of two Pods with one name,
    /// the newer one bears it.
    pub settled: Option<u64>,
    /// The resource version of its status. Only a newer version or a later list changes the status.
    status_version: u64,
    /// How many lists had begun when a source sent that status.
    status_lists: u32,
    /// One hold for each source that has the Pod.
    sources: SmallVec<[SourceMark; 1]>,
}

/// What one source last sent about a Pod.
#[derive(Clone, Copy)]
pub(super) struct SourceMark {
    pub source: u32,
    /// The number of the source's list that last named the Pod.
    pub generation: u32,
    pub resource_version: u64,
    /// The fingerprint of the text that was read last. `None` if it must be read (again).
    pub fingerprint: Option<NonZeroU64>,
    /// Bytes of decoded JSON and of the Pod's other parts in that text.
    pub decoded_len: u32,
}

impl PodMarks {
    pub fn new(record: PodRecord) -> PodMarks {
        PodMarks {
            staged: Some(Box::new(record)),
            settled: None,
            status_version: 0,
            status_lists: 0,
            sources: SmallVec::new(),
        }
    }

    /// The source's hold, added if there is none.
    pub fn mark_of(&mut self, source: usize) -> &mut SourceMark {
        let at = self.sources.iter().position(|mark| mark.source as usize == source).unwrap_or_else(|| {
            self.sources.push(SourceMark {
                source: source as u32,
                generation: 0,
                resource_version: 0,
                fingerprint: None,
                decoded_len: 0,
            });
            self.sources.len() - 1
        });
        &mut self.sources[at]
    }

    /// The number of the source's list that last named the Pod.
    pub fn last_list_of(&self, source: usize) -> Option<u32> {
        self.sources.iter().find(|mark| mark.source as usize == source).map(|mark| mark.generation)
    }

    /// Whether the source holds the Pod.
    pub fn is_held_by(&self, source: usize) -> bool {
        self.sources.iter().any(|mark| mark.source as usize == source)
    }

    /// Ends the source's hold. Returns whether there was one.
    ///
    /// The status stays, but counts as no newer than what the other sources have sent. If only the released source sent
    /// that version, nothing else can contradict it, and after a restore of etcd the version may never come again.
    pub fn release(&mut self, source: usize) -> bool {
        let before = self.sources.len();
        self.sources.retain(|mark| mark.source as usize != source);
        let newest = self.sources.iter().map(|mark| mark.resource_version).max().unwrap_or_default();
        self.status_version = self.status_version.min(newest);
        self.sources.len() < before
    }

    pub fn is_held(&self) -> bool {
        !self.sources.is_empty()
    }

    /// The resource version of the current status, published or not.
    pub fn status_version(&self) -> u64 {
        self.status_version
    }

    /// Whether a status of this version replaces the current one. `list` is the number of the list that it comes in,
    /// `lists` the count of all lists so far.
    ///
    /// It does if no source has sent a newer version. A list also replaces a newer status that arrived before the list
    /// began: a list is a quorum read, so the newer version must be from before a restore of etcd.
    pub fn accept_status(&mut self, resource_version: u64, list: Option<u32>, lists: u32) -> bool {
        let takes = resource_version >= self.status_version || list.is_some_and(|list| self.status_lists < list);
        if takes {
            (self.status_version, self.status_lists) = (resource_version, lists);
        }
        takes
    }

    /// The Pod's current record, published or not.
    pub fn record<'r>(&'r self, published: Option<&'r PodRecord>) -> &'r PodRecord {
        const { assert!(REGISTRATIONS_MAX <= 1 << 15) }; // an endpoint stores a registration's index in 15 bits
        match (&self.staged, published) {
            (Some(staged), _) => staged,
            (None, Some(published)) => published,
            (None, None) => unreachable!("a held Pod is staged until it is published"),
        }
    }

    /// Changes a Pod's name or namespace, and the services that its registrations are named after.
    ///
    /// If the new names are no valid Kubernetes names, every annotation is refused whole. The annotations are then
    /// decoded again when a source next sends them.
    pub fn rename(
        &mut self,
        record: &mut PodRecord,
        (namespace, name): (&str, &str),
        interner: &mut Interner,
        settings: &ZoneSettings,
    ) {
        let was_fit = has_fit_names(record);
        record.rename(interner.text(namespace), name);
        let is_fit = has_fit_names(record);
        if !(was_fit && is_fit) {
            self.sources.iter_mut().for_each(|mark| mark.fingerprint = None);
        }
        if !is_fit {
            refuse_all(record);
        }
        for registered in &mut record.registrations {
            registered.template = interner.in_namespace(&registered.template, &record.namespace, settings);
        }
        record.recount();
    }

    /// Replaces what the Pod said before under a profile. `profiles` are all of them in their order.
    pub fn reread(
        &mut self,
        record: &mut PodRecord,
        source: usize,
        (profile, profiles): (&Arc<str>, &[Arc<str>]),
        decoded: Option<Decoded>,
        interner: &mut Interner,
        settings: &ZoneSettings,
    ) {
        forget(record, profile);
        let is_there = decoded.is_some();
        let mut decoded = decoded.unwrap_or_default();
        let others: usize = self
            .sources
            .iter()
            .filter(|mark| mark.source as usize != source)
            .map(|mark| mark.decoded_len as usize)
            .sum();
        let left = REGISTRATIONS_MAX.saturating_sub(record.registration_count());
        let is_too_large = others + decoded.decoded_len > DECODED_LEN_MAX;
        if is_too_large || decoded.registrations.len() > left {
            // The Pod's other annotations may leave more to it later, and this annotation's fingerprint would not show
            // it. So read it again when the source next sends it.
            self.mark_of(source).fingerprint = None;
        }
        if is_too_large {
            decoded = refused_whole(Reason::TooLarge);
        }
        if is_there && !has_fit_names(record) {
            decoded = refused_whole(Reason::BadPodName);
        }
        self.mark_of(source).decoded_len = u32::try_from(decoded.decoded_len).unwrap_or(u32::MAX); // at most DECODED_LEN_MAX
        limit_count(&mut decoded, left);
        let refused = decoded.problems.iter().map(|problem| Refused {
            profile: profile.clone(),
            offset: problem.offset,
            key: problem.key.clone(),
            reason: problem.reason,
        });
        let consumers = decoded.consumers.into_iter().map(|consumer| (profile.clone(), consumer));
        record.change_rare(|rare| {
            rare.refused.extend(refused);
            rare.consumers.extend(consumers);
        });
        let mut added: Vec<Registered> = Vec::with_capacity(decoded.registrations.len());
        for registration in decoded.registrations {
            let mut registered = registered(registration, profile, &record.namespace, interner, settings);
            if let Some(last) = added.last().filter(|last| last.own == registered.own) {
                registered.own = last.own.clone(); // a process repeats the same own values in each of its registrations
            }
            added.push(registered);
        }
        // In the order of the profiles, whichever source sent first.
        let rank = |profile: &Arc<str>| profiles.iter().position(|known| known == profile);
        let mut registrations = record.registrations.to_vec();
        let at = registrations.partition_point(|one| rank(&one.template.common.profile) < rank(profile));
        registrations.splice(at..at, added);
        record.registrations = registrations.into();
        record.recount();
    }
}

fn has_fit_names(record: &PodRecord) -> bool {
    is_namespace(&record.namespace) && is_pod_name(record.name())
}

/// Refuses every annotation that was read, because of the Pod's names.
fn refuse_all(record: &mut PodRecord) {
    let registered = record.registrations.iter().map(|registered| &registered.template.common.profile);
    let consumers = record.rare().consumers.iter().map(|(profile, _)| profile);
    let profiles: BTreeSet<Arc<str>> = registered.chain(consumers).cloned().collect();
    for profile in profiles {
        forget(record, &profile);
        let refused = Refused { profile, offset: 0, key: None, reason: Reason::BadPodName };
        record.change_rare(|rare| rare.refused.push(refused));
    }
}

/// Removes what a profile's annotation said.
pub(super) fn forget(record: &mut PodRecord, profile: &Arc<str>) {
    record.registrations =
        record.registrations.iter().filter(|one| one.template.common.profile != *profile).cloned().collect();
    record.change_rare(|rare| {
        rare.refused.retain(|refused| refused.profile != *profile);
        rare.consumers.retain(|(of, _)| of != profile);
        rare.kept_out.retain(|kept_out| kept_out.profile != *profile);
    });
}

fn refused_whole(reason: Reason) -> Decoded {
    Decoded { problems: vec![Problem { offset: 0, key: None, reason }], ..Decoded::default() }
}

/// Refuses the registrations beyond the Pod's limit.
fn limit_count(decoded: &mut Decoded, count_max: usize) {
    if let Some(first) = decoded.registrations.get(count_max) {
        decoded.problems.push(Problem { offset: first.offset, key: None, reason: Reason::TooMany });
        decoded.registrations.truncate(count_max);
    }
}

/// Converts a registration to the index's form. Settling decides its standing later.
fn registered(
    registration: Registration,
    profile: &Arc<str>,
    namespace: &Arc<str>,
    interner: &mut Interner,
    settings: &ZoneSettings,
) -> Registered {
    let (template, own) = interner.template(&registration, namespace, profile, settings);
    let Registration { address, port, weight, enabled, offset, .. } = registration;
    Registered {
        template,
        own: OwnDetails::of(address, own),
        offset: u32::try_from(offset).unwrap_or(u32::MAX), // an offset is at most DECODED_LEN_MAX
        standing: Standing::Unplaced,
        repeated: Repeated::default(),
        is_enabled: enabled,
        port,
        weight,
    }
}
