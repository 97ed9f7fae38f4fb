//! Finds the Pod that this process is in: by flags, else by the Downward API's variables, else by what every Pod has.

use std::fs;
use std::path::Path;

use super::{ConfigError, Environment, refused};
use crate::name::{is_namespace, is_pod_name};
use crate::register::{OwnPod, PodDoubt};

/// A Pod's own namespace, beside the token of its service account.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The Pod that this process is in. `context` is the namespace of a kubeconfig, if one was given.
///
/// # Errors
/// The namespace or the name is unknown or invalid.
pub fn own_pod(
    namespace: Option<&str>,
    pod: Option<&str>,
    context: Option<&str>,
    environment: &Environment,
) -> Result<OwnPod, ConfigError> {
    own_pod_with(namespace, pod, context, environment, Path::new(NAMESPACE_FILE))
}

/// [`own_pod`] with the path of the namespace file. A test must not read the machine's file, which exists if the
/// machine is a Pod.
fn own_pod_with(
    namespace: Option<&str>,
    pod: Option<&str>,
    context: Option<&str>,
    environment: &Environment,
    namespace_file: &Path,
) -> Result<OwnPod, ConfigError> {
    let fact = |name| environment.fact(name).map(str::to_owned);
    let of_account = || fs::read_to_string(namespace_file).ok().map(|text| text.trim().to_owned());
    let of_pod = || fact("POD_NAMESPACE").or_else(of_account).map(|namespace| (namespace, PodNameOrigin::Pod));
    let of_flag = |value: Option<&str>| value.map(|value| (value.to_owned(), PodNameOrigin::Flag));
    let of_context = || context.map(|namespace| (namespace.to_owned(), PodNameOrigin::Kubeconfig));
    let found = of_flag(namespace).or_else(of_pod).or_else(of_context);
    let (own_namespace, of_namespace) = found.ok_or(ConfigError::NoOwnPod { missing: "namespace" })?;
    let of_host = || fact("HOSTNAME").map(|name| (name, PodNameOrigin::Host));
    let found = of_flag(pod).or_else(|| fact("POD_NAME").map(|name| (name, PodNameOrigin::Pod))).or_else(of_host);
    let (name, of_name) = found.ok_or(ConfigError::NoOwnPod { missing: "name" })?;
    if !is_namespace(&own_namespace) {
        return Err(refused("--namespace", format!("{own_namespace:?} is not a namespace")));
    }
    if !is_pod_name(&name) {
        return Err(refused("--pod", format!("{name:?} is not a Pod name; does it come from POD_NAME or HOSTNAME?")));
    }
    // The uid counts even with flags: flags cannot make another Pod our own.
    let uid = fact("POD_UID").map(Into::into);
    let doubt = match (of_namespace, of_name) {
        (_, PodNameOrigin::Host) => Some(PodDoubt::HostName),
        (PodNameOrigin::Flag, PodNameOrigin::Flag) | (PodNameOrigin::Pod, PodNameOrigin::Pod) => None,
        _ => Some(PodDoubt::Mixed),
    };
    let is_doubtful = doubt.is_some() || (uid.is_some() && (namespace.is_some() || pod.is_some()));
    Ok(OwnPod { namespace: own_namespace.into(), name: name.into(), uid, doubt, is_doubtful })
}

/// Where a Pod's namespace or name comes from.
#[derive(Clone, Copy)]
enum PodNameOrigin {
    Flag,
    /// The Downward API, or the file of the service account. The kubelet puts both into the Pod.
    Pod,
    Kubeconfig,
    Host,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(flags: [Option<&str>; 3], variables: &[(&str, &str)]) -> Result<String, String> {
        found_with(flags, variables, Path::new("/nowhere"))
    }

    fn found_with(
        flags: [Option<&str>; 3],
        variables: &[(&str, &str)],
        namespace_file: &Path,
    ) -> Result<String, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let environment = Environment::of_variables(variables).unwrap();
        let [namespace, pod, context] = flags;
        let found = own_pod_with(namespace, pod, context, &environment, namespace_file);
        let found = found.map_err(|error| error.to_string())?;
        let doubt = match found.doubt {
            Some(PodDoubt::HostName) => " by its host's name",
            Some(PodDoubt::Mixed) => " by two",
            None => "",
        };
        Ok(format!("{}/{} {}{doubt}", found.namespace, found.name, found.uid.as_deref().unwrap_or("-")))
    }

    #[test]
    fn flags_precede_the_environment_except_for_the_uid() {
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
