//! The type of a YAML scalar, by the rules of go-yaml 2, which kubectl and the API server use.

use super::Node;

/// The value of a scalar without quotes and without a tag.
pub(super) fn plain(text: &str) -> Node {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Node::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Node::Bool(true, text.into())
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Node::Bool(false, text.into())
        }
        _ if Number::of(text).is_some() => Node::Number(text.into()),
        _ => Node::Text(text.to_owned()),
    }
}

/// A number's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::source::files) enum Number {
    Whole(i128),
    Float(f64),
}

impl Number {
    pub(in crate::source::files) fn of(text: &str) -> Option<Number> {
        match text {
            ".nan" | ".NaN" | ".NAN" => return Some(Number::Float(f64::NAN)),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Number::Float(f64::INFINITY)),
            "-.inf" | "-.Inf" | "-.INF" => return Some(Number::Float(f64::NEG_INFINITY)),
            _ => {}
        }
        match text.as_bytes() {
            [b'.', ..] if text.contains('_') => float(&text.replace('_', "")).filter(|_| is_parted(text)),
            [b'.', ..] => float(text),
            [b'+' | b'-' | b'0'..=b'9', ..] if text.contains('_') => number(&text.replace('_', "")),
            [b'+' | b'-' | b'0'..=b'9', ..] => number(text),
            _ => None,
        }
    }

    /// The number as the key of an object. `None` if go-yaml refuses it there.
    pub(super) fn key(self) -> Option<String> {
        match self {
            Number::Whole(value) => i64::try_from(value).ok().map(|value| value.to_string()),
            Number::Float(value) => Some(general(value as f32)),
        }
    }
}

/// Whether each `_` is between two digits.
fn is_parted(text: &str) -> bool {
    let is_digit = |part: &str, at: usize| part.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let parts: Vec<&str> = text.split('_').collect();
    parts.windows(2).all(|pair| is_digit(pair[0], pair[0].len().wrapping_sub(1)) && is_digit(pair[1], 0))
}

fn number(text: &str) -> Option<Number> {
    whole(text).map(Number::Whole).or_else(|| float(text))
}

/// A whole number of 64 bits, in base 10 or in the base of its prefix: `0x`, `0o`, `0b`, or `0` for base 8. A number that needs
/// all 64 bits has no sign.
fn whole(text: &str) -> Option<i128> {
    let (sign, digits) = match text.as_bytes() {
        [b'+' | b'-', ..] => text.split_at(1),
        _ => ("", text),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.bytes().all(|digit| char::from(digit).is_digit(base)) {
        return None;
    }
    let value = i128::from_str_radix(digits, base).ok()?;
    let (value, most) = match sign {
        "-" => (-value, i128::from(i64::MAX)),
        "+" => (value, i128::from(i64::MAX)),
        _ => (value, i128::from(u64::MAX)),
    };
    (i128::from(i64::MIN)..=most).contains(&value).then_some(value)
}

/// A decimal number with or without a point and an exponent. `None` if it is too large for a double.
fn float(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let (before, behind) = mantissa.split_once('.').map_or((mantissa, None), |(before, behind)| (before, Some(behind)));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let has_digits = !before.is_empty() || behind.is_some_and(|behind| !behind.is_empty());
    let is_exponent = |text: &str| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        !digits.is_empty() && is_digits(digits)
    };
    let is_float = has_digits && is_digits(before) && behind.is_none_or(is_digits) && exponent.is_none_or(is_exponent);
    let value = text.parse::<f64>().ok().filter(|value| is_float && value.is_finite())?;
    Some(Number::Float(value))
}

/// The text that Go's `%g` writes: with an exponent if that is below -4 or above 5.
fn general(value: f32) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The types are those of go-yaml 2.4.4.
    #[test]
    fn scalars_are_what_go_yaml_takes_them_for() {
        let numbers = [
            "0",
            "-0",
            "7",
            "+12",
            "-3",
            "1_000",
            "1__0",
            "1_",
            "0123",
            "0_7",
            "08",
            "0o17",
            "0O17",
            "0x1F",
            "0X1f",
            "+0x1f",
            "0b11",
            "-0b1",
            "9223372036854775808",
            "18446744073709551615",
            "+18446744073709551615",
            "99999999999999999999999",
            "1.5",
            "1.",
            "1.10",
            ".5",
            ".5_0",
            "+.5",
            "-.5e3",
            "1e3",
            "1E+3",
            "1.e5",
            "685_230.15",
            "6_8.1_5",
            ".inf",
            "+.Inf",
            "-.INF",
            ".nan",
            ".NaN",
        ];
        let texts = [
            "_1",
            "0x",
            "0x_",
            "0xFFFFFFFFFFFFFFFFFF",
            "0b2",
            "0b",
            "0o8",
            "-",
            "+",
            "--1",
            "+-1",
            "- 1",
            ".",
            "..5",
            "._5",
            ".5_",
            ".5__0",
            ".5_e3",
            "1.5.2",
            "1e",
            "1e+",
            "e3",
            ".e3",
            "1e400",
            "0x1p-2",
            "1:30",
            "2024-01-02",
            "1,5",
            "+.inF",
            "inf",
            "nan",
            "NaN",
            ".Nan",
            "tRue",
            "yES",
            "oN",
            "nULL",
            "nil",
            "10.0.0.1",
            "Infinity",
            "1f",
            "１",
        ];
        for text in numbers {
            assert_eq!(plain(text), Node::Number(text.into()));
        }
        for text in texts {
            assert_eq!(plain(text), Node::Text(text.into()));
        }
        for text in ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"] {
            assert_eq!(plain(text), Node::Bool(true, text.into()));
        }
        for text in ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"] {
            assert_eq!(plain(text), Node::Bool(false, text.into()));
        }
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(plain(text), Node::Null);
        }
    }

    #[test]
    fn a_number_as_a_key_is_what_go_yaml_makes_of_it() {
        let keys = [
            ("1", "1"),
            ("-0", "0"),
            ("0x10", "16"),
            ("0123", "83"),
            ("12345678", "12345678"),
            ("1.10", "1.1"),
            ("1e5", "100000"),
            ("1e6", "1e+06"),
            ("100000.5", "100000.5"),
            ("1000000.5", "1.0000005e+06"),
            ("123456789.5", "1.2345679e+08"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("-1.5e-7", "-1.5e-07"),
            ("1e20", "1e+20"),
            ("-0.0", "-0"),
            (".inf", ".inf"),
            ("-.inf", "-.inf"),
            ("1e300", ".inf"),
            (".nan", ".nan"),
        ];
        for (text, key) in keys {
            assert_eq!(Number::of(text).and_then(Number::key).as_deref(), Some(key), "{text}");
        }
        assert_eq!(Number::of("18446744073709551615").and_then(Number::key), None);
    }
}
