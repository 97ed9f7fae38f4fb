//! callsign
pub mod answer;
pub mod cli;
pub mod config;
pub mod dns;
pub mod index;
pub mod logging;
pub mod metrics;
pub mod name;
pub mod pulse;
pub mod registration;
pub mod report;
pub mod snapshot;
pub mod source;
pub mod txt;
pub mod wire;
pub mod zones;
