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
//! No arrow points back, and a test checks that against the `use` lines. Everything to the right of [`index`] holds
//! only an `Arc` of a [`snapshot::Snapshot`]. [`registration`], [`index`], [`snapshot`], [`answer`] and [`wire`] are
//! pure: they read no clock, open no socket and start no task.
//!
//! # For RPC frameworks
//!
//! [`registry`] is the library: a process registers what it serves and subscribes to what it calls. Everything else is
//! the server and its commands. It is public for the tests and benchmarks of this crate, and may change in any release.
//!
//! # Guarantees
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
//! # The parts
//!
//! The vocabulary: [`dns`] (names, types, codes), [`name`] (the schema's names), [`source`] (events and Pods), [`api`]
//! (the JSON of the HTTP API).
//!
//! The data path: [`source::kube`], [`source::files`], [`registration`], [`index`], [`snapshot`], [`zones`] (zone
//! files), [`answer`], [`txt`], [`wire`], [`server`].
//!
//! Around it: [`config`], [`cli`], [`commands`], [`app`] (wiring), [`writer`] (the index's task), [`changes`] (recent
//! changes and their subscribers), [`sse`] (server-sent events), [`http`], [`report`], [`metrics`], [`logging`],
//! [`heartbeat`] (a task's heartbeat), [`state`] (the zone saved over a restart), [`sandbox`] (the privileges that a
//! process drops), [`version`].
//!
//! What several parts use: [`escape`] (untrusted text made safe to show), [`url`] (URLs without their secrets),
//! [`token`] (a token in a file), [`poll`] (files that change), [`backoff`] (waits between tries).
//!
//! The process's side: [`register`] (registering in its own Pod), [`remote`] (watching a server over HTTP),
//! [`registry`] (the library).

pub mod answer;
pub mod api;
pub mod app;
pub mod backoff;
pub mod changes;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod dns;
pub mod escape;
pub mod heartbeat;
pub mod http;
pub mod index;
pub mod logging;
pub mod metrics;
pub mod name;
pub mod poll;
pub mod register;
pub mod registration;
pub mod registry;
pub mod remote;
pub mod report;
pub mod sandbox;
pub mod server;
pub mod snapshot;
pub mod source;
pub mod sse;
pub mod state;
pub mod token;
pub mod txt;
pub mod url;
pub mod version;
pub mod wire;
pub mod writer;
pub mod zones;
