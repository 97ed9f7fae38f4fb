//! Static zones.
