//! What one Pod may hold is bounded over all its annotations together. Everything beyond is refused with its reason.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use callsign::registration::{ANNOTATION_LEN_MAX, DECODED_LEN_MAX, ProfileText, REGISTRATIONS_MAX, Reason};
use callsign::report::{self, Paging, PodFilter, RefusalRow};
use callsign::source::{Change, Pod};

use super::world::{World, pod, settings};

const PROFILES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// An annotation with this many registrations, padded to `len` bytes of JSON.
#[derive(Clone, Copy)]
struct Note {
    registrations: usize,
    len: usize,
}

/// Annotations, the registrations held of each profile, and the refusals.
type Row<'r> = (&'r str, Vec<Note>, &'r [usize], &'r [(&'r str, Reason)]);

const NOTHING: Note = Note { registrations: 0, len: 0 };

/// The most JSON that fits into one annotation, given that its bytes are in base64.
const LONGEST: usize = ANNOTATION_LEN_MAX / 4 * 3;

impl Note {
    const fn of(registrations: usize) -> Note {
        Note { registrations, len: 0 }
    }

    const fn long(registrations: usize, len: usize) -> Note {
        Note { registrations, len }
    }

    /// A Pod with this annotation. Its registrations have different ports and an interface of this profile.
    fn pod(self, profile: &str, version: u64) -> Pod {
        let pairs = (1..=self.registrations)
            .map(|port| format!(r#"{{"k":"interface","v":"{profile}.I"}},{{"k":"port","v":{port}}}"#));
        let mut json = format!("[{}]", pairs.collect::<Vec<_>>().join(","));
        json.extend(std::iter::repeat_n(' ', self.len.saturating_sub(json.len())));
        let text = ProfileText::of_value(BASE64_STANDARD.encode(&json));
        Pod { text, resource_version: version, ..pod("one", "10.244.0.1") }
    }
}

/// The Pod's refusals: profile and reason.
fn bad(world: &World) -> Vec<(String, Reason)> {
    let bad = report::refusals(world.snapshot(), &Paging::ALL).items;
    assert!(bad.iter().all(|bad: &RefusalRow| bad.message == bad.reason.to_string()), "{bad:?}");
    bad.into_iter().map(|bad| (bad.profile, bad.reason)).collect()
}

/// The number of its registrations by profile.
fn held(world: &World) -> Vec<usize> {
    let filter = PodFilter::default();
    let pods = report::pods(world.snapshot(), &filter, &Paging::ALL).items;
    let of = |profile: &str| {
        let interface = format!("{profile}.I");
        pods.iter().flat_map(|pod| &pod.registrations).filter(|one| one.interface == interface).count()
    };
    PROFILES.map(of).to_vec()
}

/// A world that receives the Pod's annotations one after the other.
fn told(notes: &[Note]) -> World {
    let mut world = World::of_profiles(settings(), &PROFILES);
    PROFILES.iter().for_each(|profile| world.list_of(profile, []));
    for (profile, note) in PROFILES.into_iter().zip(notes) {
        world.send_of(profile, Change::Apply(Box::new(note.pod(profile, 1))));
        world.publish();
    }
    world
}

#[test]
fn all_annotations_of_a_pod_share_its_bounds() {
    const HALF: usize = REGISTRATIONS_MAX / 2;
    const MANY: Reason = Reason::TooMany;
    const LARGE: Reason = Reason::TooLarge;
    let fifth = DECODED_LEN_MAX / 5;
    assert!(fifth > LONGEST, "so many profiles are needed: {PROFILES:?}");
    let rest = DECODED_LEN_MAX - 5 * LONGEST;
    let five = |last: Note| [[Note::long(1, LONGEST); 5].as_slice(), &[last]].concat();
    let rows: [Row; 8] = [
        ("as many as may be", vec![Note::of(HALF), Note::of(HALF)], &[HALF, HALF], &[]),
        ("one more, of the second", vec![Note::of(HALF), Note::of(HALF + 1)], &[HALF, HALF], &[("b", MANY)]),
        ("one more, of the first", vec![Note::of(HALF + 1), Note::of(HALF)], &[HALF + 1, HALF - 1], &[("b", MANY)]),
        ("one has them all", vec![Note::of(REGISTRATIONS_MAX), Note::of(1)], &[REGISTRATIONS_MAX], &[("b", MANY)]),
        ("nothing beside all of them", vec![Note::of(REGISTRATIONS_MAX), NOTHING], &[REGISTRATIONS_MAX], &[]),
        ("one by itself", vec![Note::of(REGISTRATIONS_MAX + 1)], &[REGISTRATIONS_MAX], &[("a", MANY)]),
        ("as long as may be", five(Note::long(1, rest)), &[1; 6], &[]),
        ("a byte more", five(Note::long(1, rest + 1)), &[1; 5], &[("f", LARGE)]),
    ];
    for (what, notes, expected, refused) in rows {
        let world = told(&notes);
        let mut held = held(&world);
        held.truncate(expected.len().max(held.iter().rposition(|count| *count > 0).map_or(0, |at| at + 1)));
        assert_eq!(held, expected, "{what}");
        let refused: Vec<_> = refused.iter().map(|(profile, reason)| ((*profile).to_owned(), *reason)).collect();
        assert_eq!(bad(&world), refused, "{what}");
        let texts: Vec<String> = bad(&world).iter().map(|(_, reason)| reason.to_string()).collect();
        assert!(texts.iter().all(|text| text == "too many" || text == "too large"), "{texts:?}");
    }
}

#[test]
fn room_that_one_annotation_frees_goes_to_another() {
    // A regression: an annotation that had not changed itself stayed refused for ever.
    for (first, second, reason, held_then) in [
        (vec![Note::of(REGISTRATIONS_MAX)], Note::of(2), Reason::TooMany, 1 + 2),
        (vec![Note::long(1, LONGEST); 5], Note::long(2, LONGEST), Reason::TooLarge, 5 + 2),
    ] {
        let last = PROFILES[first.len()];
        let mut world = told(&[first, vec![second]].concat());
        assert_eq!(bad(&world), [(last.to_owned(), reason)]);
        // One change of the Pod. The watch of each profile sends it.
        world.send_of("a", Change::Apply(Box::new(Note::of(1).pod("a", 2))));
        world.send_of(last, Change::Apply(Box::new(second.pod(last, 2))));
        world.publish();
        assert_eq!((bad(&world), held(&world).iter().sum::<usize>()), (vec![], held_then), "{reason}");
    }
}
