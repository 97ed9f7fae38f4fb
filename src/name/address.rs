//! Addresses as names: SRV targets (`10-244-0-81`), and the reverse trees (RFC 1035 §3.5, RFC 3596 §2.5).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::TARGETS_LABEL;
use crate::dns::{Name, NameError};

/// An address as the single label of an SRV target. IPv4 is short, so that more endpoints fit into an answer; IPv6 is
/// written in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetLabel {
    text: [u8; TargetLabel::LEN_MAX],
    len: u8,
}

impl TargetLabel {
    /// Eight groups of four digits, and seven hyphens.
    const LEN_MAX: usize = 39;

    /// Writes an address as a label.
    pub fn of(address: IpAddr) -> TargetLabel {
        let mut label = TargetLabel { text: [0; TargetLabel::LEN_MAX], len: 0 };
        match address {
            IpAddr::V4(address) => label.push_octets(address.octets()),
            IpAddr::V6(address) => address.segments().iter().for_each(|group| label.push_hex(*group)),
        }
        label
    }

    /// Reads a label in lower case. Accepts only what [`TargetLabel::of`] writes.
    pub fn read(label: &[u8]) -> Option<IpAddr> {
        let text = std::str::from_utf8(label).ok()?;
        let address = match text.split('-').count() {
            4 => {
                let mut octets = [0; 4];
                for (octet, part) in octets.iter_mut().zip(text.split('-')) {
                    *octet = part.parse().ok()?;
                }
                IpAddr::from(octets)
            }
            8 => {
                let mut groups = [0; 8];
                for (group, part) in groups.iter_mut().zip(text.split('-')) {
                    *group = u16::from_str_radix(part, 16).ok()?;
                }
                IpAddr::from(groups)
            }
            _ => return None,
        };
        (TargetLabel::of(address).as_bytes() == label).then_some(address)
    }

    /// The whole name of the target: `<target>.p.Z`.
    pub fn name(&self, zone: &Name) -> Result<Name, NameError> {
        Name::from_labels([self.as_bytes(), TARGETS_LABEL.as_bytes()].into_iter().chain(zone.labels()))
    }

    /// Appends `<target>.p` in wire form.
    pub fn append_below_zone(&self, out: &mut Vec<u8>) {
        const TARGETS: [u8; 2] = [TARGETS_LABEL.len() as u8, TARGETS_LABEL.as_bytes()[0]];
        self.append_to(out);
        out.extend_from_slice(&TARGETS);
    }

    /// Appends the label in wire form, with its length first.
    fn append_to(&self, out: &mut Vec<u8>) {
        out.push(self.len);
        let end = out.len() + usize::from(self.len);
        out.extend_from_slice(&self.text); // copying a constant length is faster; the rest is cut off
        out.truncate(end);
    }

    /// The label without its length byte.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.len)]
    }

    /// Whether key bytes are exactly this label.
    pub fn is_key(&self, key: &[u8]) -> bool {
        key.split_first().is_some_and(|(len, label)| usize::from(*len) == label.len() && label == self.as_bytes())
    }

    // Uses a table, because every SRV record needs this.
    fn push_octets(&mut self, octets: [u8; 4]) {
        let mut at = 0;
        for octet in octets {
            let (digits, len) = DECIMALS[usize::from(octet)];
            self.text[at..at + 4].copy_from_slice(&digits); // the next octet overwrites the unused bytes
            at += usize::from(len);
        }
        self.len = at as u8 - 1; // without the last hyphen
    }

    fn push_hex(&mut self, group: u16) {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        self.separate();
        let significant = (u16::BITS - group.leading_zeros()).div_ceil(4).max(1);
        for nibble in (0..significant).rev() {
            self.byte(DIGITS[usize::from(group >> (4 * nibble) & 0xf)]);
        }
    }

    fn separate(&mut self) {
        if self.len > 0 {
            self.byte(b'-');
        }
    }

    fn byte(&mut self, byte: u8) {
        self.text[usize::from(self.len)] = byte;
        self.len += 1;
    }
}

/// Every octet in decimal with a hyphen after it, and the length of that.
static DECIMALS: [([u8; 4], u8); 256] = {
    let mut decimals = [([0; 4], 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let digits = [octet / 100, octet / 10 % 10, octet % 10];
        let mut skipped = 0;
        while skipped < 2 && digits[skipped] == 0 {
            skipped += 1;
        }
        let (text, len) = &mut decimals[octet];
        let mut at = skipped;
        while at < 3 {
            text[at - skipped] = b'0' + digits[at] as u8;
            at += 1;
        }
        text[3 - skipped] = b'-';
        *len = 4 - skipped as u8;
        octet += 1;
    }
    decimals
};

impl fmt::Display for TargetLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(self.as_bytes()).unwrap_or_default())
    }
}

/// The address's name in its reverse tree.
pub fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(address) => {
            let mut name = String::with_capacity(74);
            for byte in address.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", byte & 15, byte >> 4));
            }
            name + "ip6.arpa."
        }
    }
}

/// The reverse zones that cover a network. A prefix between two octets or nibbles gives several zones at the next
/// boundary.
///
/// # Errors
/// None in practice, because every such name fits.
pub fn reverse_zones(network: IpNet) -> Result<Vec<Name>, NameError> {
    let bits_per_label = if network.addr().is_ipv4() { 8 } else { 4 };
    let labels = network.prefix_len().div_ceil(bits_per_label);
    let subnets = network.subnets(labels * bits_per_label).into_iter().flatten();
    subnets.map(|subnet| zone_of(subnet.addr(), usize::from(labels)).parse()).collect()
}

/// The reverse name of an address, with only its first `labels` octets or nibbles.
fn zone_of(address: IpAddr, labels: usize) -> String {
    let name = reverse_name(address);
    let left_out = if address.is_ipv4() { 4 } else { 32 } - labels;
    name.splitn(left_out + 1, '.').last().unwrap_or_default().to_owned()
}

/// The IPv4 address that starts with these octets. The rest is zero.
pub(super) fn v4_from(octets: &[u8]) -> Ipv4Addr {
    let mut whole = [0; 4];
    whole[..octets.len()].copy_from_slice(octets);
    Ipv4Addr::from(whole)
}

/// The IPv6 address that starts with these nibbles. The rest is zero.
pub(super) fn v6_from(nibbles: &[u8]) -> Ipv6Addr {
    let bits =
        nibbles.iter().enumerate().fold(0u128, |bits, (at, nibble)| bits | u128::from(*nibble) << (124 - 4 * at));
    Ipv6Addr::from(bits)
}
