//! What is measured of a whole process: bytes a registration, allocations a query, the cost that the quotas count, the peaks,
//! and a thousand events a second.
//!
//! They are a separate binary, because its allocator counts for the whole process. Its tests run one at a time for the same
//! reason.

#[path = "../harness"]
mod harness {
    pub(crate) mod alone;
    pub(crate) mod budget {
        pub(crate) mod changes;
        pub(crate) mod extremes;
        pub(crate) mod manifest;
        pub(crate) mod pods;
        pub(crate) mod provider;
        pub(crate) mod query;
        pub(crate) mod responder;
        pub(crate) mod shapes;
        pub(crate) mod zone;
    }
}

mod budget;
mod bytes;
mod memory;
mod rate;

use peak_alloc::PeakAlloc;
use stats_alloc::StatsAlloc;

/// Counts allocations and bytes. [`PeakAlloc`] below it keeps the peak.
#[global_allocator]
static ALLOCATOR: StatsAlloc<PeakAlloc> = StatsAlloc::new(PeakAlloc);

/// The bytes that are allocated now.
fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}
