//! The offers of a process, and the annotation entries that they become.

#![warn(missing_docs)]

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::byte_serialize;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{Owner, Profile};
use crate::registration::{self, Metadata, REGISTRAR};

/// The key of the pair, or parameter, with the kind of registrar that keeps a registration in place.
pub const REGISTRAR_KIND: &str = "registrar-kind";

/// The key of the field that a withdrawal sets to `false`.
pub(super) const ENABLED: &str = "enabled";

/// The protocol of a registry path if the offer names none: a URL must have one.
const DUBBO_PROTOCOL: &str = "dubbo";

/// Keys that metadata may not use, because a field of their own sets them.
const FIELDS: [&str; 10] =
    ["interface", "group", "version", "protocol", "ip", "port", "method", "methods", "weight", "application"];

/// An interface at one or more ports.
///
/// ```
/// use callsign::registry::Registration;
///
/// let mut greeter = Registration::new("org.acme.Greeter", 50051);
/// greeter.version = Some("1.0.0".into());
/// greeter.methods = vec!["SayHello".into()];
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Offer {
    /// The interface's name, such as `org.acme.Greeter`.
    pub interface: String,
    /// Each port is a separate registration.
    #[serde(deserialize_with = "one_or_many")]
    pub port: Vec<u16>,
    /// The group, if the interface has one.
    pub group: Option<String>,
    /// The interface's version, if it has one.
    pub version: Option<String>,
    /// The protocol, such as `tri` or `grpc`. `None`: `rpc`, or `dubbo` in a registry path.
    pub protocol: Option<String>,
    /// One of the Pod's own addresses. `None`: all of them.
    pub ip: Option<IpAddr>,
    /// The names of the interface's methods.
    #[serde(default)]
    pub methods: Vec<String>,
    /// The share of the calls, relative to other endpoints. 0 publishes nothing, `None` is 100.
    pub weight: Option<u16>,
    /// The name of the application.
    pub application: Option<String>,
    /// Any other metadata for clients.
    #[serde(default, deserialize_with = "table")]
    pub meta: Vec<(String, String)>,
}

/// Why an offer cannot be registered: a server would refuse it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{interface:?} cannot be registered: {reason}")]
#[non_exhaustive]
pub struct OfferError {
    /// The interface's name.
    pub interface: String,
    /// Why a server would refuse it.
    pub reason: String,
}

impl Offer {
    /// An interface at a port, without further fields.
    pub fn new(interface: impl Into<String>, port: u16) -> Offer {
        Offer { interface: interface.into(), port: vec![port], ..Offer::default() }
    }

    /// Whether it lacks what only the Pod's annotations can say: its interface or a port.
    pub(crate) fn is_open(&self) -> bool {
        self.interface.is_empty() || self.port.is_empty()
    }

    /// The registrations as fields, one per port: each a list of pairs that begins with `interface`.
    pub fn fields(&self) -> impl Iterator<Item = Vec<(String, String)>> {
        self.port.iter().map(|port| {
            let Offer { interface, port: _, group, version, protocol, ip, methods, weight, application, meta } = self;
            let pair = |key: &str, value: &dyn ToString| (key.to_owned(), value.to_string());
            let mut pairs = vec![pair("interface", interface)];
            pairs.extend(group.iter().map(|group| pair("group", group)));
            pairs.extend(version.iter().map(|version| pair("version", version)));
            pairs.extend(protocol.iter().map(|protocol| pair("protocol", protocol)));
            pairs.extend(ip.iter().map(|ip| pair("ip", ip)));
            pairs.push(pair("port", port));
            pairs.extend(methods.iter().map(|method| pair("method", method)));
            pairs.extend(weight.iter().map(|weight| pair("weight", weight)));
            pairs.extend(application.iter().map(|application| pair("application", application)));
            pairs.extend(meta.iter().cloned());
            pairs
        })
    }

    /// The same offer disabled: its names exist, and no answer has it.
    pub fn disabled(&self) -> Offer {
        let mut offer = self.clone();
        offer.meta.retain(|(key, _)| !key.eq_ignore_ascii_case(ENABLED));
        offer.meta.push((ENABLED.to_owned(), false.to_string()));
        offer
    }

    /// The entries of a Pod's list, marked with the owner. `address` is the Pod's own; a registry path contains it
    /// unless the offer has an address.
    pub fn entries(&self, profile: Profile, owner: &Owner, address: IpAddr) -> Vec<Vec<(String, String)>> {
        let marked = |mut pairs: Vec<(String, String)>| {
            pairs.extend(owner.pairs().map(|(key, value)| (key.to_owned(), value.to_owned())));
            pairs
        };
        match profile {
            Profile::App => self.fields().map(marked).collect(),
            Profile::Dubbo => {
                let path = |port: &u16| vec![(self.path(owner, self.ip.unwrap_or(address), *port), String::new())];
                self.port.iter().map(path).collect()
            }
        }
    }

    /// `/dubbo/<interface>/providers/<form-encoded provider URL>`. The parameters are in alphabetical order, as in dubbo-go.
    fn path(&self, owner: &Owner, address: IpAddr, port: u16) -> String {
        let Offer { interface, port: _, group, version, protocol, ip: _, methods, weight, application, meta } = self;
        let mut parameters: BTreeMap<&str, String> =
            meta.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let fixed = [("interface", interface.as_str()), ("category", "providers"), ("side", "provider")];
        parameters.extend(fixed.into_iter().chain(owner.pairs()).map(|(key, value)| (key, value.to_owned())));
        let named = [("group", group), ("version", version), ("application", application)];
        parameters.extend(named.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))));
        parameters.extend((!methods.is_empty()).then(|| ("methods", methods.join(","))));
        parameters.extend(weight.map(|weight| ("weight", weight.to_string())));

        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let socket = std::net::SocketAddr::new(address, port);
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let interface = encoded(interface);
        let scheme = protocol.as_deref().unwrap_or(DUBBO_PROTOCOL);
        format!("/dubbo/{interface}/providers/{}", encoded(&format!("{scheme}://{socket}/{interface}?{query}")))
    }

    /// Decodes the entries as a server does, and refuses what a server would refuse, before anything is written.
    ///
    /// # Errors
    /// The first reason to refuse it.
    pub fn check(&self, profile: Profile, owner: &Owner) -> Result<(), OfferError> {
        let refused = |reason: String| Err(OfferError { interface: self.interface.clone(), reason });
        if self.port.is_empty() || self.port.contains(&0) {
            return refused("it needs a port from 1 to 65535".into());
        }
        if let Some((key, _)) = self.meta.iter().find(|(key, _)| !is_meta_key(key)) {
            return refused(format!("the metadata {key:?}: {BAD_META_KEY}"));
        }
        // The fields are checked even if a path is written: a repeated key would silently disappear in a path.
        [Profile::App, profile].into_iter().try_for_each(|profile| self.check_as(profile, owner).or_else(refused))
    }

    fn check_as(&self, profile: Profile, owner: &Owner) -> Result<(), String> {
        let address = IpAddr::from([127, 0, 0, 1]); // any address: the write uses the own Pod's
        let entries = self.entries(profile, owner, address).concat();
        let pairs = entries.iter().map(|(key, value)| json!({ "k": key, "v": value }));
        let decoded = registration::decode_value(&STANDARD.encode(Value::from_iter(pairs).to_string()));
        if let Some(problem) = decoded.problems.first() {
            return Err(problem.reason.about(problem.key.as_ref()));
        }
        let sum =
            |number: fn(&Metadata) -> u32| decoded.registrations.iter().map(|one| number(&one.metadata)).sum::<u32>();
        if decoded.registrations.len() != self.port.len() {
            Err("it does not register anything".into())
        } else if sum(|metadata| metadata.withheld) > 0 {
            Err("its metadata has what looks like a secret, and an annotation must not have secrets".into())
        } else if sum(|metadata| metadata.left_out) > 0 {
            Err("a key of its metadata cannot be published: write printable ASCII without =, each key once, and no key of a TXT field"
                .into())
        } else {
            Ok(())
        }
    }
}

/// Why a key of metadata is refused.
pub const BAD_META_KEY: &str = "a field of the registration has this name, `registrar` and `registrar-kind` are reserved, and no key begins with /";

/// Whether metadata may have this key.
pub fn is_meta_key(key: &str) -> bool {
    let is_taken = |taken: &str| key.eq_ignore_ascii_case(taken);
    !key.is_empty()
        && !key.starts_with('/')
        && !is_taken(REGISTRAR)
        && !is_taken(REGISTRAR_KIND)
        && !FIELDS.into_iter().any(is_taken)
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u16>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Ports {
        One(u16),
        Many(Vec<u16>),
    }
    Ok(match Ports::deserialize(deserializer)? {
        Ports::One(port) => vec![port],
        Ports::Many(ports) => ports,
    })
}

fn table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    Ok(BTreeMap::deserialize(deserializer)?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::OwnerKind;
    use super::*;

    fn greeter() -> Offer {
        Offer { interface: "org.acme.Greeter".into(), port: vec![20880], ..Offer::default() }
    }

    fn main() -> Owner {
        Owner { name: "main".into(), kind: OwnerKind::Once { is_named: true } }
    }

    fn decoded(offer: &Offer, profile: Profile) -> registration::Decoded {
        let entries = offer.entries(profile, &main(), "fd00::7".parse().unwrap());
        registration::decode_value(&registration::replace(None, "main", &entries).unwrap().unwrap())
    }

    #[test]
    fn both_encodings_say_the_same() {
        let offer = Offer {
            port: vec![20880, 20881],
            group: Some("gray & green".into()),
            version: Some("1.0.0".into()),
            protocol: Some("tri".into()),
            methods: vec!["SayHello".into(), "SayBye".into()],
            weight: Some(7),
            application: Some("hello, world".into()),
            meta: vec![("zone".into(), "a=b&c %".into()), ("note".into(), "中文".into())],
            ..greeter()
        };
        let fields = decoded(&offer, Profile::App);
        let paths = decoded(&offer, Profile::Dubbo);
        assert_eq!((&fields.problems, &paths.problems), (&vec![], &vec![]));
        assert_eq!((fields.registrations.len(), paths.registrations.len()), (2, 2));
        for (field, path) in fields.registrations.iter().zip(paths.registrations) {
            assert_eq!((field.address, path.address), (None, "fd00::7".parse().ok()), "dubbo-go needs an address");
            let roles = ["category", "side"];
            let pairs = path.metadata.pairs.iter().filter(|(key, _)| !roles.contains(key)).collect();
            let metadata = Metadata { pairs, ..path.metadata };
            let path = registration::Registration { address: None, offset: field.offset, metadata, ..path };
            assert_eq!(*field, path);
        }
    }

    #[test]
    fn a_disabled_offer_says_so_once_and_all_else_as_before() {
        let said = [("zone", "a"), ("Enabled", "true")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        for meta in [vec![], said.to_vec()] {
            let offer = Offer { group: Some("gray".into()), port: vec![1, 2], meta, ..greeter() };
            let (on, off) = (decoded(&offer, Profile::App), decoded(&offer.disabled(), Profile::App));
            assert_eq!((&on.problems, &off.problems), (&vec![], &vec![]));
            assert_eq!(on.registrations.iter().map(|one| one.enabled).collect::<Vec<_>>(), [true, true]);
            let as_on = |one: registration::Registration| {
                assert!(!one.enabled);
                registration::Registration { enabled: true, offset: 0, ..one }
            };
            let before: Vec<_> =
                on.registrations.into_iter().map(|one| registration::Registration { offset: 0, ..one }).collect();
            assert_eq!(off.registrations.into_iter().map(as_on).collect::<Vec<_>>(), before);
        }
    }

    #[test]
    fn a_path_is_spelled_as_by_dubbo_go() {
        let offer = Offer { protocol: Some("dubbo".into()), methods: vec!["GetUser".into()], ..greeter() };
        let path = offer.path(&main(), [172, 17, 0, 7].into(), 20000);
        let url = "dubbo%3A%2F%2F172.17.0.7%3A20000%2Forg.acme.Greeter%3Fcategory%3Dproviders%26\
                   interface%3Dorg.acme.Greeter%26methods%3DGetUser%26registrar%3Dmain%26side%3Dprovider";
        assert_eq!(path, format!("/dubbo/org.acme.Greeter/providers/{url}"));
    }

    #[test]
    fn an_offer_that_a_server_would_refuse_is_refused_first() {
        let with = |meta: &[(&str, &str)]| Offer {
            meta: meta.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            ..greeter()
        };
        for (offer, expected) in [
            (greeter(), ""),
            (with(&[("zone", "a"), ("enabled", "false")]), ""),
            (Offer { interface: String::new(), ..greeter() }, "no interface"),
            (Offer { interface: "a\nb".into(), ..greeter() }, "control characters"),
            (Offer { group: Some("token=hunter2".into()), ..greeter() }, "looks like a secret"),
            (Offer { port: vec![], ..greeter() }, "needs a port"),
            (Offer { port: vec![1, 0], ..greeter() }, "needs a port"),
            (with(&[("api-token", "hunter2")]), "looks like a secret"),
            (with(&[("url", "http://u:hunter2@h")]), "looks like a secret"),
            (with(&[("é", "x")]), "cannot be published"),
            (with(&[("zone", "a"), ("Zone", "b")]), "cannot be published"),
            (with(&[("Registrar", "else")]), "`registrar` and `registrar-kind` are reserved"),
            (with(&[("registrar-kind", "wrapper")]), "`registrar` and `registrar-kind` are reserved"),
            (with(&[("interface", "c.D")]), "a field"),
            (with(&[("/dubbo", "")]), "no key begins with /"),
        ] {
            for profile in [Profile::App, Profile::Dubbo] {
                let told = offer.check(profile, &main()).map_or_else(|error| error.to_string(), |()| String::new());
                assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{offer:?}: {told}");
                assert!(!told.contains("hunter2"), "{told}");
            }
        }
    }
}
