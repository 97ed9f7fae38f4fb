//! The running program as its clients see it: the conformance checks of other projects, and the problems of their users.
//!
//! Each table has the name of its source, and each row the name of its check. If the schema differs from the source, the row
//! says so. dig and kdig ask if they can, and raw bytes otherwise. The `domain` crate reads every reply again.

#[path = "../harness"]
mod harness {
    pub(crate) mod annotation;
    pub(crate) mod ask;
    pub(crate) mod budget {
        pub(crate) mod pods;
        pub(crate) mod provider;
        pub(crate) mod query;
        pub(crate) mod responder;
        pub(crate) mod zone;
    }
    pub(crate) mod dig;
    pub(crate) mod exchange;
    pub(crate) mod go;
    pub(crate) mod header;
    pub(crate) mod http2;
    pub(crate) mod process;
    pub(crate) mod quic;
    pub(crate) mod server;
    pub(crate) mod tls;
    mod wait;

    pub(crate) use wait::eventually;
}

mod bad_input;
mod chains;
mod clients;
mod commands;
mod cookies;
mod coredns_kubernetes;
mod corpora;
mod dnsviz;
mod encrypted;
mod encrypted_hostile;
mod encrypted_memory;
mod family;
mod field_issues;
mod first_sync;
mod forward;
mod hostile;
mod hostile_pages;
mod hostile_text;
mod http;
mod http2;
mod knot;
mod lifecycle;
mod lists;
mod openapi;
mod other_clients;
mod panic;
mod privileges;
mod profiles;
mod register;
mod rfc8906;
mod secured;
mod site;
mod sizes;
mod sockets;
mod static_zones;
mod stream;
mod subscriptions;
mod texts;
mod tls;
mod transports;
mod types;
mod udp_send;
mod watch;
mod watch_many;
mod zonemaster;
