//! callsign
pub mod dns;
pub mod registration;
pub mod source;
pub mod zones;
