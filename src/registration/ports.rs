//! The container ports that stand in for a port that is not a number.

use super::{ContainerPort, PodParts, REGISTRATIONS_MAX};

/// The most container ports of a Pod that are looked at: one for each registration.
pub(super) const PORTS_MAX: usize = REGISTRATIONS_MAX;

/// The TCP ports of a Pod's containers.
#[derive(Clone, Copy, Default)]
pub(super) struct ContainerPorts<'p>(&'p [ContainerPort]);

/// A port of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Port<'p> {
    /// Where it is written, in bytes of the decoded JSON.
    pub offset: usize,
    /// `None` if it is not a port.
    pub number: Option<u16>,
    /// The protocol spoken there. `None` for the registration's own.
    pub protocol: Option<&'p str>,
}

impl<'p> ContainerPorts<'p> {
    pub(super) fn of(parts: &'p PodParts) -> ContainerPorts<'p> {
        ContainerPorts(parts.ports.get(..PORTS_MAX).unwrap_or(&parts.ports))
    }

    /// The port that is written as a number or as a container port's name.
    pub(super) fn written(self, text: &str, offset: usize) -> Port<'p> {
        match port_number(text) {
            Some(number) => self.numbered(number, offset),
            None => self.named(text, offset),
        }
    }

    /// The first container port of a name.
    pub(super) fn named(self, name: &str, offset: usize) -> Port<'p> {
        let found = self.0.iter().find(|port| *port.name == *name && !name.is_empty());
        Port { offset, number: found.and_then(ContainerPort::valid), protocol: found.map(|port| &*port.name) }
    }

    /// A port with the name of the container port of its number.
    pub(super) fn numbered(self, number: u16, offset: usize) -> Port<'p> {
        let found = self.0.iter().find(|port| port.number == number && !port.name.is_empty());
        Port { offset, number: Some(number), protocol: found.map(|port| &*port.name) }
    }

    /// The port of a registration that gives none: the container port that is called as the protocol, or else the only
    /// one.
    pub(super) fn standing_in(self, protocol: &str, offset: usize) -> Option<Port<'p>> {
        let is_called = |port: &&ContainerPort| !protocol.is_empty() && port.name.eq_ignore_ascii_case(protocol);
        if let Some(port) = self.0.iter().find(is_called) {
            return Some(self.numbered(port.valid()?, offset));
        }
        let number = self.0.first()?.valid()?;
        self.0.iter().all(|port| port.number == number).then(|| self.numbered(number, offset))
    }

    /// Every container port that has a name.
    pub(super) fn every_named(self) -> impl Iterator<Item = Port<'p>> {
        let named = self.0.iter().filter(|port| !port.name.is_empty());
        named.map(|port| Port { offset: 0, number: port.valid(), protocol: Some(&*port.name) })
    }
}

impl ContainerPort {
    fn valid(&self) -> Option<u16> {
        Some(self.number).filter(|number| *number != 0)
    }
}

/// A port that is written as a number.
pub(super) fn port_number(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    is_plain.then(|| text.parse().ok())?
}
