//! Kubernetes' rules for the names of its objects.

/// The longest label, in bytes (RFC 1123).
const LABEL_LEN_MAX: usize = 63;

/// The longest name that Kubernetes allows for a Pod.
const POD_NAME_LEN_MAX: usize = 253;

/// Whether a text is a valid namespace: an RFC 1123 label in lower case (Kubernetes: "Object Names and IDs").
pub fn is_namespace(text: &str) -> bool {
    text.len() <= LABEL_LEN_MAX && is_lower_label(text)
}

/// Whether a text is a valid Pod name: a DNS subdomain in lower case. One of its labels may exceed 63 bytes.
pub fn is_pod_name(text: &str) -> bool {
    text.len() <= POD_NAME_LEN_MAX && text.split('.').all(is_lower_label)
}

fn is_lower_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}
