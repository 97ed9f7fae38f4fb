//! Keeps equal values once.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

use crate::name::{Service, protocol_label};
use crate::registration::{PairList, Registration};
use crate::snapshot::{CommonMetadata, Overrides, Pairs, Template, ZoneSettings};

/// The size at which a stock is first swept of values that nothing uses.
const SWEEP_LEN_MIN: usize = 1024;

/// The values that many registrations share.
#[derive(Default)]
pub(super) struct Interner {
    texts: InternSet<str>,
    services: InternSet<Service>,
    methods: InternSet<[Box<str>]>,
    pairs: InternSet<Pairs>,
    commons: InternSet<CommonMetadata>,
    /// The list that was returned last: consecutive services of one program usually have the same keys.
    last_pairs: Option<Arc<Pairs>>,
    templates: Templates,
}

impl Interner {
    /// Drops the values that nothing uses. Templates go first, because they hold the others.
    pub fn sweep(&mut self) {
        self.last_pairs = None;
        self.templates.sweep();
        self.commons.sweep();
        self.pairs.sweep();
        self.methods.sweep();
        self.services.sweep();
        self.texts.sweep();
    }

    pub fn text(&mut self, text: &str) -> Arc<str> {
        self.texts.keep(text, || text.into())
    }

    /// Returns the registration's template, and the values in which the registration differs from it.
    pub fn template(
        &mut self,
        registration: &Registration,
        namespace: &str,
        profile: &Arc<str>,
        settings: &ZoneSettings,
    ) -> (Arc<Template>, Box<Overrides>) {
        let identity = TemplateIdentity::of(registration, namespace, profile);
        let pairs = &registration.metadata.pairs;
        if let Some(found) = self.templates.find(&identity, pairs) {
            return found;
        }
        let made = Arc::new(self.new_template(registration, namespace, profile, settings));
        self.templates.put(&identity, made.clone());
        (made, Box::default())
    }

    /// Returns the template of the same registration in another namespace.
    pub fn in_namespace(
        &mut self,
        template: &Arc<Template>,
        namespace: &Arc<str>,
        settings: &ZoneSettings,
    ) -> Arc<Template> {
        let Template { service, common, methods, own } = &**template;
        if service.namespace == *namespace {
            return template.clone();
        }
        let Service { interface, group, version, .. } = &**service;
        let service = Service::new(namespace, interface, group.as_ref(), version.as_ref(), &settings.origin);
        let (common, methods, own) = (common.clone(), methods.clone(), own.clone());
        let moved = Arc::new(Template { service: self.service(service), common, methods, own });
        self.templates.put(&TemplateIdentity::of_template(&moved), moved.clone());
        moved
    }

    fn new_template(
        &mut self,
        registration: &Registration,
        namespace: &str,
        profile: &Arc<str>,
        settings: &ZoneSettings,
    ) -> Template {
        let Registration { interface, group, version, protocol, metadata, .. } = registration;
        let namespace = self.text(namespace);
        let service = Service::new(&namespace, interface, group.as_ref(), version.as_ref(), &settings.origin);
        let (pairs, own) = self.pairs(&metadata.pairs, settings);
        let common = Arc::new(CommonMetadata {
            protocol_label: protocol_label(protocol).map(|label| self.text(&label)),
            protocol: self.text(protocol),
            profile: profile.clone(),
            application: metadata.application.as_ref().map(|name| self.text(name)),
            pairs,
            withheld: metadata.withheld,
            left_out: metadata.left_out,
        });
        Template {
            service: self.service(service),
            common: self.commons.keep(&common, || common.clone()),
            methods: self.methods.keep(&metadata.methods, || metadata.methods.clone().into()),
            own,
        }
    }

    fn service(&mut self, service: Service) -> Arc<Service> {
        let made = Arc::new(service);
        self.services.keep(&made, || made.clone())
    }

    /// Returns the shared list with these keys, and the values that differ from it.
    fn pairs(&mut self, pairs: &PairList, settings: &ZoneSettings) -> (Arc<Pairs>, Box<Overrides>) {
        if let Some(last) = &self.last_pairs
            && let Some(own) = last.overrides(pairs)
        {
            return (last.clone(), own);
        }
        let (published, others) = pairs.iter().partition::<Vec<_>, _>(|(key, _)| settings.txt_keys.publishes(key));
        let made = Arc::new(Pairs::new(published, others));
        let (shared, own) = match self.pairs.find(&made).and_then(|shared| Some((shared.overrides(pairs)?, shared))) {
            Some((own, shared)) => (shared, own),
            None => {
                self.pairs.put(made.clone());
                (made, Box::default())
            }
        };
        self.last_pairs = Some(shared.clone());
        (shared, own)
    }
}

/// What identifies a template, besides its keys.
#[derive(PartialEq, Eq, Hash)]
struct TemplateIdentity<'i> {
    namespace: &'i str,
    interface: &'i str,
    group: Option<&'i str>,
    version: Option<&'i str>,
    protocol: &'i str,
    profile: &'i str,
    application: Option<&'i str>,
    methods: &'i [Box<str>],
    withheld: u32,
    left_out: u32,
}

impl<'i> TemplateIdentity<'i> {
    fn of(registration: &'i Registration, namespace: &'i str, profile: &'i str) -> TemplateIdentity<'i> {
        let Registration { interface, group, version, protocol, metadata, .. } = registration;
        TemplateIdentity {
            namespace,
            interface,
            group: group.as_deref(),
            version: version.as_deref(),
            protocol,
            profile,
            application: metadata.application.as_deref(),
            methods: &metadata.methods,
            withheld: metadata.withheld,
            left_out: metadata.left_out,
        }
    }

    fn of_template(template: &'i Template) -> TemplateIdentity<'i> {
        let Template { service, common, methods, own: _ } = template;
        let CommonMetadata { protocol, profile, application, withheld, left_out, .. } = &**common;
        TemplateIdentity {
            namespace: &service.namespace,
            interface: &service.interface,
            group: service.group.as_deref(),
            version: service.version.as_deref(),
            protocol,
            profile,
            application: application.as_deref(),
            methods,
            withheld: *withheld,
            left_out: *left_out,
        }
    }
}

/// The templates by identity. A lookup needs only what was read, so it builds nothing.
struct Templates {
    entries: HashTable<Arc<Template>>,
    /// Identities come from outside. A random hash key keeps a client from choosing ones that collide.
    keys: RandomState,
    sweep_at: usize,
}

impl Default for Templates {
    fn default() -> Templates {
        Templates { entries: HashTable::new(), keys: RandomState::new(), sweep_at: SWEEP_LEN_MIN }
    }
}

impl Templates {
    /// Finds a template with this identity and these keys, and the values that differ from it.
    fn find(&self, identity: &TemplateIdentity<'_>, pairs: &PairList) -> Option<(Arc<Template>, Box<Overrides>)> {
        let mut own = None;
        let found = self.entries.find(self.keys.hash_one(identity), |template| {
            TemplateIdentity::of_template(template) == *identity && {
                own = template.overrides(pairs);
                own.is_some()
            }
        });
        Some((found?.clone(), own?))
    }

    /// Stores a template in place of one with the same keys.
    fn put(&mut self, identity: &TemplateIdentity<'_>, template: Arc<Template>) {
        if self.entries.len() >= self.sweep_at {
            self.sweep();
        }
        let hash_of = |entry: &Arc<Template>| self.keys.hash_one(TemplateIdentity::of_template(entry));
        let is_it = |entry: &Arc<Template>| {
            TemplateIdentity::of_template(entry) == *identity && entry.common.pairs == template.common.pairs
        };
        match self.entries.find_mut(self.keys.hash_one(identity), is_it) {
            Some(entry) => *entry = template,
            None => drop(self.entries.insert_unique(self.keys.hash_one(identity), template, hash_of)),
        }
    }

    fn sweep(&mut self) {
        self.entries.retain(|entry| Arc::strong_count(entry) > 1);
        self.sweep_at = SWEEP_LEN_MIN.max(2 * self.entries.len());
    }
}

/// A set of shared values. It is swept each time it has doubled.
struct InternSet<T: ?Sized> {
    entries: HashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T: ?Sized> Default for InternSet<T> {
    fn default() -> InternSet<T> {
        InternSet { entries: HashSet::new(), sweep_at: SWEEP_LEN_MIN }
    }
}

impl<T: ?Sized + Hash + Eq> InternSet<T>
where
    Arc<T>: Borrow<T>,
{
    fn keep(&mut self, value: &T, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        self.find(value).unwrap_or_else(|| {
            let made = make();
            self.put(made.clone());
            made
        })
    }

    fn find(&self, value: &T) -> Option<Arc<T>> {
        self.entries.get(value).cloned()
    }

    /// Stores a value in place of an equal one.
    fn put(&mut self, value: Arc<T>) {
        if self.entries.len() >= self.sweep_at {
            self.sweep();
        }
        self.entries.replace(value);
    }

    fn sweep(&mut self) {
        self.entries.retain(|entry| Arc::strong_count(entry) > 1);
        self.sweep_at = SWEEP_LEN_MIN.max(2 * self.entries.len());
    }
}
