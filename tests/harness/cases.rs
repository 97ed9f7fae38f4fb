//! Pods that the API server refuses or takes. `tests/cluster/manifests.rs` sends each of them to a real one.

/// What the API server does not decode: the place in the Pod, the YAML, and the start of our error.
pub(crate) const REFUSED: [(&str, &str, &str); 64] = [
    // Keys in other letter case, misspelt, out of place and unknown.
    ("metadata", "Namespace: shop", "metadata.Namespace is not a key of a Pod: write namespace"),
    ("metadata", "nameSpace: shop", "metadata.nameSpace is not a key of a Pod: write namespace"),
    ("metadata", "name_space: shop", "metadata.name_space is not a key of a Pod: write namespace"),
    ("metadata", "namepsace: shop", "metadata.namepsace is not a key of a Pod: write namespace"),
    ("metadata", "label: {a: b}", "metadata.label is not a key of a Pod: write labels"),
    ("metadata", "UID: u", "metadata.UID is not a key of a Pod: write uid"),
    (
        "metadata",
        "clusterName: c",
        "metadata.clusterName is not a key of a Pod of Kubernetes 1.37 or older: leave it out",
    ),
    ("metadata", "'a b': c", "metadata.\"a b\" is not a key of a Pod"),
    ("metadata", "'': c", "metadata.\"\" is not a key of a Pod"),
    ("metadata", "podIP: 10.0.0.1", "metadata.podIP is not a key of a Pod: write it below status"),
    ("metadata", "ownerReferences: [{Name: x}]", "metadata.ownerReferences[0].Name is not a key of a Pod: write name"),
    ("", "namespace: shop", "namespace is not a key of a Pod: write it below metadata"),
    ("", "hostNetwork: true", "hostNetwork is not a key of a Pod: write it below spec"),
    ("", "Spec: {}", "Spec is not a key of a Pod: write spec"),
    ("", "apiversion: v1", "apiversion is not a key of a Pod: write apiVersion"),
    ("", "x: 1", "x is not a key of a Pod"),
    ("", "items: []", "items is not a key of a Pod"),
    ("status", "podIps: []", "status.podIps is not a key of a Pod: write podIP"),
    ("status", "PodIP: 10.0.0.1", "status.PodIP is not a key of a Pod: write podIP"),
    ("status", "podIPs: [{IP: 10.0.0.1}]", "status.podIPs[0].IP is not a key of a Pod: write ip"),
    ("status", "podIPs: [{address: 10.0.0.1}]", "status.podIPs[0].address is not a key of a Pod"),
    ("status", "condition: []", "status.condition is not a key of a Pod: write conditions"),
    ("status", "Phase: Failed", "status.Phase is not a key of a Pod: write phase"),
    (
        "status",
        "conditions: [{Type: Ready, status: 'True'}]",
        "status.conditions[0].Type is not a key of a Pod: write type",
    ),
    ("spec", "hostnetwork: true", "spec.hostnetwork is not a key of a Pod: write hostNetwork"),
    ("container", "Image: i", "spec.containers[0].Image is not a key of a Pod: write image"),
    ("container", "env: [{name: a, valeu: x}]", "spec.containers[0].env[0].valeu is not a key of a Pod: write value"),
    // Values of another type, in what decides nothing too.
    ("metadata", "finalizers: true", "metadata.finalizers is a boolean but must be a list"),
    ("metadata", "finalizers: [1]", "metadata.finalizers[0] is a number but must be a string"),
    ("metadata", "generation: '1'", "metadata.generation is a string but must be a number"),
    ("metadata", "generation: 1.5", "metadata.generation is a number but must be a whole number"),
    (
        "metadata",
        "generation: 9223372036854775808",
        "metadata.generation is a number but must be a whole number of at most 92233",
    ),
    ("metadata", "generateName: 7", "metadata.generateName is a number but must be a string"),
    ("metadata", "ownerReferences: {}", "metadata.ownerReferences is an object but must be a list"),
    (
        "metadata",
        "ownerReferences: [{controller: 'true'}]",
        "metadata.ownerReferences[0].controller is a string but must be a b",
    ),
    ("metadata", "creationTimestamp: ''", "metadata.creationTimestamp is not a time: write one such as"),
    ("metadata", "creationTimestamp: '2026-01-02 03:04:05Z'", "metadata.creationTimestamp is not a time"),
    ("metadata", "creationTimestamp: '2026-01-02t03:04:05z'", "metadata.creationTimestamp is not a time"),
    ("metadata", "creationTimestamp: '2026-01-02T03:04:60Z'", "metadata.creationTimestamp is not a time"),
    ("metadata", "creationTimestamp: '2026-01-02T03:04:05'", "metadata.creationTimestamp is not a time"),
    ("metadata", "managedFields: [{time: x}]", "metadata.managedFields[0].time is not a time"),
    ("status", "conditions: [{type: Ready, status: 'True', reason: 5}]", "status.conditions[0].reason is a number"),
    ("status", "conditions: [{type: Ready, lastProbeTime: 5}]", "status.conditions[0].lastProbeTime is a number"),
    ("status", "startTime: ''", "status.startTime is not a time"),
    ("status", "message: no", "status.message is a boolean"),
    (
        "status",
        "containerStatuses: [{restartCount: '1'}]",
        "status.containerStatuses[0].restartCount is a string but must be a n",
    ),
    (
        "status",
        "containerStatuses: [{ready: 'true'}]",
        "status.containerStatuses[0].ready is a string but must be a boolean",
    ),
    ("spec", "nodeName: 7", "spec.nodeName is a number but must be a string: write \"7\""),
    ("spec", "nodeSelector: {a: true}", "spec.nodeSelector[\"a\"] is a boolean"),
    ("spec", "affinity: []", "spec.affinity is a list but must be an object"),
    (
        "spec",
        "terminationGracePeriodSeconds: 30s",
        "spec.terminationGracePeriodSeconds is a string but must be a number",
    ),
    ("spec", "securityContext: {runAsUser: '0'}", "spec.securityContext.runAsUser is a string but must be a number"),
    (
        "spec",
        "volumes: [{name: v, configMap: {optional: 1}}]",
        "spec.volumes[0].configMap.optional is a number but must be a bool",
    ),
    (
        "container",
        "env: [{name: a, value: 1}]",
        "spec.containers[0].env[0].value is a number but must be a string: wri",
    ),
    ("container", "command: ls", "spec.containers[0].command is a string but must be a list"),
    ("container", "args: [-c, true]", "spec.containers[0].args[1] is a boolean but must be a string"),
    ("container", "tty: 'yes'", "spec.containers[0].tty is a string but must be a boolean: write true or false"),
    (
        "container",
        "ports: [{containerPort: '80'}]",
        "spec.containers[0].ports[0].containerPort is a string but must be a number",
    ),
    (
        "container",
        "ports: [{containerPort: 8000000000}]",
        "spec.containers[0].ports[0].containerPort is a number but must be a wh",
    ),
    (
        "container",
        "livenessProbe: {httpGet: {port: 80.5}}",
        "spec.containers[0].livenessProbe.httpGet.port is a number but must be a",
    ),
    (
        "container",
        "livenessProbe: {httpGet: {port: true}}",
        "spec.containers[0].livenessProbe.httpGet.port is a boolean but must be a",
    ),
    (
        "container",
        "resources: {limits: {cpu: x}}",
        "spec.containers[0].resources.limits[\"cpu\"] is not a quantity: write",
    ),
    ("container", "resources: {limits: {cpu: true}}", "spec.containers[0].resources.limits[\"cpu\"] is not a quantity"),
    (
        "container",
        "resources: {limits: {cpu: 1.2.3}}",
        "spec.containers[0].resources.limits[\"cpu\"] is not a quantity",
    ),
];

/// What the API server decodes: the place in the Pod, and the YAML.
pub(crate) const TAKEN: [(&str, &str); 30] = [
    ("metadata", "namespace: "),
    ("metadata", "namespace: ~"),
    ("metadata", "namespace: ''"),
    ("metadata", "uid: null"),
    ("metadata", "labels: {a: }"),
    ("metadata", "labels: null"),
    ("metadata", "annotations: {a: }"),
    ("metadata", "annotations: {A.io/B: x, Upper: z}"),
    ("metadata", "finalizers: null"),
    ("metadata", "generation: 1"),
    ("metadata", "generation: 1.0"),
    ("metadata", "creationTimestamp: 2026-01-02T03:04:05Z"),
    ("metadata", "creationTimestamp: '2026-01-02T03:04:05.123+01:00'"),
    ("metadata", "managedFields: [{fieldsV1: {'f:x': {}, y: 7}}]"),
    ("metadata", "selfLink: x"),
    ("status", "podIP: null"),
    ("status", "phase: null"),
    ("status", "conditions: null"),
    ("status", "startTime: null"),
    ("spec", "hostNetwork: null"),
    ("spec", "nodeSelector: {a: }"),
    ("spec", "volumes: [{name: v, emptyDir: }]"),
    ("container", "env: [{name: a, value: }]"),
    ("container", "command: [null]"),
    ("container", "ports: [{containerPort: 8e1, protocol: }]"),
    ("container", "ports: [{containerPort: 0x50}]"),
    ("container", "resources: {limits: {cpu: 0.5, memory: 64Mi}}"),
    ("container", "resources: {limits: {cpu: 100m, memory: 1e3}}"),
    ("container", "livenessProbe: {httpGet: {port: web}}"),
    ("container", "livenessProbe: {httpGet: {port: 80}}"),
];

/// A Pod with a fragment at a place.
pub(crate) fn with(place: &str, fragment: &str) -> String {
    let at = |part: &str| if part == place { format!(", {fragment}") } else { String::new() };
    let root = if place.is_empty() { format!("{fragment}\n") } else { String::new() };
    format!(
        "kind: Pod\nmetadata: {{name: p{}}}\nspec: {{containers: [{{name: c, image: i{}}}]{}}}\n{}{root}",
        at("metadata"),
        at("container"),
        at("spec"),
        if place == "status" { format!("status: {{{fragment}}}\n") } else { String::new() },
    )
}

/// A status's addresses, and the `podIPs` that the API server keeps of them; none if it refuses them.
pub(crate) const ADDRESSES: [(&str, Option<&[&str]>); 14] = [
    ("podIP: 10.0.0.1", Some(&["10.0.0.1"])),
    ("podIPs: [{ip: 10.0.0.2}]", Some(&["10.0.0.2"])),
    ("podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]", Some(&["10.0.0.1", "fd00::1"])),
    ("podIPs: [{ip: 'fd00::1'}, {ip: 10.0.0.1}]", Some(&["fd00::1", "10.0.0.1"])),
    // If they differ, podIP counts.
    ("podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.2}]", Some(&["10.0.0.1"])),
    ("podIP: 'fd00::1', podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]", Some(&["fd00::1"])),
    ("podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.2}, {ip: 10.0.0.3}]", Some(&["10.0.0.1"])),
    ("podIPs: [{ip: 10.0.0.1}, {ip: 10.0.0.2}]", None),
    ("podIPs: [{ip: 10.0.0.1}, {ip: 10.0.0.1}]", None),
    ("podIPs: [{ip: 'fd00::1'}, {ip: 10.0.0.1}, {ip: 'fd00::2'}]", None),
    ("podIPs: [{ip: 10.0.0.1}, {ip: '::ffff:10.0.0.2'}]", None),
    ("podIPs: [{}]", None),
    ("podIPs: [{ip: ''}]", None),
    ("podIPs: [null]", None),
];

/// Node addresses that the API server refuses.
pub(crate) const HOST_ADDRESSES: [&str; 2] =
    ["hostIP: 10.0.0.1, hostIPs: [{ip: 10.0.0.2}]", "hostIP: 10.0.0.1, hostIPs: [{ip: 10.0.0.1}, {ip: 10.0.0.2}]"];

/// Annotations, and whether the API server takes them.
pub(crate) fn annotations() -> Vec<(String, bool)> {
    let one = |len: usize| format!("annotations: {{a: {}}}", "x".repeat(len));
    let two = |len: usize| format!("annotations: {{a: {}, bb: 'é'}}", "x".repeat(len));
    let long = "n".repeat(64);
    vec![
        (one(262_143), true),
        (one(262_144), false),
        (two(262_139), true),
        (two(262_140), false),
        ("annotations: {A.io/b: x, a.io/B: v, Upper: w}".to_owned(), true),
        ("annotations: {a/b/c: x}".to_owned(), false),
        ("annotations: {-a: x}".to_owned(), false),
        ("annotations: {a_b.io/c: x}".to_owned(), false),
        ("annotations: {'': x}".to_owned(), false),
        (format!("annotations: {{{long}: x}}"), false),
        ("labels: {A.io/b: x}".to_owned(), false),
        ("labels: {a.io/B: x}".to_owned(), true),
    ]
}
