//! callsign
pub mod cli;
pub mod config;
pub mod dns;
pub mod index;
pub mod logging;
pub mod name;
pub mod registration;
pub mod snapshot;
pub mod source;
pub mod zones;
