//! Service parameters of SVCB and HTTPS (RFC 9460 §2.1): `key`, `key=value` or `key="value"`, in any order.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::number::{base64, decimal};
use super::{DataFault, RdataReader, ascii, fault};
use crate::zones::token::{Token, unescape};

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6HINT: u16 = 6;
const DOHPATH: u16 = 7;
const OHTTP: u16 = 8;

/// The names of the registered keys (RFC 9460 §14.3.2, RFC 9461, RFC 9540).
const KEYS: [&str; 9] =
    ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"];

pub(super) fn read(reader: &mut RdataReader<'_, '_>) -> Result<(), DataFault> {
    let mut parameters = BTreeMap::new();
    while !reader.tokens.is_empty() {
        let token = reader.next()?;
        let (name, raw) = split(&token, reader);
        let (key, is_named) =
            key(name).ok_or_else(|| fault(&token, "expected a service parameter, such as alpn=h2 or key65280=x"))?;
        let mut value = raw.map(|_| Vec::new());
        if let (Some(raw), Some(value)) = (raw, &mut value) {
            unescape(raw, |byte, _| value.push(byte)).map_err(|message| fault(&token, message))?;
        }
        let wire = match value {
            value if is_named => encode(key, value.as_deref()).map_err(|message| fault(&token, message))?,
            value => value.unwrap_or_default(), // `keyN` has the wire bytes; `check` checks them by their key
        };
        if parameters.insert(key, wire).is_some() {
            return Err(fault(&token, "this service parameter is given twice"));
        }
    }
    for (key, value) in parameters {
        reader.wire.extend_from_slice(&key.to_be_bytes());
        reader.wire.extend_from_slice(&(value.len() as u16).to_be_bytes());
        reader.wire.extend_from_slice(&value);
    }
    Ok(())
}

/// A parameter's key and value as written. The value may be in quotes after the `=`.
fn split<'t>(token: &Token<'t>, reader: &mut RdataReader<'_, 't>) -> (&'t [u8], Option<&'t [u8]>) {
    let Some(at) = token.raw.iter().position(|byte| *byte == b'=') else { return (token.raw, None) };
    let (name, value) = (&token.raw[..at], &token.raw[at + 1..]);
    if value.is_empty()
        && let [next, rest @ ..] = reader.tokens
        && next.is_glued
    {
        reader.tokens = rest;
        return (name, Some(next.raw));
    }
    (name, Some(value))
}

/// A key's number, and whether it is written as a name. Names are in lower case, as in the registry.
fn key(name: &[u8]) -> Option<(u16, bool)> {
    if let Some(key) = KEYS.iter().position(|known| name == known.as_bytes()) {
        return Some((key as u16, true));
    }
    let number = decimal(name.strip_prefix(b"key")?)?;
    Some((u16::try_from(number).ok()?, false))
}

/// A value in wire format.
fn encode(key: u16, value: Option<&[u8]>) -> Result<Vec<u8>, &'static str> {
    let given = || value.filter(|value| !value.is_empty()).ok_or("this service parameter needs a value");
    match key {
        NO_DEFAULT_ALPN | OHTTP => match value {
            None | Some([]) => Ok(Vec::new()),
            Some(_) => Err("this service parameter has no value"),
        },
        MANDATORY => mandatory(given()?),
        ALPN => alpn(given()?),
        PORT => {
            let port = decimal(given()?).and_then(|port| u16::try_from(port).ok());
            Ok(port.ok_or("expected a port, 0 to 65535")?.to_be_bytes().to_vec())
        }
        IPV4HINT => addresses(given()?, |text| Some(ascii::<Ipv4Addr>(text)?.octets().to_vec())),
        IPV6HINT => addresses(given()?, |text| Some(ascii::<Ipv6Addr>(text)?.octets().to_vec())),
        ECH => base64(given()?).ok_or("expected base64"),
        DOHPATH => Ok(given()?.to_vec()),
        _ => Ok(value.unwrap_or_default().to_vec()),
    }
}

fn mandatory(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    let keys: Option<Vec<u16>> = value.split(|byte| *byte == b',').map(|name| Some(key(name)?.0)).collect();
    let mut keys = keys.ok_or("expected the keys of service parameters with commas between")?;
    keys.sort_unstable();
    Ok(keys.iter().flat_map(|key| key.to_be_bytes()).collect())
}

/// Protocols separated by commas. `\,` is a comma, `\\` is a backslash (RFC 9460 appendix A.1), and `\x` is `x`.
fn alpn(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut protocols = vec![Vec::new()];
    let mut bytes = value.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b',' => protocols.push(Vec::new()),
            b'\\' => match bytes.next() {
                Some(&byte) => protocols.last_mut().into_iter().for_each(|last| last.push(byte)),
                None => return Err("a backslash at the end of a list of protocols"),
            },
            byte => protocols.last_mut().into_iter().for_each(|last| last.push(byte)),
        }
    }
    let mut wire = Vec::new();
    for protocol in protocols {
        let len = u8::try_from(protocol.len()).ok().filter(|len| *len > 0);
        wire.push(len.ok_or("expected protocols of 1 to 255 bytes with commas between")?);
        wire.extend_from_slice(&protocol);
    }
    Ok(wire)
}

fn addresses(value: &[u8], parse: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Result<Vec<u8>, &'static str> {
    let addresses: Option<Vec<_>> = value.split(|byte| *byte == b',').map(parse).collect();
    Ok(addresses.ok_or("expected addresses with commas between")?.concat())
}

/// Checks parameters in wire format.
pub(super) fn check(mut wire: &[u8]) -> Result<(), &'static str> {
    const BROKEN: &str = "truncated service parameters";
    let mut parameters: BTreeMap<u16, &[u8]> = BTreeMap::new();
    while !wire.is_empty() {
        let ([key, len], rest) = numbers(wire).ok_or(BROKEN)?;
        let (value, rest) = rest.split_at_checked(usize::from(len)).ok_or(BROKEN)?;
        if parameters.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err("service parameters that are not in the order of their keys, each once");
        }
        if !is_value(key, value) {
            return Err("a service parameter with an invalid value for its key");
        }
        parameters.insert(key, value);
        wire = rest;
    }
    if let Some(keys) = parameters.get(&MANDATORY) {
        let (keys, _) = keys.as_chunks::<2>();
        let keys: Vec<u16> = keys.iter().map(|key| u16::from_be_bytes(*key)).collect();
        if !keys.is_sorted_by(|one, next| one < next) || keys.contains(&MANDATORY) {
            return Err("mandatory names a key twice, or itself");
        }
        if !keys.iter().all(|key| parameters.contains_key(key)) {
            return Err("mandatory names a service parameter that is missing");
        }
    }
    if parameters.contains_key(&NO_DEFAULT_ALPN) && !parameters.contains_key(&ALPN) {
        return Err("no-default-alpn without alpn"); // RFC 9460 §7.1.1
    }
    Ok(())
}

fn numbers(wire: &[u8]) -> Option<([u16; 2], &[u8])> {
    let ([a, b, c, d], rest) = wire.split_first_chunk::<4>()?;
    Some(([u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])], rest))
}

fn is_value(key: u16, value: &[u8]) -> bool {
    match key {
        MANDATORY => !value.is_empty() && value.len().is_multiple_of(2),
        ALPN => !value.is_empty() && super::validate::are_strings(value, 1),
        NO_DEFAULT_ALPN | OHTTP => value.is_empty(),
        PORT => value.len() == 2,
        IPV4HINT => !value.is_empty() && value.len().is_multiple_of(4),
        IPV6HINT => !value.is_empty() && value.len().is_multiple_of(16),
        ECH | DOHPATH => !value.is_empty(),
        _ => true,
    }
}
