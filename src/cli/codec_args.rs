//! The arguments of `callsign decode` and `callsign encode`, and the fields of a registration.

use std::net::IpAddr;

use clap::{ArgGroup, Args};

use crate::register::Offer;
use crate::register::offer::{BAD_META_KEY, is_meta_key};
use crate::registration::{WrittenPort, is_port_name};

/// `callsign decode`
#[derive(Debug, Args)]
pub struct DecodeArgs {
    /// The annotation's value, or `-` for standard input
    #[arg(default_value = "-")]
    pub value: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The arguments of [`FieldArgs`].
const FIELD_ARGS: [&str; 8] = ["group", "version", "protocol", "ip", "method", "weight", "application", "meta"];

/// `callsign encode`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("origin").args(["input", "interface"]).required(true))]
pub struct EncodeArgs {
    /// Read JSON from standard input: objects, such as {"interface": …, "port": …}, or pairs of {"k": …, "v": …}
    #[arg(value_parser = ["-"], conflicts_with_all = FIELD_ARGS)]
    pub input: Option<String>,
    /// The interface, such as org.acme.Greeter
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
    /// The port; repeats, and each port is a separate registration. With --plain and --objects it may be the name of a
    /// container port, or be left out if the Pod has one port, or one that is called as the protocol
    #[arg(long, value_name = "NUMBER", requires = "interface", value_parser = encoded_port)]
    pub port: Vec<EncodedPort>,
    #[command(flatten)]
    pub fields: FieldArgs,
    #[command(flatten)]
    pub form: FormArgs,
}

/// How `callsign encode` writes registrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodedForm {
    /// Base64 of pairs.
    Base64,
    /// Pairs as JSON.
    Pairs,
    /// Objects as JSON.
    Objects,
    /// An annotation for each field.
    Plain,
}

/// A port of `callsign encode`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodedPort {
    /// A number.
    Number(u16),
    /// The name of a container port, which only the Pod knows the number of.
    Name(String),
}

fn encoded_port(text: &str) -> Result<EncodedPort, String> {
    match text.parse::<u16>() {
        Ok(number) if number > 0 => Ok(EncodedPort::Number(number)),
        _ if is_port_name(text) => Ok(EncodedPort::Name(text.to_owned())),
        _ => {
            Err("write a number from 1 to 65535, or with --plain or --objects the name of a container port".to_owned())
        }
    }
}

/// The form that is not base64.
#[derive(Clone, Debug, Default, Args)]
#[group(multiple = false)]
#[command(next_help_heading = "Form")]
pub struct FormArgs {
    /// Write JSON as it stands, with an object for each registration, instead of base64
    #[arg(long)]
    pub objects: bool,
    /// Write JSON as it stands, with pairs of {"k": …, "v": …}, instead of base64
    #[arg(long)]
    pub pairs: bool,
    /// Write the YAML of an annotation for each field, to paste into a Pod template, instead of one value
    #[arg(long)]
    pub plain: bool,
}

impl FormArgs {
    /// The form.
    pub fn form(&self) -> EncodedForm {
        match *self {
            FormArgs { plain: true, .. } => EncodedForm::Plain,
            FormArgs { objects: true, .. } => EncodedForm::Objects,
            FormArgs { pairs: true, .. } => EncodedForm::Pairs,
            FormArgs { .. } => EncodedForm::Base64,
        }
    }
}

/// The optional fields of a registration.
#[derive(Clone, Debug, Default, Args)]
pub struct FieldArgs {
    /// The group
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// The version of the interface
    // A command has no `--version` of its own: clap's `--version` works only before a command.
    #[arg(long, value_name = "TEXT")]
    pub version: Option<String>,
    /// The protocol, such as dubbo, tri, grpc or http [default: rpc]
    #[arg(long, value_name = "NAME")]
    pub protocol: Option<String>,
    /// One of the Pod's own addresses [default: all of them]
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<IpAddr>,
    /// A method; repeats
    #[arg(long, value_name = "NAME")]
    pub method: Vec<String>,
    /// The weight; 0 publishes nothing [default: 100]
    #[arg(long, value_name = "NUMBER")]
    pub weight: Option<u16>,
    /// The application's name
    #[arg(long, value_name = "NAME")]
    pub application: Option<String>,
    /// Any other metadata for clients; repeats
    #[arg(long, value_name = "KEY=VALUE", value_parser = meta_pair)]
    pub meta: Vec<(String, String)>,
}

impl EncodeArgs {
    /// For each registration of the flags, the container port that is written instead of a number.
    pub fn written_ports(&self) -> Vec<Option<WrittenPort<'_>>> {
        let has_protocol = self.fields.protocol.is_some();
        let port = |name| Some(WrittenPort { name, has_protocol });
        if self.interface.is_some() && self.port.is_empty() {
            return vec![port(None)];
        }
        let of = |one| match one {
            &EncodedPort::Number(_) => None,
            EncodedPort::Name(name) => port(Some(name)),
        };
        self.port.iter().map(of).collect()
    }

    /// The pairs of all registrations, in order. Empty if they come from standard input.
    pub fn pairs(&self) -> Vec<(String, String)> {
        const IN_PLACE: u16 = 1; // the forms that take a container port write it in place of this number
        let number = |port: &EncodedPort| match port {
            EncodedPort::Number(number) => *number,
            EncodedPort::Name(_) => IN_PLACE,
        };
        let mut ports: Vec<u16> = self.port.iter().map(number).collect();
        if ports.is_empty() {
            ports.push(IN_PLACE);
        }
        let offer = |interface| self.fields.offer(interface, &ports);
        self.interface.iter().flat_map(|interface| offer(interface).fields().flatten().collect::<Vec<_>>()).collect()
    }
}

impl FieldArgs {
    /// Whether any is given.
    pub fn is_given(&self) -> bool {
        let FieldArgs { group, version, protocol, ip, method, weight, application, meta } = self;
        let texts = [group, version, protocol, application].into_iter().any(Option::is_some);
        texts || ip.is_some() || weight.is_some() || !method.is_empty() || !meta.is_empty()
    }

    /// The registrations of an interface with these fields at these ports.
    pub fn offer(&self, interface: &str, port: &[u16]) -> Offer {
        let FieldArgs { group, version, protocol, ip, method, weight, application, meta } = self.clone();
        let (interface, port) = (interface.to_owned(), port.to_vec());
        Offer { interface, port, group, version, protocol, ip, methods: method, weight, application, meta }
    }
}

fn meta_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        None | Some(("", _)) => Err("write key=value".into()),
        Some((key, _)) if !is_meta_key(key) => {
            Err(format!("{key} is not a metadata key: {BAD_META_KEY}; a field has its own flag"))
        }
        Some((key, value)) => Ok((key.into(), value.into())),
    }
}
