//! What a Pod costs in memory. It is a pure function of the Pod's content, so that every replica counts the same.
//!
//! The cost is an upper estimate. It counts nothing as shared with other Pods, because their content may change. It
//! does count what the registrations of one annotation share, because those stay together. Blocks of memory are rounded
//! up as allocators do. `tests/measured/bytes.rs` compares the estimate to counted bytes.

use smallvec::SmallVec;

use super::metadata_view::MetadataView;
use super::pod_record::{PodRecord, Refused, Registered};
use crate::name::{Alias, Service};
use crate::registration::{Consumer, ProblemKey};

/// A Pod without registrations: its record, the index's marks, its names, and its rank in the namespace.
const POD: u64 = 448;

/// A registration without its texts: itself, its service with the set, its names, its endpoint, and its lost address and port.
const REGISTRATION: u64 = 528;

/// A further registration of the same service: at another port or by another protocol.
const ANOTHER_PLACE: u64 = 256;

/// A label of an interface: the name that ends there. An interface with more labels has no such names.
const LABEL: u64 = 12;
const LABELS_MAX: u64 = 16;

/// A registration that shares names with others of its Pod: one set for each of its four natural names.
const SHARED_NAMES: u64 = 424;

/// Protocol, application, profile and counts, if they differ from those of the registration before.
const COMMON: u64 = 192;

/// A list of pairs and the references to it, and a pair in it, without their texts.
const PAIRS: u64 = 200;
const PAIR: u64 = 8;

/// A value that replaces a shared one, without its text.
const VALUE: u64 = 24;

/// The most values in which two registrations may differ and still share one list.
const VALUES_SHARED_MAX: usize = 4;

/// A list of methods, and a method in it, without their texts.
const METHODS: u64 = 40;
const METHOD: u64 = 16;

/// An address that a registration names.
const ADDRESS: u64 = 64;

/// A refusal. The list's capacity is the next power of two.
const REFUSED: u64 = size_of::<Refused>() as u64 + 2;

/// A consumed interface, without its texts.
const CONSUMER: u64 = 16 + size_of::<Consumer>() as u64;

/// What a Pod's record costs, in bytes. Content that a quota keeps out counts as if it were in memory.
pub(super) fn of_record(record: &PodRecord) -> u64 {
    let kept_out: u64 = record.rare().kept_out.iter().map(|kept_out| u64::from(kept_out.cost)).sum();
    let profiles = record.profiles();
    let present: u64 = profiles.iter().map(|profile| of_profile(record, profile)).sum();
    POD + block(record.name().len() + record.uid().len()) + kept_out + present
}

/// What one profile's annotation adds to that.
pub(super) fn of_profile(record: &PodRecord, profile: &str) -> u64 {
    let registered = record.registrations.iter().filter(|one| &*one.template.common.profile == profile);
    let refused = record.rare().refused.iter().filter(|refused| &*refused.profile == profile);
    let keys: u64 = refused.clone().map(|refused| block(refused.key.as_ref().map_or(0, ProblemKey::text_len))).sum();
    let refused = REFUSED * room_for(refused.count() as u64) + keys;
    let consumers = record.rare().consumers.iter().filter(|(of, _)| &**of == profile);
    let consumers: u64 = consumers.map(|(_, consumer)| of_consumer(consumer)).sum();
    of_registrations(registered) + refused + consumers
}

/// The capacity of a list that grew to `count` by doubling.
fn room_for(count: u64) -> u64 {
    if count == 0 { 0 } else { count.next_power_of_two() }
}

fn of_registrations<'r>(registrations: impl Iterator<Item = &'r Registered> + Clone) -> u64 {
    let names: SmallVec<[(u64, Alias); 8]> = registrations.clone().map(name_of).collect();
    let mut services = names.clone();
    services.sort_unstable();
    services.dedup();
    let has_namesake = |(name, _): (u64, Alias)| {
        let first = services.partition_point(|(other, _)| *other < name);
        services.get(first + 1).is_some_and(|(next, _)| *next == name)
    };
    let mut cost = 0;
    let (mut pairs_of, mut last): (Option<MetadataView<'_>>, Option<&Registered>) = (None, None);
    for (registered, name) in registrations.zip(names) {
        let metadata = registered.metadata();
        cost += match last {
            Some(last) if last.service() == registered.service() => ANOTHER_PLACE,
            _ => of_service(registered.service()) + if has_namesake(name) { SHARED_NAMES } else { 0 },
        };
        cost += registered.address().map_or(0, |_| ADDRESS);
        cost += pairs_of.and_then(|first| of_values(first, metadata)).unwrap_or_else(|| {
            pairs_of = Some(metadata);
            of_pairs(metadata)
        });
        if last.is_none_or(|last| last.metadata().methods() != metadata.methods()) {
            cost += METHODS + metadata.methods().iter().map(|method| METHOD + block(method.len())).sum::<u64>();
        }
        let common = |one: &'r Registered| (&one.template.common.protocol, one.metadata().application());
        if last.is_none_or(|last| common(last) != common(registered)) {
            let (protocol, application) = common(registered);
            cost += COMMON + 2 * shared(protocol) + application.map_or(0, shared);
        }
        last = Some(registered);
    }
    cost
}

/// A registration of a service that the Pod registers for the first time.
fn of_service(service: &Service) -> u64 {
    let labels = 1 + service.interface.bytes().filter(|byte| *byte == b'.').count() as u64;
    let selectors = [&service.group, &service.version].into_iter().flatten();
    REGISTRATION
        + LABEL * labels.min(LABELS_MAX)
        + shared(&service.interface)
        + selectors.map(|text| shared(text)).sum::<u64>()
}

/// A stable hash of a service's name without selectors, in any letter case, and its alias.
fn name_of(registered: &Registered) -> (u64, Alias) {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3);
    let service = registered.service();
    (service.interface.bytes().fold(0xcbf2_9ce4_8422_2325, step), service.alias)
}

/// What a list of pairs costs that equals an earlier one except for a few values. `None` if it differs in more.
fn of_values(earlier: MetadataView<'_>, metadata: MetadataView<'_>) -> Option<u64> {
    let values = metadata.differing_values(earlier)?;
    let (count, cost) = values.fold((0, 0), |(count, cost), value| (count + 1, cost + VALUE + block(value.len())));
    (count <= VALUES_SHARED_MAX).then_some(cost)
}

fn of_pairs(metadata: MetadataView<'_>) -> u64 {
    let (count, text_len) = metadata.counts();
    PAIRS + PAIR * count as u64 + text_len as u64
}

fn of_consumer(consumer: &Consumer) -> u64 {
    let Consumer { interface, group, version, application } = consumer;
    let texts = [Some(interface), group.as_ref(), version.as_ref()].into_iter().flatten();
    CONSUMER + texts.map(|text| shared(text)).sum::<u64>() + application.as_ref().map_or(0, |text| block(text.len()))
}

/// A text in an `Arc`.
fn shared(text: &str) -> u64 {
    block(16 + text.len())
}

/// A block of memory, rounded up as allocators do.
fn block(len: usize) -> u64 {
    len.next_multiple_of(8) as u64
}
