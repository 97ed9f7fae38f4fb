//! `callsign`: an authoritative DNS server for RPC processes that register themselves in their own Pod's annotation.
//!
//! A process writes what it is (interface, group, version, protocol, port, methods) into its Pod's annotation. `callsign`
//! watches those Pods and answers SRV, TXT, A, AAAA and PTR questions with the single endpoints, so that the caller does
//! the balancing.
//!
//! ```text
//! source ─► registration ─► index ─► snapshot ─► answer ─► wire ─► server
//! (watch,    (annotation     (one      (immutable  (pure)    (bytes)  (UDP, TCP, TLS, HTTPS, QUIC)
//!  files)     to entries)     writer)   zone)        │
//!                                          └─► report, http, metrics
//! ```
//!
//! No arrow points back, and a test holds that against the `use` lines. Everything right of [`index`] holds only an `Arc`
//! of a [`snapshot::Snapshot`]; [`registration`], [`index`], [`snapshot`], [`answer`] and [`wire`] are pure: no clock, no
//! socket, no task.
//!
//! # For RPC frameworks
//!
//! [`registry`] is the library: a process registers what it serves and subscribes to what it calls. All else here is the
//! server and its commands, public for the tests and benchmarks of this crate, and bound to nothing.
//!
//! # Guarantees
//!
//! 1. **All or nothing.** No answer comes from half a list: before the first sync a name of ours is SERVFAIL, and a relist
//!    replaces what was known when it is whole.
//! 2. **Answers outlive the API server.** What was known last is answered on, marked stale (RFC 8914) after a while; with
//!    a folder for it, over a restart too.
//! 3. **One Pod cannot harm another.** It publishes its own addresses alone, a bad registration is refused by itself, and
//!    of two Pods at one address and port the later one holds it.
//! 4. **Negative answers are exact.** A name without ready endpoints is NODATA, an empty non-terminal exists (RFC 8020),
//!    and every negative answer carries its zone's SOA (RFC 2308).
//! 5. **Sizes are exact.** 512 bytes without EDNS, never more than 1232 over UDP, glue with its target or not at all, OPT
//!    never dropped.
//! 6. **The serial orders what DNS shows**: it moves when an answer does, and never back.
//! 7. **Secrets stay where they are.** They are left behind when an annotation is read, and are in no answer, list or log.
//! 8. **Everything has a bound**: queues, connections, messages, registrations, files; each a named constant.
//!
//! # The parts
//!
//! The vocabulary: [`dns`] (names, types, codes), [`name`] (the schema's names), [`source`] (events and Pods).
//! The way through: [`source::kube`], [`source::files`], [`registration`], [`index`], [`snapshot`], [`zones`] (zone
//! files), [`answer`], [`txt`], [`wire`], [`server`].
//! Around it: [`config`], [`cli`], [`commands`], [`app`] (wiring), [`writer`] (the index's task), [`changes`] (the
//! recent past, and who waits for what comes), [`events`] (server-sent events), [`http`], [`report`], [`metrics`],
//! [`logging`], [`escape`] (others' text made plain), [`pulse`], [`state`] (the zone over a restart), [`sandbox`] (what a
//! process gives up).
//! The process's side: [`register`] (its own Pod), [`remote`] (a server asked over HTTP), [`registry`] (the library).

pub mod answer;
pub mod app;
pub mod changes;
pub mod cli;
pub mod commands;
pub mod config;
pub mod dns;
pub mod escape;
pub mod events;
pub mod http;
pub mod index;
pub mod logging;
pub mod metrics;
pub mod name;
pub mod pulse;
pub mod register;
pub mod registration;
pub mod registry;
pub mod remote;
pub mod report;
pub mod sandbox;
pub mod server;
pub mod snapshot;
pub mod source;
pub mod state;
pub mod txt;
pub mod wire;
pub mod writer;
pub mod zones;
