//! `callsign`: an authoritative DNS server for RPC processes that register themselves in their own Pod's annotation, and
//! the library with which they register and find each other.
//!
//! A process writes what it is (interface, group, version, protocol, port, methods) into its Pod's annotation. `callsign`
//! watches those Pods and answers SRV, TXT, A, AAAA and PTR questions with the single endpoints, so that the caller does
//! the balancing.
//!
//! # For RPC frameworks
//!
//! [`registry`] is the library. All other modules belong to the server and its commands.
//!
//! # Guarantees of the server
//!
//! 1. **All or nothing.** No answer comes from half a list. Before the first sync, names in the Pods' zone are
//!    SERVFAIL. A relist replaces what was known only once it is whole.
//! 2. **Answers outlive the API server.** The server keeps answering from the last snapshot, and after a while marks
//!    the answers stale (RFC 8914). With `--state-dir` it does so over a restart too.
//! 3. **One Pod cannot harm another.** A Pod publishes only its own addresses, a bad registration is refused alone, and
//!    of two Pods at one address and port the later one holds it.
//! 4. **Negative answers are exact.** A name without ready endpoints is NODATA, an empty non-terminal exists (RFC
//!    8020), and every negative answer carries its zone's SOA (RFC 2308).
//! 5. **Sizes are exact.** A UDP answer has at most 512 bytes without EDNS and never more than 1232. Glue comes with
//!    its target or not at all, and OPT is never dropped.
//! 6. **The serial orders what DNS shows.** It moves when an answer changes, and never back.
//! 7. **Secrets stay where they are.** Decoding an annotation drops them, so they reach no answer, list or log.
//! 8. **Everything has a bound.** Queues, connections, messages, registrations and files each have a named constant.
//!
//! ARCHITECTURE.md is the map of the source tree.

#[cfg(not(feature = "subscribe"))]
compile_error!("name a feature of callsign: `subscribe`, `register`, `watch` or `server`");

/// Declares the parts of a feature. They are hidden from the documentation. Those that are `pub` are so for main.rs, tests/, benches/ and
/// fuzz/, which link this crate from outside; they may change in any release.
macro_rules! cfg_if {
    // rustfmt looks for modules in macros of this name and form only.
    (if #[$feature:meta] { $($part:item)* }) => { $(#[$feature] #[doc(hidden)] $part)* };
}

#[cfg(feature = "subscribe")]
pub mod registry;

// The parts in the order of the features. A feature's parts use only their own and those above, which the compiler checks when it builds
// that feature alone.

cfg_if! {
    if #[cfg(feature = "subscribe")] {
        mod api;
        mod backoff;
        pub mod escape;
        mod remote;
        mod sse;
        mod token;
        mod url;
    }
}

cfg_if! {
    if #[cfg(feature = "register")] {
        pub mod cluster;
        mod object_name;
        pub mod register;
        pub mod registration;
    }
}

cfg_if! {
    if #[cfg(feature = "watch")] {
        pub mod changes;
        pub mod dns;
        pub mod heartbeat;
        pub mod index;
        pub mod name;
        pub mod report;
        pub mod snapshot;
        pub mod source;
        mod txt;
        pub mod writer;
        pub mod zones;
    }
}

cfg_if! {
    if #[cfg(feature = "server")] {
        pub mod answer;
        pub mod app;
        pub mod cli;
        pub mod commands;
        pub mod config;
        pub mod http;
        pub mod logging;
        pub mod metrics;
        mod poll;
        mod sandbox;
        pub mod server;
        pub mod state;
        mod version;
        pub mod wire;
    }
}
