//! The headers that impersonate another user.

use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::ClientError;
use super::kubeconfig::{ConfigEntry, User};

/// The characters that a header's name may contain without an escape, except `%`.
const NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'*')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The headers of a kubeconfig's user. A value may have any letters, as in Go, but no line end.
pub(super) fn headers(user: &ConfigEntry<User>) -> Result<Vec<(HeaderName, HeaderValue)>, ClientError> {
    let User { act_as, as_uid, as_groups, as_user_extra, .. } = &user.value;
    if act_as.is_empty() {
        let has_more = !(as_uid.is_empty() && as_groups.is_empty() && as_user_extra.is_empty());
        let reason = "it is missing beside as-uid, as-groups or as-user-extra";
        return if has_more { Err(user.fault("as", reason)) } else { Ok(Vec::new()) };
    }
    let of = |key, name: &'static str, value| (key, HeaderName::from_static(name), value);
    let mut all = vec![of("as", "impersonate-user", act_as)];
    if !as_uid.is_empty() {
        all.push(of("as-uid", "impersonate-uid", as_uid));
    }
    all.extend(as_groups.iter().map(|group| of("as-groups", "impersonate-group", group)));
    for (key, values) in as_user_extra {
        let name = format!("impersonate-extra-{}", utf8_percent_encode(key, NAME));
        let name = HeaderName::try_from(name);
        let name = name.map_err(|_| user.fault("as-user-extra", "a key of it is too long for an HTTP header"))?;
        all.extend(values.iter().map(|value| ("as-user-extra", name.clone(), value)));
    }
    let headers = all.into_iter().map(|(key, name, value)| match HeaderValue::from_bytes(value.as_bytes()) {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(user.fault(key, "it has a line end or another character that no HTTP header can have")),
    });
    headers.collect()
}
