//! YAML that errors suggest, to paste into a manifest or into `kubectl apply`.

/// The variables that identify a process's Pod, for the container in its manifest.
pub const ENVIRONMENT_YAML: &str = "env: [{name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}, \
     {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, \
     {name: POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}]";

/// A Role and its binding, in one line for `kubectl apply -f -`. It takes the service account from the server's
/// message.
pub(super) fn role_yaml(namespace: &str, message: &str) -> String {
    let is_name =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let named =
        message.split_once("system:serviceaccount:").and_then(|(_, rest)| rest.split('"').next()?.split_once(':'));
    let named = named.filter(|(namespace, account)| is_name(namespace) && is_name(account));
    let (account_namespace, account) = named.unwrap_or((namespace, "default"));
    format!(
        "{{apiVersion: v1, kind: List, items: [\
         {{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: callsign-register, namespace: {namespace}}}, \
         rules: [{{apiGroups: [\"\"], resources: [pods], verbs: [get, patch]}}]}}, \
         {{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: callsign-register, namespace: {namespace}}}, \
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: callsign-register}}, \
         subjects: [{{kind: ServiceAccount, name: {account}, namespace: {account_namespace}}}]}}]}}"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn suggested_texts_are_yaml() {
        let env: Value = serde_saphyr::from_str(ENVIRONMENT_YAML).unwrap();
        assert_eq!(
            env["env"][1],
            json!({ "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } })
        );
        for (user, account) in [
            (
                "system:serviceaccount:shop:greeter",
                json!({ "kind": "ServiceAccount", "name": "greeter", "namespace": "shop" }),
            ),
            ("jane", json!({ "kind": "ServiceAccount", "name": "default", "namespace": "front" })),
            (
                "system:serviceaccount:a}:b",
                json!({ "kind": "ServiceAccount", "name": "default", "namespace": "front" }),
            ),
        ] {
            let message = format!("pods \"greeter-0\" is forbidden: User \"{user}\" cannot get resource \"pods\"");
            let list: Value = serde_saphyr::from_str(&role_yaml("front", &message)).unwrap();
            assert_eq!(list["items"][0]["rules"][0]["verbs"], json!(["get", "patch"]));
            assert_eq!(list["items"][1]["roleRef"]["name"], list["items"][0]["metadata"]["name"]);
            assert_eq!(list["items"][1]["subjects"], json!([account]), "{user}");
        }
    }
}
