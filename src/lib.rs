//! callsign
pub mod answer;
pub mod dns;
pub mod index;
pub mod name;
pub mod registration;
pub mod snapshot;
pub mod source;
pub mod txt;
pub mod wire;
pub mod zones;
