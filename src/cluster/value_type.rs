//! The types of a kubeconfig's values. kubectl refuses a number or a boolean where a text must be, and so does callsign: the text that
//! the operator means may differ from the value (`0123`, `1e5`, `yes`).

use serde_json::Value;

/// The type of a value. Unknown keys may hold anything.
#[derive(Clone, Copy)]
pub(super) enum KubeconfigType {
    Text,
    Flag,
    /// A map with these keys.
    Map(&'static [(&'static str, KubeconfigType)]),
    /// A map in which each key has a value of this type.
    Each(&'static KubeconfigType),
    /// A list of this type.
    List(&'static KubeconfigType),
}

use KubeconfigType::{Each, Flag, List, Map, Text};

/// A kubeconfig.
pub(super) const KUBECONFIG: KubeconfigType = Map(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("current-context", Text),
    ("preferences", Map(&[("colors", Flag), ("extensions", EXTENSIONS)])),
    ("extensions", EXTENSIONS),
    ("clusters", List(&Map(&[("name", Text), ("cluster", CLUSTER)]))),
    ("users", List(&Map(&[("name", Text), ("user", USER)]))),
    ("contexts", List(&Map(&[("name", Text), ("context", CONTEXT)]))),
]);

const CONTEXT: KubeconfigType =
    Map(&[("cluster", Text), ("user", Text), ("namespace", Text), ("extensions", EXTENSIONS)]);

const EXTENSIONS: KubeconfigType = List(&Map(&[("name", Text)]));

const CLUSTER: KubeconfigType = Map(&[
    ("server", Text),
    ("tls-server-name", Text),
    ("insecure-skip-tls-verify", Flag),
    ("certificate-authority", Text),
    ("certificate-authority-data", Text),
    ("proxy-url", Text),
    ("disable-compression", Flag),
    ("extensions", EXTENSIONS),
]);

const USER: KubeconfigType = Map(&[
    ("client-certificate", Text),
    ("client-certificate-data", Text),
    ("client-key", Text),
    ("client-key-data", Text),
    ("token", Text),
    ("tokenFile", Text),
    ("username", Text),
    ("password", Text),
    ("as", Text),
    ("as-uid", Text),
    ("as-groups", List(&Text)),
    ("as-user-extra", Each(&List(&Text))),
    ("auth-provider", Map(&[("name", Text), ("config", Each(&Text))])),
    ("exec", EXEC),
    ("extensions", EXTENSIONS),
]);

const EXEC: KubeconfigType = Map(&[
    ("apiVersion", Text),
    ("command", Text),
    ("args", List(&Text)),
    ("env", List(&Map(&[("name", Text), ("value", Text)]))),
    ("interactiveMode", Text),
    ("provideClusterInfo", Flag),
    ("installHint", Text),
]);

impl KubeconfigType {
    /// Checks a value at a path. Removes null values, which mean absent. A null item of a list becomes an empty item.
    ///
    /// # Errors
    /// A value has another type. The error has its path and what to write, and not the value, which may be a secret.
    pub(super) fn check(self, value: &mut Value, path: &str) -> Result<(), String> {
        let wrong = match (self, &mut *value) {
            (Text, Value::String(_)) | (Flag, Value::Bool(_)) => return Ok(()),
            (List(shape), Value::Array(items)) => {
                return items.iter_mut().enumerate().try_for_each(|(index, item)| {
                    match (item.is_null(), shape) {
                        (true, Text) => *item = "".into(),
                        (true, Map(_)) => *item = Value::Object(serde_json::Map::new()),
                        _ => {}
                    }
                    shape.check(item, &format!("{path}[{index}]"))
                });
            }
            (Each(shape), Value::Object(map)) => {
                map.retain(|_, value| !value.is_null());
                return map.iter_mut().try_for_each(|(_, value)| shape.check(value, &format!("{path}.*")));
            }
            (Map(keys), Value::Object(map)) => {
                map.retain(|_, value| !value.is_null());
                for (key, shape) in keys {
                    if let Some(value) = map.get_mut(*key) {
                        let path = if path.is_empty() { (*key).to_owned() } else { format!("{path}.{key}") };
                        shape.check(value, &path)?;
                    }
                }
                return Ok(());
            }
            (_, Value::Null) => "nothing",
            (_, Value::Bool(_)) => "a boolean",
            (_, Value::Number(_)) => "a number",
            (_, Value::String(_)) => "a text",
            (_, Value::Array(_)) => "a list",
            (_, Value::Object(_)) => "a map",
        };
        let path = if path.is_empty() { "the document" } else { path };
        Err(format!("{path} is {wrong}, but must be {}", self.wanted()))
    }

    fn wanted(self) -> &'static str {
        match self {
            Text => "a text: write it in quotes",
            Flag => "true or false, without quotes",
            Map(_) | Each(_) => "a map of keys and values",
            List(_) => "a list",
        }
    }
}
