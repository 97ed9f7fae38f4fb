//! Reads the own Pod, changes the container's entries in its list, and writes the list in one patch.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{GetParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};

use super::error::shortened;
use super::offer::REGISTRAR_KIND;
use super::{Offer, OwnPod, Owner, OwnerKind, Profile, RegisterError, annotated, proof};
use crate::backoff::Backoff;
use crate::cluster::plain;
use crate::registration::{self, ANNOTATION_LEN_MAX, Problem, REGISTRAR, Reason};

/// The time limit of a request. A Pod is small, and an ending process waits for the request.
const REQUEST_WAIT: Duration = Duration::from_secs(5);

/// The most conflicts with other writers in a row. Each conflict is followed by a longer, random wait, so that even
/// all containers of a Pod together succeed.
const CONFLICTS_MAX: u32 = 12;

/// Our name among the writers of a Pod (`metadata.managedFields`). It distinguishes a label that we have set from one that was
/// there before.
const FIELD_MANAGER: &str = "callsign-register";

/// The outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The write changed the Pod.
    Change,
    /// The Pod had the wanted entries already.
    Nothing,
}

/// The entries that a container is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedEntries {
    /// These offers, published.
    Offers(Arc<[Offer]>),
    /// If the Pod has entries of ours: these offers, disabled, so that their names still exist. Other readers of a
    /// registry path do not know disabled entries, so with paths it is no entries.
    Withdrawn(Arc<[Offer]>),
    /// No entries.
    Nothing,
}

/// Writes the entries of one container into its own Pod.
pub struct Registrar {
    pods: Api<Pod>,
    pod: OwnPod,
    /// The Pod was read and is our own.
    is_known: bool,
    profile: Profile,
    owner: Owner,
    /// Whether the Pod's plain annotations say what offers leave open.
    completes: bool,
}

impl Registrar {
    pub fn new(client: Client, pod: OwnPod, profile: Profile, owner: Owner) -> Registrar {
        let pods = Api::namespaced(client, &pod.namespace);
        Registrar { pods, pod, is_known: false, profile, owner, completes: false }
    }

    /// Lets the Pod's plain annotations say what offers leave open, if they are left to a registrar.
    pub fn completing(self) -> Registrar {
        Registrar { completes: true, ..self }
    }

    /// Replaces the owner, before anything is written.
    pub fn owned_by(self, owner: Owner) -> Registrar {
        Registrar { owner, ..self }
    }

    /// The offers with what the Pod's plain annotations say. One try.
    ///
    /// # Errors
    /// Why the Pod cannot be read, or why its annotations say too little.
    pub async fn complete(&mut self, offers: &[Offer]) -> Result<Vec<Offer>, RegisterError> {
        let pod = self.read(&GetParams::default()).await?;
        let offers: Vec<Vec<Offer>> =
            offers.iter().map(|offer| annotated::completed(&pod, offer)).collect::<Result<_, _>>()?;
        Ok(offers.concat())
    }

    /// The Pod as `namespace/name`.
    pub fn pod(&self) -> String {
        format!("{}/{}", self.pod.namespace, self.pod.name)
    }

    pub fn name(&self) -> &Arc<str> {
        &self.owner.name
    }

    /// Whether the Pod may be another one than this process's.
    pub fn is_doubtful(&self) -> bool {
        self.pod.is_doubtful
    }

    /// Tries once to give the Pod the wanted entries. A Pod that was our own and is gone has none.
    ///
    /// # Errors
    /// Why the entries are not written. The Pod is then unchanged, unless the response was lost.
    pub async fn write(&mut self, wanted: &WantedEntries) -> Result<WriteOutcome, RegisterError> {
        let is_end = is_end(wanted);
        match self.patch_until_accepted(wanted).await {
            Err(RegisterError::NoSuchPod(_) | RegisterError::NotOwn { .. }) if is_end && self.is_known => {
                Ok(WriteOutcome::Nothing)
            }
            // Disabled entries are longer than enabled ones. If they do not fit, the entries go.
            Err(RegisterError::TooLarge { .. } | RegisterError::TooMany { .. }) if is_end => {
                self.patch_until_accepted(&WantedEntries::Nothing).await
            }
            outcome => outcome,
        }
    }

    /// Whether the Pod has the wanted entries, according to the API server's cache. One try.
    ///
    /// # Errors
    /// Why it cannot be read, or why a write would fail.
    pub async fn is_written(&mut self, wanted: &WantedEntries) -> Result<bool, RegisterError> {
        let pod = self.read(&GetParams { resource_version: Some("0".into()) }).await?;
        match self.patch(&pod, wanted) {
            // A write removes the entries then.
            Err(RegisterError::TooLarge { .. } | RegisterError::TooMany { .. }) if is_end(wanted) => Ok(false),
            patch => Ok(patch?.is_none()),
        }
    }

    /// Checks whether the Pod is our own. One try.
    ///
    /// # Errors
    /// Why it is not, or why it cannot be read.
    pub async fn check_pod(&mut self) -> Result<(), RegisterError> {
        self.read(&GetParams::default()).await.map(drop)
    }

    async fn patch_until_accepted(&mut self, wanted: &WantedEntries) -> Result<WriteOutcome, RegisterError> {
        let mut backoff = Backoff::default();
        for _ in 0..CONFLICTS_MAX {
            let pod = self.read(&GetParams::default()).await?;
            let Some(patch) = self.patch(&pod, wanted)? else { return Ok(WriteOutcome::Nothing) };
            let patch = Patch::Merge(patch);
            let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
            let patched = timeout(REQUEST_WAIT, self.pods.patch_metadata(&self.pod.name, &params, &patch));
            match in_time(patched.await) {
                Ok(_) => return Ok(WriteOutcome::Change),
                Err(kube::Error::Api(status)) if status.code == 409 => sleep(backoff.wait(None)).await,
                Err(error) => return Err(self.refusal("patch", error)),
            }
        }
        Err(RegisterError::Contended(self.pod()))
    }

    /// Reads the Pod and checks that it is our own. Without a known uid, the first Pod that it reads is. If there is a
    /// doubt, an address must prove it.
    async fn read(&mut self, params: &GetParams) -> Result<Pod, RegisterError> {
        let read = timeout(REQUEST_WAIT, self.pods.get_with(&self.pod.name, params)).await;
        let pod = in_time(read).map_err(|error| self.refusal("get", error))?;
        let found = pod.metadata.uid.as_deref().unwrap_or_default();
        match &self.pod.uid {
            Some(wanted) if **wanted != *found => {
                let wanted = wanted.to_string();
                return Err(RegisterError::NotOwn { pod: self.pod(), found: found.into(), wanted });
            }
            Some(_) => {}
            None => {
                if let Some(doubt) = self.pod.doubt {
                    proof::check(&pod, proof::is_own, &self.pod(), doubt)?;
                }
                self.pod.uid = Some(found.into());
            }
        }
        self.is_known = true;
        Ok(pod)
    }

    /// The patch that gives the Pod the wanted entries. `None` if it has them.
    fn patch(&self, pod: &Pod, wanted: &WantedEntries) -> Result<Option<Value>, RegisterError> {
        let key = self.profile.annotation();
        let none = BTreeMap::new();
        let annotations = pod.metadata.annotations.as_ref().unwrap_or(&none);
        let value = self.value(pod, annotations.get(key).map(String::as_str), wanted)?;
        let mut metadata = Map::new();
        if value.as_ref() != annotations.get(key) {
            self.check_size(annotations, value.as_deref())?;
            metadata.insert("annotations".into(), json!({ key: value }));
        }
        if let Some(label) = self.label(pod, annotations.contains_key(key), value.is_some()) {
            metadata.insert("labels".into(), json!({ self.profile.label(): label }));
        }
        if metadata.is_empty() {
            return Ok(None);
        }
        metadata.insert("uid".into(), json!(pod.metadata.uid));
        metadata.insert("resourceVersion".into(), json!(pod.metadata.resource_version));
        Ok(Some(json!({ "metadata": metadata })))
    }

    /// The change of the label: `Some(None)` removes it, `None` leaves it.
    fn label(&self, pod: &Pod, was_annotated: bool, is_annotated: bool) -> Option<Option<&'static str>> {
        let label = self.profile.label();
        let found = pod.metadata.labels.as_ref().and_then(|labels| labels.get(label));
        match (found, is_annotated) {
            (Some(found), true) if self.profile.is_found_by(found) => None,
            (_, true) => Some(Some(self.profile.label_value())),
            (Some(_), false) if was_annotated && is_label_ours(pod, label) => Some(None),
            (_, false) => None,
        }
    }

    /// The annotation's value with the wanted entries. `None` if the value is empty.
    fn value(&self, pod: &Pod, current: Option<&str>, wanted: &WantedEntries) -> Result<Option<String>, RegisterError> {
        let name = &*self.owner.name;
        let unreadable = |problem: Problem| RegisterError::Unreadable {
            pod: self.pod(),
            namespace: self.pod.namespace.to_string(),
            name: self.pod.name.to_string(),
            annotation: self.profile.annotation(),
            offset: problem.offset,
            reason: problem.reason.to_string(),
        };
        let entries = match wanted {
            WantedEntries::Offers(offers) => {
                self.refuse_to_replace(current)?;
                self.entries(pod, offers, Offer::clone)?
            }
            WantedEntries::Withdrawn(offers)
                if self.profile == Profile::App && registration::has_entries(current, name).map_err(unreadable)? =>
            {
                self.entries(pod, offers, Offer::disabled)?
            }
            WantedEntries::Withdrawn(_) | WantedEntries::Nothing => Vec::new(),
        };
        registration::replace(current, name, &entries).map_err(unreadable)
    }

    /// The entries of these offers, each a list of pairs.
    fn entries(
        &self,
        pod: &Pod,
        offers: &[Offer],
        turned: fn(&Offer) -> Offer,
    ) -> Result<Vec<Vec<(String, String)>>, RegisterError> {
        let address = || -> Option<IpAddr> { pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok() };
        let mut entries = Vec::new();
        let completed = |offer| if self.completes { annotated::completed(pod, offer) } else { Ok(vec![offer.clone()]) };
        let offers: Vec<Vec<Offer>> = offers.iter().map(completed).collect::<Result<_, _>>()?;
        for offer in offers.iter().flatten().map(turned) {
            let address = match (self.profile, offer.ip) {
                (_, Some(ip)) => ip,
                (Profile::Dubbo, None) => address().ok_or_else(|| RegisterError::NoAddress(self.pod()))?,
                (Profile::App, None) => IpAddr::from([0, 0, 0, 0]), // not written
            };
            entries.extend(offer.entries(self.profile, &self.owner, address));
        }
        Ok(entries)
    }

    /// Refuses to replace the entries that another process keeps in place, unless the user has named the container.
    /// The default name is a port, so a command beside a wrapper would have the wrapper's name. Disabled entries are
    /// exempt: a process that has ended may have left them.
    fn refuse_to_replace(&self, current: Option<&str>) -> Result<(), RegisterError> {
        if self.owner.kind != (OwnerKind::Once { is_named: false }) {
            return Ok(());
        }
        let decoded = registration::decode_value(current.unwrap_or_default().trim());
        let kind = decoded.registrations.iter().filter(|one| one.enabled).find_map(|one| {
            let told = |key: &str| one.metadata.pairs.iter().find(|(of, _)| *of == key).map(|(_, value)| value);
            told(REGISTRAR_KIND).filter(|_| told(REGISTRAR) == Some(&*self.owner.name))
        });
        let kept = |kind: &str| {
            let kind = shortened(kind);
            RegisterError::Kept { pod: self.pod(), container: self.owner.name.to_string(), kind }
        };
        kind.map_or(Ok(()), |kind| Err(kept(kind)))
    }

    /// Checks that the API server accepts the annotation and that a server reads all of it.
    fn check_size(&self, annotations: &BTreeMap<String, String>, value: Option<&str>) -> Result<(), RegisterError> {
        let Some(value) = value else { return Ok(()) };
        let annotation = self.profile.annotation();
        let others = annotations.iter().filter(|(key, _)| *key != annotation);
        let len = others.map(|(key, value)| key.len() + value.len()).sum::<usize>() + annotation.len() + value.len();
        if len > ANNOTATION_LEN_MAX {
            return Err(RegisterError::TooLarge { len, ours: value.len(), annotation });
        }
        let problems = registration::decode_value(value).problems;
        let beyond = problems.iter().find(|problem| matches!(problem.reason, Reason::TooMany | Reason::TooLarge));
        beyond.map_or(Ok(()), |problem| Err(RegisterError::TooMany { reason: problem.reason.to_string() }))
    }

    /// Maps an error of the client.
    fn refusal(&self, verb: &'static str, error: kube::Error) -> RegisterError {
        let kube::Error::Api(status) = error else { return RegisterError::Unreachable(plain(&error)) };
        let (pod, message) = (self.pod(), shortened(&status.message));
        match status.code {
            _ if message.contains("ValidatingAdmissionPolicy") => RegisterError::NotAllowed { pod, message },
            401 => RegisterError::Unauthorized(message),
            403 => RegisterError::Forbidden { verb, pod, namespace: self.pod.namespace.to_string(), message },
            404 => RegisterError::NoSuchPod(pod),
            429 | 500..=599 => {
                let seconds = status.details.as_ref().map(|details| details.retry_after_seconds);
                let retry_after = seconds.map(|seconds| Duration::from_secs(seconds.into()));
                RegisterError::Busy { code: status.code, message, retry_after }
            }
            code => RegisterError::Refused { verb, pod, code, message },
        }
    }
}

/// Whether the entries publish nothing.
fn is_end(wanted: &WantedEntries) -> bool {
    !matches!(wanted, WantedEntries::Offers(_))
}

/// The response, if it arrived in time.
fn in_time<T>(answer: Result<kube::Result<T>, tokio::time::error::Elapsed>) -> kube::Result<T> {
    answer.unwrap_or_else(|_| Err(kube::Error::Service(format!("no answer within {REQUEST_WAIT:?}").into())))
}

/// Whether we have set the label, or nobody is recorded as its writer. A label that the Pod was created with is not
/// ours to remove, because a ReplicaSet may select its Pods by it.
fn is_label_ours(pod: &Pod, label: &str) -> bool {
    let field = format!("f:{label}");
    let managers = pod.metadata.managed_fields.iter().flatten();
    let mut owners = managers.filter(|manager| {
        let fields = manager.fields_v1.as_ref().map(|fields| &fields.0);
        fields.is_some_and(|fields| !fields["f:metadata"]["f:labels"][&field].is_null())
    });
    owners.all(|owner| owner.manager.as_deref() == Some(FIELD_MANAGER))
}
