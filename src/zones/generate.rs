//! BIND's `$GENERATE <start>-<stop>[/<step>] <owner> [<TTL>] [<class>] <type> <data>`: one record per number.
//!
//! The data is one word, in quotes if it has spaces. In the data and in the owner `$` is the number,
//! `${<offset>[,<width>[,<base>]]}` is the number in another form, and `\$` and `$$` are a dollar sign. Bases are `d`,
//! `o`, `x`, `X`, and `n`, `N` for nibbles in reverse order, separated by dots.

use std::fmt::Write;

use super::data::{self, DataFault};
use super::token::{Entries, Token};
use crate::dns::{Name, Rtype};

/// The largest width of a padded number: longer ones do not fit into a label.
const WIDTH_MAX: usize = 255;

/// A range, and the record of each number in it.
pub(super) struct Generate<'t> {
    start: u32,
    stop: u32,
    step: u32,
    owner: Token<'t>,
    data: Vec<u8>,
}

impl<'t> Generate<'t> {
    /// Parses the arguments.
    ///
    /// # Errors
    /// The range is invalid.
    pub(super) fn read(range: &Token<'_>, owner: &Token<'t>, data: &Token<'_>) -> Result<Generate<'t>, DataFault> {
        let bad = || DataFault { at: range.at, message: "expected a range, as in 1-10 or 0-254/2".into() };
        let text = std::str::from_utf8(range.raw).map_err(|_| bad())?;
        if range.is_quoted {
            return Err(bad());
        }
        let (numbers, step) = text.split_once('/').unwrap_or((text, "1"));
        let (start, stop) = numbers.split_once('-').ok_or_else(bad)?;
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= i32::MAX as u32).ok_or_else(bad);
        let (start, stop, step) = (number(start)?, number(stop)?, number(step)?);
        if start > stop || step == 0 {
            return Err(bad());
        }
        // Within the quotes around all of the data, a quote of the data itself has a backslash.
        let data = if data.is_quoted { without_escapes_of_quotes(data.raw) } else { data.raw.to_vec() };
        Ok(Generate { start, stop, step, owner: *owner, data })
    }

    /// The bytes of the owner and the data before expansion.
    pub(super) fn len(&self) -> usize {
        self.owner.raw.len() + self.data.len()
    }

    pub(super) fn numbers(&self) -> impl ExactSizeIterator<Item = u32> + use<> {
        (self.start..self.stop + 1).step_by(self.step as usize) // a range is at most 2³¹ − 1
    }

    /// The record of a number: its owner and data.
    ///
    /// # Errors
    /// The expanded owner is not a name, or the expanded data does not fit the type.
    pub(super) fn record(&self, number: u32, rtype: Rtype, origin: &Name) -> Result<(Name, Vec<u8>), DataFault> {
        let plain = |message: &str| DataFault { at: 0, message: message.to_owned() };
        let owner = expand(self.owner.raw, number).map_err(plain)?;
        let owner = data::name(&Token { raw: &owner, ..self.owner }, origin)?;
        let line = expand(&self.data, number).map_err(plain)?;
        let mut tokens = Vec::new();
        Entries::of(&line).next(&mut tokens).map_err(|fault| plain(&fault.reason.to_string()))?;
        Ok((owner, data::read(rtype, &tokens, origin, line.len())?))
    }
}

fn without_escapes_of_quotes(raw: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len());
    for (at, byte) in raw.iter().enumerate() {
        if *byte == b'\\' && raw.get(at + 1) == Some(&b'"') {
            continue;
        }
        text.push(*byte);
    }
    text
}

/// Replaces the dollar signs of a text.
fn expand(raw: &[u8], number: u32) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(raw.len() + 8);
    let mut rest = raw;
    while let [first, behind @ ..] = rest {
        rest = match (first, behind) {
            (b'\\', [next, behind @ ..]) => {
                out.extend_from_slice(&[b'\\', *next]);
                behind
            }
            (b'$', [b'$', behind @ ..]) => {
                out.push(b'$');
                behind
            }
            (b'$', [b'{', behind @ ..]) => {
                let len = behind.iter().position(|byte| *byte == b'}').ok_or("${ without its }")?;
                out.extend_from_slice(form(&behind[..len], number)?.as_bytes());
                &behind[len + 1..]
            }
            (b'$', behind) => {
                out.extend_from_slice(number.to_string().as_bytes());
                behind
            }
            (byte, behind) => {
                out.push(*byte);
                behind
            }
        };
    }
    Ok(out)
}

/// A number in the form of `offset[,width[,base]]`.
fn form(modifier: &[u8], number: u32) -> Result<String, &'static str> {
    const BAD: &str = "expected ${offset,width,base}, where base is one of d, o, x, X, n and N";
    let text = std::str::from_utf8(modifier).map_err(|_| BAD)?;
    let mut parts = text.split(',');
    let offset: i64 = parts.next().and_then(|offset| offset.parse().ok()).ok_or(BAD)?;
    let width: usize = parts.next().map_or(Ok(0), str::parse).map_err(|_| BAD)?;
    let base = parts.next().unwrap_or("d");
    if parts.next().is_some() || width > WIDTH_MAX {
        return Err(BAD);
    }
    let value = i64::from(number).checked_add(offset).ok_or(BAD)?;
    let mut text = String::new();
    if base == "d" {
        write!(text, "{value:0width$}").map_err(|_| BAD)?;
        return Ok(text);
    }
    let value = u32::try_from(value).map_err(|_| "a number below 0 or over 4294967295 has only a decimal form")?;
    match base {
        "o" => write!(text, "{value:0width$o}"),
        "x" => write!(text, "{value:0width$x}"),
        "X" => write!(text, "{value:0width$X}"),
        "n" | "N" => return Ok(nibbles(value, width, base == "N")),
        _ => return Err(BAD),
    }
    .map_err(|_| BAD)?;
    Ok(text)
}

/// The nibbles in reverse order, separated by dots. The width includes the dots, as in BIND.
fn nibbles(mut value: u32, mut width: usize, is_upper: bool) -> String {
    let mut text = String::new();
    loop {
        let digit = char::from_digit(value & 0xf, 16).unwrap_or('0');
        text.push(if is_upper { digit.to_ascii_uppercase() } else { digit });
        value >>= 4;
        width = width.saturating_sub(1);
        if value == 0 && width == 0 {
            return text;
        }
        text.push('.');
        width = width.saturating_sub(1);
        if value == 0 && width == 0 {
            return text;
        }
    }
}
