//! Registry paths as dubbo-go's Kubernetes registry writes them: `/dubbo/<interface>/providers/<form-encoded URL>`.

use std::borrow::Cow;

use super::collector::Collector;
use super::draft::{Draft, name};
use super::elements::{Element, Pair};
use super::field::Field;
use super::{Consumer, Problem, ProblemKey, Reason, secret};

/// The first segment of every registry path.
const ROOT: &str = "dubbo";

/// The version that means none in a registry path.
const NO_VERSION: &str = "0.0.0";

/// Reads a registry path. Parent paths, and categories other than providers and consumers, contain no registration.
pub(super) fn read(pair: &Pair<'_>, element: &Element<'_>, collector: &mut Collector) {
    let offset = element.offset;
    let problem = |reason| Problem { offset, key: None, reason };
    if let Err(reason) = pair.value {
        return collector.problem(problem(reason));
    }
    let mut segments = pair.key.split('/').skip(1);
    let [root, interface, category, url] = std::array::from_fn(|_| segments.next().unwrap_or_default());
    let is_read = match (root, category) {
        ("", _) if pair.key == "/" => Some(()),
        (ROOT, "providers" | "consumers") if segments.next().is_some() => None,
        (ROOT, "providers") if !url.is_empty() => provider(interface, url, element, collector),
        (ROOT, "consumers") if !url.is_empty() => consumer(interface, url, offset, collector),
        (ROOT, _) => Some(()),
        _ => None,
    };
    if is_read.is_none() {
        collector.problem(problem(Reason::BadPath));
    }
}

/// The value of a parameter in a provider's path.
pub(super) fn parameter(pair: &Pair<'_>, name: &str) -> Option<String> {
    let text = form_decoded(pair.key.splitn(5, '/').nth(4)?)?;
    Url::parse(&text)?.first(name).map(str::to_owned)
}

fn provider(path_interface: &str, encoded: &str, element: &Element<'_>, collector: &mut Collector) -> Option<()> {
    let text = form_decoded(encoded)?;
    let url = Url::parse(&text)?;
    let interface = url.interface(path_interface)?;
    let offset = element.offset;
    let mut draft = Draft::default();
    draft.add_len(element.len);
    draft.reserve(url.parameters.len());
    draft.put(Field::Interface, &interface, offset);
    draft.put(Field::Protocol, url.scheme, offset);
    draft.put(Field::Ip, url.host, offset);
    if let Some(port) = url.port {
        draft.put(Field::Port, port, offset);
    }
    for (key, value) in &url.parameters {
        match Field::of(key).filter(|field| field.name() == key) {
            Some(Field::Ip | Field::Port | Field::Protocol) => {} // the URL's authority and scheme give these
            Some(field) if draft.has(field) => {}                 // the first one counts, as in dubbo-go
            Some(Field::Version) if value == NO_VERSION => draft.put(Field::Version, "", offset),
            Some(field) if field != Field::Method => draft.put(field, value, offset),
            _ => draft.put_pair(key, value),
        }
    }
    draft.register(&Draft::default(), offset, collector);
    Some(())
}

fn consumer(path_interface: &str, encoded: &str, offset: usize, collector: &mut Collector) -> Option<()> {
    let text = form_decoded(encoded)?;
    let url = Url::parse(&text)?;
    let interface = url.interface(path_interface)?;
    let named = |field: Field| name(url.first(field.name()).unwrap_or_default(), field, offset);
    let consumer = || {
        let no_interface =
            Problem { offset, key: Some(ProblemKey::Field(Field::Interface.name())), reason: Reason::NoInterface };
        let application = url.first(Field::Application.name()).filter(|text| !text.is_empty());
        Ok(Consumer {
            interface: name(&interface, Field::Interface, offset)?.ok_or(no_interface)?,
            group: named(Field::Group)?,
            version: named(Field::Version)?.filter(|version| **version != *NO_VERSION),
            application: application.filter(|text| !secret::is_secret(text)).map(Into::into),
        })
    };
    match consumer() {
        Ok(consumer) => collector.consumer(offset, consumer),
        Err(problem) => collector.problem(problem),
    }
    Some(())
}

/// The used parts of a provider's or consumer's URL. Its user and password are never kept.
struct Url<'t> {
    scheme: &'t str,
    /// Includes the brackets of an IPv6 address.
    host: &'t str,
    port: Option<&'t str>,
    parameters: Vec<(Cow<'t, str>, Cow<'t, str>)>,
}

impl<'t> Url<'t> {
    fn parse(text: &'t str) -> Option<Url<'t>> {
        let (scheme, rest) = text.split_once("://")?;
        if scheme.is_empty() || scheme.contains(['/', '?', '#', '@']) {
            return None;
        }
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = place.split_once('/').map_or(place, |(authority, _)| authority);
        let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
        let (host, port) = host_and_port(address)?;
        let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
        let mut decoded = Vec::with_capacity(query.bytes().filter(|byte| *byte == b'&').count() + 1);
        for parameter in parameters {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            decoded.push((form_decoded(key)?, form_decoded(value)?));
        }
        Some(Url { scheme, host, port, parameters: decoded })
    }

    fn first(&self, key: &str) -> Option<&str> {
        self.parameters.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
    }

    /// The interface in the URL, or else in the path. The one in the path may be a bean's name.
    fn interface<'u>(&'u self, path_interface: &'u str) -> Option<Cow<'u, str>> {
        match self.first(Field::Interface.name()) {
            Some(interface) if !interface.is_empty() => Some(interface.into()),
            _ => form_decoded(path_interface),
        }
    }
}

/// Splits a host, in brackets if it is an IPv6 address, from the port after it. `None` if it is not clear where the port
/// begins.
pub(super) fn host_and_port(address: &str) -> Option<(&str, Option<&str>)> {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    };
    let is_clear = !host.contains(':') || host.starts_with('[');
    is_clear.then_some((host, port.filter(|port| !port.is_empty())))
}

/// Decodes `application/x-www-form-urlencoded` text. A `%` without two hexadecimal digits after it stays. `None` if the
/// result is not UTF-8.
fn form_decoded(text: &str) -> Option<Cow<'_, str>> {
    let is_mark = |byte: &u8| matches!(byte, b'+' | b'%');
    let mut rest = text.as_bytes();
    let Some(mut at) = rest.iter().position(is_mark) else {
        return Some(text.into()); // most parameters have no escapes
    };
    let mut decoded = Vec::with_capacity(text.len());
    loop {
        let (plain, marked) = rest.split_at(at);
        decoded.extend_from_slice(plain);
        let (byte, after) = match marked {
            [b'%', high, low, after @ ..] => match hex(*high).zip(hex(*low)) {
                Some((high, low)) => (high << 4 | low, after),
                None => (b'%', &marked[1..]),
            },
            [b'+', after @ ..] => (b' ', after),
            [mark, after @ ..] => (*mark, after),
            [] => return String::from_utf8(decoded).ok().map(Cow::Owned),
        };
        decoded.push(byte);
        rest = after;
        at = rest.iter().position(is_mark).unwrap_or(rest.len());
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, expected) in [
            ("dubbo://10.0.0.1:20880/x", Some(("dubbo", "10.0.0.1", Some("20880")))),
            ("tri://[fd00::1]:50051", Some(("tri", "[fd00::1]", Some("50051")))),
            ("tri://[fd00::1]/x:1", Some(("tri", "[fd00::1]", None))),
            ("dubbo://u:p@h:1?a=b", Some(("dubbo", "h", Some("1")))),
            ("dubbo://u:p@@h:1#x", Some(("dubbo", "h", Some("1")))),
            ("dubbo:///x", Some(("dubbo", "", None))),
            ("dubbo://h:/x", Some(("dubbo", "h", None))),
            ("dubbo://fd00::1:20880/x", None),
            ("://h:1", None),
            ("h:1/x?a=dubbo://h", None),
            ("dubbo:h:1", None),
            ("dubbo://h:1?a=%FF", None),
            ("", None),
        ] {
            let url = Url::parse(text).map(|url| (url.scheme, url.host, url.port));
            assert_eq!(url, expected, "{text}");
        }
    }

    #[test]
    fn parameters_are_decoded_once_more() {
        let url = Url::parse("a://h?x=1%2C2&&y&=z&p=50%&s=a+b%2Bc&x=3").unwrap();
        let parameters: Vec<(&str, &str)> = url.parameters.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(parameters, [("x", "1,2"), ("y", ""), ("", "z"), ("p", "50%"), ("s", "a b+c"), ("x", "3")]);
        assert_eq!((url.first("x"), url.first("q")), (Some("1,2"), None));
    }
}
