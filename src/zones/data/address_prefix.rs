//! The data of APL (RFC 3123): any number of `[!]<family>:<address>/<prefix>`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::number::decimal;
use super::{DataFault, RdataReader, ascii, fault};

pub(super) fn read(reader: &mut RdataReader<'_, '_>) -> Result<(), DataFault> {
    while !reader.tokens.is_empty() {
        let token = reader.next()?;
        let item = item(token.raw);
        let item = item.ok_or_else(|| fault(&token, "expected a prefix, as in 1:192.0.2.0/24 or !2:2001:db8::/32"))?;
        reader.wire.extend_from_slice(&item);
    }
    Ok(())
}

/// Family, prefix, length, and the address without trailing zero bytes.
fn item(word: &[u8]) -> Option<Vec<u8>> {
    let (negation, word) = word.strip_prefix(b"!").map_or((0, word), |word| (0x80, word));
    let colon = word.iter().position(|byte| *byte == b':')?;
    let slash = word.iter().position(|byte| *byte == b'/')?;
    let (family, prefix) = (decimal(word.get(..colon)?)?, decimal(word.get(slash + 1..)?)?);
    let address = word.get(colon + 1..slash)?;
    let mut address = match family {
        1 => ascii::<Ipv4Addr>(address)?.octets().to_vec(),
        2 => ascii::<Ipv6Addr>(address)?.octets().to_vec(),
        _ => return None,
    };
    let prefix = u8::try_from(prefix).ok().filter(|prefix| usize::from(*prefix) <= 8 * address.len())?;
    while address.last() == Some(&0) {
        address.pop();
    }
    let mut item = vec![0, family as u8, prefix, negation | address.len() as u8];
    item.append(&mut address);
    Some(item)
}
