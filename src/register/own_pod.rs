//! Finds the Pod that this process is in: by the caller's configuration, else by the Downward API's variables, else by
//! what every Pod has.

#![warn(missing_docs)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::yaml::ENVIRONMENT_YAML;
use crate::object_name::{is_namespace, is_pod_name};

/// A Pod's own namespace, beside the token of its service account.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The Pod of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// If the uid is known, a Pod with another uid is refused.
    pub uid: Option<Arc<str>>,
    /// Why the Pod may be another one. Without a uid, an address must then prove that this process is in the Pod.
    pub doubt: Option<PodDoubt>,
    /// There is a doubt, or the configuration may contradict the uid. The Pod is then checked before a server starts.
    pub is_doubtful: bool,
}

/// Why a Pod may be another one than this process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PodDoubt {
    /// The name is the host name.
    #[error(
        "nothing but HOSTNAME says which Pod this process is in, and the kubelet cuts host names at 63 bytes, so the name may \
             be another Pod's"
    )]
    HostName,
    /// Of name and namespace, one comes from the Pod and the other from the configuration or a kubeconfig.
    #[error(
        "the Pod's name and its namespace come from different places (the configuration, the environment, a kubeconfig), so that together \
             they may name another Pod"
    )]
    Mixed,
}

/// Why it is not known which Pod this process is in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnPodError {
    /// Nothing says which Pod it is.
    #[error(
        "which Pod is this process in? Its {missing} is unknown; in a Pod, give its container {ENVIRONMENT_YAML}; \
         anywhere else, give the namespace and the name of a Pod"
    )]
    Unknown {
        /// `namespace` or `name`.
        missing: &'static str,
    },
    /// The namespace is invalid.
    #[error("{0:?} is not a namespace")]
    Namespace(String),
    /// The name is invalid.
    #[error("{0:?} is not a Pod name; does it come from POD_NAME or HOSTNAME?")]
    Name(String),
    /// A variable is not text.
    #[error("environment variable {0}: its value is not UTF-8")]
    NotUtf8(&'static str),
}

/// The variables that say which Pod a process is in. An empty one counts as absent.
#[derive(Clone, Debug, Default)]
pub struct PodVariables {
    /// `POD_NAMESPACE`
    namespace: Option<String>,
    /// `POD_NAME`
    name: Option<String>,
    /// `POD_UID`
    uid: Option<String>,
    /// `HOSTNAME`
    host: Option<String>,
}

impl PodVariables {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// One of the variables is not UTF-8.
    pub fn of_process() -> Result<PodVariables, OwnPodError> {
        PodVariables::try_read(|name| {
            let value = std::env::var_os(name).map(std::ffi::OsString::into_string).transpose();
            value.map_err(|_| OwnPodError::NotUtf8(name))
        })
    }

    /// Reads each variable with a function.
    ///
    /// # Errors
    /// The first error of the function.
    pub fn try_read<E>(variable: impl Fn(&'static str) -> Result<Option<String>, E>) -> Result<PodVariables, E> {
        let read = |name| Ok(variable(name)?.filter(|value| !value.is_empty()));
        Ok(PodVariables {
            namespace: read("POD_NAMESPACE")?,
            name: read("POD_NAME")?,
            uid: read("POD_UID")?,
            host: read("HOSTNAME")?,
        })
    }
}

/// The Pod that this process is in. `context` is the namespace of a kubeconfig, if one was given.
///
/// # Errors
/// The namespace or the name is unknown or invalid.
pub fn own_pod(
    namespace: Option<&str>,
    pod: Option<&str>,
    context: Option<&str>,
    variables: &PodVariables,
) -> Result<OwnPod, OwnPodError> {
    own_pod_with(namespace, pod, context, variables, Path::new(NAMESPACE_FILE))
}

/// [`own_pod`] with the path of the namespace file. A test must not read the machine's file, which exists if the
/// machine is a Pod.
fn own_pod_with(
    namespace: Option<&str>,
    pod: Option<&str>,
    context: Option<&str>,
    variables: &PodVariables,
    namespace_file: &Path,
) -> Result<OwnPod, OwnPodError> {
    let PodVariables { namespace: of_variable, name: name_of_variable, uid, host } = variables.clone();
    let of_account = || fs::read_to_string(namespace_file).ok().map(|text| text.trim().to_owned());
    let of_pod = || of_variable.or_else(of_account).map(|namespace| (namespace, PodNameOrigin::Pod));
    let of_caller = |value: Option<&str>| value.map(|value| (value.to_owned(), PodNameOrigin::Caller));
    let of_context = || context.map(|namespace| (namespace.to_owned(), PodNameOrigin::Kubeconfig));
    let found = of_caller(namespace).or_else(of_pod).or_else(of_context);
    let (own_namespace, of_namespace) = found.ok_or(OwnPodError::Unknown { missing: "namespace" })?;
    let of_host = || host.map(|name| (name, PodNameOrigin::Host));
    let found = of_caller(pod).or_else(|| name_of_variable.map(|name| (name, PodNameOrigin::Pod))).or_else(of_host);
    let (name, of_name) = found.ok_or(OwnPodError::Unknown { missing: "name" })?;
    if !is_namespace(&own_namespace) {
        return Err(OwnPodError::Namespace(own_namespace));
    }
    if !is_pod_name(&name) {
        return Err(OwnPodError::Name(name));
    }
    // The uid counts even if the caller names the Pod: that cannot make another Pod our own.
    let uid = uid.map(Into::into);
    let doubt = match (of_namespace, of_name) {
        (_, PodNameOrigin::Host) => Some(PodDoubt::HostName),
        (PodNameOrigin::Caller, PodNameOrigin::Caller) | (PodNameOrigin::Pod, PodNameOrigin::Pod) => None,
        _ => Some(PodDoubt::Mixed),
    };
    let is_doubtful = doubt.is_some() || (uid.is_some() && (namespace.is_some() || pod.is_some()));
    Ok(OwnPod { namespace: own_namespace.into(), name: name.into(), uid, doubt, is_doubtful })
}

/// Where a Pod's namespace or name comes from.
#[derive(Clone, Copy)]
enum PodNameOrigin {
    Caller,
    /// The Downward API, or the file of the service account. The kubelet puts both into the Pod.
    Pod,
    Kubeconfig,
    Host,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_an_absent_one() {
        let variables = PodVariables::try_read(|_| Ok::<_, OwnPodError>(Some(String::new()))).unwrap();
        let error = own_pod_with(None, None, None, &variables, Path::new("/nowhere")).unwrap_err().to_string();
        assert!(error.contains("Its namespace is unknown") && !error.contains("--"), "{error}");
    }

    fn found(flags: [Option<&str>; 3], variables: &[(&str, &str)]) -> Result<String, String> {
        found_with(flags, variables, Path::new("/nowhere"))
    }

    fn found_with(
        flags: [Option<&str>; 3],
        variables: &[(&str, &str)],
        namespace_file: &Path,
    ) -> Result<String, String> {
        let value = |name| variables.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned());
        let variables = PodVariables::try_read(|name| Ok::<_, OwnPodError>(value(name))).unwrap();
        let [namespace, pod, context] = flags;
        let found = own_pod_with(namespace, pod, context, &variables, namespace_file);
        let found = found.map_err(|error| error.to_string())?;
        let doubt = match found.doubt {
            Some(PodDoubt::HostName) => " by its host's name",
            Some(PodDoubt::Mixed) => " by two",
            None => "",
        };
        Ok(format!("{}/{} {}{doubt}", found.namespace, found.name, found.uid.as_deref().unwrap_or("-")))
    }

    #[test]
    fn the_callers_names_precede_the_environment_except_for_the_uid() {
        const ALL: &[(&str, &str)] =
            &[("POD_NAMESPACE", "shop"), ("POD_NAME", "greeter-0"), ("POD_UID", "u"), ("HOSTNAME", "host")];
        for (flags, variables, expected) in [
            ([None, None, None], ALL, Ok("shop/greeter-0 u")),
            ([None, None, Some("mine")], ALL, Ok("shop/greeter-0 u")),
            ([Some("other"), None, None], ALL, Ok("other/greeter-0 u by two")),
            ([None, Some("greeter-1"), None], ALL, Ok("shop/greeter-1 u by two")),
            (
                [None, None, None],
                &[("POD_NAMESPACE", "shop"), ("HOSTNAME", "host")],
                Ok("shop/host - by its host's name"),
            ),
            (
                [Some("shop"), None, None],
                &[("POD_UID", "u"), ("HOSTNAME", "host")],
                Ok("shop/host u by its host's name"),
            ),
            ([None, Some("a"), Some("mine")], &[], Ok("mine/a - by two")),
            ([Some("mine"), Some("a"), None], &[], Ok("mine/a -")),
            ([None, None, None], &[("POD_NAMESPACE", "shop"), ("POD_NAME", "a")], Ok("shop/a -")),
            ([Some("default"), None, None], &[("POD_NAMESPACE", "shop"), ("POD_NAME", "a")], Ok("default/a - by two")),
            ([None, None, Some("default")], &[("POD_NAME", "a")], Ok("default/a - by two")),
            ([None, Some("b"), None], &[("POD_NAMESPACE", "shop"), ("POD_NAME", "a")], Ok("shop/b - by two")),
            ([Some("a"), None, None], &[], Err("Its name is unknown")),
            ([None, Some("a"), None], &[], Err("Its namespace is unknown")),
            ([Some("a/b"), Some("a"), None], &[], Err("is not a namespace")),
            ([Some("a"), Some("../a"), None], &[], Err("is not a Pod name")),
        ] {
            let told = found(flags, variables);
            match expected {
                Ok(text) => assert_eq!(told.as_deref(), Ok(text), "{flags:?} {variables:?}"),
                Err(part) => assert!(told.as_ref().is_err_and(|told| told.contains(part)), "{flags:?}: {told:?}"),
            }
        }
    }

    #[test]
    fn the_service_accounts_namespace_precedes_the_kubeconfigs() {
        let file = std::env::temp_dir().join(format!("callsign-namespace-{}", std::process::id()));
        fs::write(&file, "shop\n").expect("write a file");
        let of_account = |flags, variables: &[_]| found_with(flags, variables, &file);
        assert_eq!(of_account([None, Some("a"), Some("mine")], &[]).as_deref(), Ok("shop/a - by two"));
        assert_eq!(of_account([None, None, Some("mine")], &[("POD_NAME", "a")]).as_deref(), Ok("shop/a -"));
        let other = [("POD_NAMESPACE", "other"), ("POD_NAME", "a")];
        assert_eq!(of_account([None, None, None], &other).as_deref(), Ok("other/a -"));
        fs::remove_file(&file).expect("remove it");
    }
}
