//! Compares a Pod's cost, which the quotas count, to what a counting allocator measures. The cost is never lower, for
//! every kind of Pod that a tenant can write and in every state of the Pod.

use crate::allocated;
use crate::harness::alone::alone;
use crate::harness::budget::shapes::{SHAPES, Shape, shaped};
use crate::harness::budget::zone::Zone;

/// The highest cost of a Pod, in percent of what it takes if it shares nothing. It may count as a Pod whose names take
/// more.
const COUNTED_PERCENT_MAX: u64 = 250;

/// The highest cost of an ordinary Pod: 100,000 of them fit into the default quota with a tenth to spare.
const ORDINARY_MAX: u64 = callsign::config::DEFAULT_BYTES_MAX / 110_000;

#[test]
fn a_pod_counts_no_less_than_it_takes() {
    let _alone = alone();
    for shape in SHAPES {
        let [published, pending] = [true, false].map(|is_running| counted(shape, is_running));
        assert_eq!(published, pending, "{}: what is not published yet counts the same", shape.0);
        if shape.0.starts_with("ordinary") {
            assert!(published <= ORDINARY_MAX, "an ordinary Pod counts {published}");
        }
    }
}

/// The cost of a Pod of a shape. Checks that it takes no more.
fn counted(shape: Shape, is_running: bool) -> u64 {
    let pods = if shape.1(1).len() < 10 { 300 } else { 3 };
    let before = allocated();
    let mut zone = Zone::empty();
    zone.list((0..pods).map(|number| shaped(shape, "hostile", number, is_running)));
    let taken = (allocated() - before) as u64 / pods as u64;
    let counted = zone.snapshot.tally.bytes / pods as u64;
    let refused = &zone.snapshot.tally.refused;
    eprintln!("{}, running {is_running}: takes {taken}, counts {counted} ({} %)", shape.0, counted * 100 / taken);
    assert!(refused.keys().all(|reason| reason.kind() == "bad-port"), "{}: {refused:?}", shape.0);
    assert!(taken <= counted, "{} takes {taken} and counts {counted}", shape.0);
    let is_small = taken < 8 * 1024; // the cost includes the Pod's place in a ranking
    assert!(is_small || counted * 100 <= taken * COUNTED_PERCENT_MAX, "{} takes {taken}, counts {counted}", shape.0);
    counted
}
