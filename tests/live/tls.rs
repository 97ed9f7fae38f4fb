//! Messages over TLS.

use std::io::{self, Read, Write};

use crate::harness::exchange::read_message;
use crate::harness::tls::Tls;

impl Tls {
    /// Sends a query after its length, and reads the reply's bytes.
    pub(crate) fn exchange(&mut self, query: &[u8]) -> io::Result<Vec<u8>> {
        self.write_all(&[&(query.len() as u16).to_be_bytes(), query].concat())?;
        self.flush()?;
        read_message(self)
    }

    /// Whether the server ends the connection without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.read(&mut [0]), Ok(0) | Err(_))
    }
}
