//! Reads kubeconfig files as kubectl does: it merges the files of a list, and the first entry of a name counts.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ClientError;
use super::value_type::KUBECONFIG;

/// The most bytes of one kubeconfig: several thousand clusters.
const KUBECONFIG_LEN_MAX: u64 = 16 * 1024 * 1024;

/// The name of a cluster's extension that is the configuration of its exec plugin.
const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";

/// The content of one file, or of several files merged.
#[derive(Default)]
pub(super) struct Kubeconfig {
    /// `current-context`, and the file that has it.
    current: Option<(Arc<Path>, String)>,
    contexts: Named,
    clusters: Named,
    users: Named,
    /// The files that exist.
    files: Vec<Arc<Path>>,
}

/// The entries of a kind by their names, each with its file.
type Named = BTreeMap<String, (Arc<Path>, Value)>;

/// The context in use, with what it refers to.
pub(super) struct Chosen {
    pub namespace: Option<String>,
    pub cluster: ConfigEntry<Cluster>,
    pub user: ConfigEntry<User>,
}

/// An entry of a kubeconfig.
#[derive(Clone)]
pub(super) struct ConfigEntry<T> {
    /// Its kind and name, for errors.
    pub what: String,
    pub file: Arc<Path>,
    pub value: T,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
    namespace: String,
}

/// An API server. An empty value counts as absent, as in Go.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Cluster {
    pub server: String,
    pub tls_server_name: String,
    pub insecure_skip_tls_verify: bool,
    pub certificate_authority: String,
    pub certificate_authority_data: String,
    pub proxy_url: String,
    extensions: Vec<Extension>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Extension {
    name: String,
    extension: Value,
}

/// The user of a context: its credentials, and whom it impersonates.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct User {
    pub client_certificate: String,
    pub client_certificate_data: String,
    pub client_key: String,
    pub client_key_data: String,
    pub token: String,
    #[serde(rename = "tokenFile")]
    pub token_file: String,
    pub username: String,
    pub password: String,
    #[serde(rename = "as")]
    pub act_as: String,
    pub as_uid: String,
    pub as_groups: Vec<String>,
    pub as_user_extra: BTreeMap<String, Vec<String>>,
    pub auth_provider: Option<AuthProvider>,
    pub exec: Option<Exec>,
}

/// The predecessor of exec plugins.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct AuthProvider {
    pub name: String,
    pub config: BTreeMap<String, String>,
}

/// A program that gives credentials.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Exec {
    pub api_version: String,
    pub command: String,
    pub args: Vec<String>,
    pub env: Vec<Variable>,
    pub interactive_mode: String,
    pub provide_cluster_info: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Variable {
    pub name: String,
    pub value: String,
}

impl Kubeconfig {
    /// Reads a file that the operator names.
    pub(super) fn of_file(path: &Path) -> Result<Kubeconfig, ClientError> {
        let mut merged = Kubeconfig::default();
        merged
            .add(path)
            .and_then(|is_there| if is_there { Ok(()) } else { Err("there is no such file".into()) })
            .map_err(|reason| ClientError::Kubeconfig { path: path.to_owned(), reason })?;
        Ok(merged)
    }

    /// Reads the files of a list. Skips missing ones.
    pub(super) fn of_list(paths: &[PathBuf]) -> Result<Kubeconfig, ClientError> {
        let mut merged = Kubeconfig::default();
        for path in paths {
            let wrong = |reason| ClientError::Kubeconfig { path: path.clone(), reason };
            if !merged.add(path).map_err(wrong)? {
                tracing::debug!(file = %path.display(), "a kubeconfig of the list is missing, and is skipped");
            }
        }
        Ok(merged)
    }

    /// Whether all files are empty.
    pub(super) fn is_empty(&self) -> bool {
        self.contexts.is_empty() && self.clusters.is_empty() && self.users.is_empty() && self.current.is_none()
    }

    /// Whether a file has `current-context`.
    pub(super) fn has_current(&self) -> bool {
        self.current.is_some()
    }

    /// Adds the entries that no earlier file has. Returns false if the file does not exist.
    fn add(&mut self, path: &Path) -> Result<bool, String> {
        let bytes = match read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error.to_string()),
        };
        let file: Arc<Path> = path.into();
        let (document, has_more) = document(&text(bytes)?)?;
        if has_more {
            tracing::warn!(file = %path.display(), "the kubeconfig's first document is read, and no other one, as by kubectl");
        }
        if let Some(mut document) = document {
            for (key, expected) in [("kind", "Config"), ("apiVersion", "v1")] {
                let found = document.get(key).and_then(Value::as_str).unwrap_or_default();
                if !found.is_empty() && found != expected {
                    return Err(format!("not a kubeconfig: {key} is not {expected}"));
                }
            }
            KUBECONFIG.check(&mut document, "")?;
            for (map, list, key) in [
                (&mut self.contexts, "contexts", "context"),
                (&mut self.clusters, "clusters", "cluster"),
                (&mut self.users, "users", "user"),
            ] {
                add_named(map, &file, &mut document, list, key)?;
            }
            let current = document["current-context"].as_str().filter(|name| !name.is_empty());
            self.current = self.current.take().or(current.map(|name| (file.clone(), name.to_owned())));
        }
        self.files.push(file);
        Ok(true)
    }

    /// The cluster and the user of the context of this name, or else of the current one.
    pub(super) fn choose(&self, context: Option<&str>) -> Result<Chosen, ClientError> {
        let files = || self.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
        let names = |named: &Named| named.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let (name, current) = match (context, &self.current) {
            (Some(name), _) => (name, None),
            (None, Some((file, name))) => (name.as_str(), Some(file.to_path_buf())),
            (None, None) => {
                let path = self.files.first().map(|file| file.to_path_buf()).unwrap_or_default();
                let reason = "current-context is not set: set it, or name a context".into();
                return Err(ClientError::Kubeconfig { path, reason });
            }
        };
        let wrong = |reason| ClientError::Context { context: name.to_owned(), reason };
        let Some((file, value)) = self.contexts.get(name) else {
            let known = names(&self.contexts);
            return Err(match current {
                None => wrong(format!("no kubeconfig has it ({}); there are: {known}", files())),
                Some(path) => {
                    let reason =
                        format!("current-context: no kubeconfig has a context of that name; there are: {known}");
                    ClientError::Kubeconfig { path, reason }
                }
            });
        };
        let context: Context = typed(value).map_err(wrong)?;
        let Some(cluster) = self.clusters.get(&context.cluster) else {
            let reason = match context.cluster.is_empty() {
                true => "it is missing: write `cluster: NAME`",
                false => "no kubeconfig has a cluster of that name",
            };
            let known = names(&self.clusters);
            return Err(wrong(format!("{}: cluster: {reason}; there are: {known}", file.display())));
        };
        // kubectl continues without a missing user. The API server's refusal then says what is not allowed.
        let nobody = (file.clone(), Value::Object(serde_json::Map::new()));
        let user = self.users.get(&context.user).unwrap_or(&nobody);
        Ok(Chosen {
            namespace: Some(context.namespace).filter(|namespace| !namespace.is_empty()),
            cluster: item("cluster", &context.cluster, cluster).map_err(wrong)?,
            user: item("user", &context.user, user).map_err(wrong)?,
        })
    }
}

impl Cluster {
    pub(super) fn has_authority(&self) -> bool {
        !(self.certificate_authority.is_empty() && self.certificate_authority_data.is_empty())
    }

    /// The configuration of an exec plugin.
    pub(super) fn of_plugin(&self) -> Option<&Value> {
        self.extensions.iter().find(|extension| extension.name == EXEC_EXTENSION).map(|found| &found.extension)
    }
}

impl User {
    pub(super) fn has_certificate(&self) -> bool {
        !(self.client_certificate.is_empty() && self.client_certificate_data.is_empty())
    }

    /// Whether it has any credentials.
    pub(super) fn has_identity(&self) -> bool {
        let has_text = [&self.token, &self.token_file, &self.username].iter().any(|text| !text.is_empty());
        has_text || self.has_certificate() || self.exec.is_some() || self.auth_provider.is_some()
    }
}

impl<T> ConfigEntry<T> {
    /// A fault of one of its values.
    pub(super) fn fault(&self, key: &str, reason: impl std::fmt::Display) -> ClientError {
        let reason = format!("{}: {key}: {reason}", self.what);
        ClientError::Kubeconfig { path: self.file.to_path_buf(), reason }
    }

    /// Its kind, name and file alone.
    pub(super) fn without_value(&self) -> ConfigEntry<()> {
        ConfigEntry { what: self.what.clone(), file: self.file.clone(), value: () }
    }

    /// The path of a file that it names. A relative path starts from the folder of the kubeconfig.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(file)
    }
}

fn item<T: DeserializeOwned>(
    kind: &str,
    name: &str,
    (file, value): &(Arc<Path>, Value),
) -> Result<ConfigEntry<T>, String> {
    Ok(ConfigEntry { what: format!("{kind} {name}"), file: file.clone(), value: typed(value)? })
}

/// Deserializes a value whose types are checked. The error does not say what is wrong, because serde's error would quote the value.
fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|_| "it is not written as in a kubeconfig".to_owned())
}

fn add_named(map: &mut Named, file: &Arc<Path>, document: &mut Value, list: &str, key: &str) -> Result<(), String> {
    let items = document.get_mut(list).and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
    for mut item in items {
        let name = item["name"].as_str().unwrap_or_default().to_owned();
        let value = item.get_mut(key).map_or_else(|| Value::Object(serde_json::Map::new()), Value::take);
        match map.entry(name) {
            Entry::Vacant(place) => {
                place.insert((file.clone(), value));
            }
            // Twice in one file is a mistake. Of two files the earlier one counts.
            Entry::Occupied(place) if place.get().0 == *file => {
                return Err(format!("{list}: two of them have the name {}", place.key()));
            }
            Entry::Occupied(_) => {}
        }
    }
    Ok(())
}

/// Reads a file that contains or names a secret. The length is bounded, because the file may be a device without an end.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(KUBECONFIG_LEN_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > KUBECONFIG_LEN_MAX {
        return Err(io::Error::other(format!("it has over {KUBECONFIG_LEN_MAX} bytes")));
    }
    Ok(bytes)
}

/// The text of a file: UTF-8, or with a byte order mark UTF-16, which PowerShell writes.
fn text(bytes: Vec<u8>) -> Result<String, String> {
    let units = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let text = String::from_utf16(&pairs.iter().map(|pair| unit(*pair)).collect::<Vec<_>>());
        text.ok().filter(|_| rest.is_empty()).ok_or_else(|| "not a text in UTF-16".to_owned())
    };
    match bytes.as_slice() {
        [0xff, 0xfe, bytes @ ..] => units(bytes, u16::from_le_bytes),
        [0xfe, 0xff, bytes @ ..] => units(bytes, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, bytes @ ..] => String::from_utf8(bytes.to_vec()).map_err(|_| "not a text in UTF-8".into()),
        _ => String::from_utf8(bytes).map_err(|_| "not a text in UTF-8".into()),
    }
}

/// The first document of a file, and whether more follows. `None` if the document is empty.
fn document(text: &str) -> Result<(Option<Value>, bool), String> {
    // JSON first, because it may be indented with tabs.
    let mut objects = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    if let Some(Ok(object @ Value::Object(_))) = objects.next() {
        let rest = &text[objects.byte_offset()..];
        return Ok((Some(object), !rest.trim().is_empty()));
    }
    // If a key occurs twice, kubectl takes the last value.
    let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins };
    let mut bytes = text.as_bytes();
    let mut documents = serde_saphyr::read_with_options::<_, Value>(&mut bytes, options);
    let first = documents.next().transpose().map_err(|error| {
        // The parser's own error would quote the text.
        let line = error.location().map(|location| format!(", line {}", location.line())).unwrap_or_default();
        format!("not a kubeconfig in YAML{line}")
    })?;
    Ok((first.filter(|document| !document.is_null()), documents.next().is_some()))
}
