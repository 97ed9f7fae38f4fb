//! What the zone costs in memory and what a question costs in allocations: counted, so that no machine's speed matters.

#[allow(dead_code, reason = "the benchmarks use more of it")]
mod budget {
    pub(crate) mod provider;
    pub(crate) mod zone;
}

use std::alloc::System;

use budget::zone::{INTERFACES, Zone};
use stats_alloc::{INSTRUMENTED_SYSTEM, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One test, because what is counted is the process's.
#[test]
fn bytes_a_registration() {
    for pods in [500, 2_000] {
        let before = live(ALLOCATOR.stats());
        let zone = Zone::of_pods(pods);
        let bytes = (live(ALLOCATOR.stats()) - before) / (pods * INTERFACES);
        eprintln!("{pods} Pods: {bytes} bytes a registration");
        drop(zone);
    }
}

/// Bytes that are allocated and not freed yet, as they were asked for.
fn live(stats: Stats) -> usize {
    stats.bytes_allocated - stats.bytes_deallocated
}
