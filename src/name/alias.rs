//! The alias of a service: a name of one label, whatever characters its parts have.

use std::fmt;

use data_encoding::BASE32HEX_NOPAD;
use sha2::{Digest, Sha256};

/// A name that every service has, whatever its parts are: 32 characters of base32hex in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias([u8; 32]);

impl Alias {
    /// The first 160 bits of SHA-256 over group, interface and version, separated by line feeds. An absent part is
    /// empty.
    pub fn of(group: Option<&str>, interface: &str, version: Option<&str>) -> Alias {
        let digest = Sha256::new()
            .chain_update(group.unwrap_or(""))
            .chain_update("\n")
            .chain_update(interface)
            .chain_update("\n")
            .chain_update(version.unwrap_or(""))
            .finalize();
        let mut text = [0; 32];
        BASE32HEX_NOPAD.encode_mut(&digest[..20], &mut text);
        text.make_ascii_lowercase();
        Alias(text)
    }

    /// Reads the label `x-<alias>` in lower case.
    pub(super) fn read(label: &[u8]) -> Option<Alias> {
        let text: [u8; 32] = label.strip_prefix(b"x-")?.try_into().ok()?;
        text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'v')).then_some(Alias(text))
    }

    /// Its 32 characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The label `x-<alias>`.
    pub fn label(&self) -> String {
        format!("x-{self}")
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x-{self}")
    }
}
