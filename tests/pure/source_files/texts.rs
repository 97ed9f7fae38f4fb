//! Streams of documents. The fuzz target begins with them.

/// A Pod, in YAML.
pub(crate) fn pod(name: &str) -> String {
    format!(
        "kind: Pod\nmetadata:\n  name: {name}\n  labels: {{app.io/label: app.io-value}}\n  annotations: {{app.io/annotation: W10=}}\n\
         status: {{podIP: 10.0.0.1}}\n"
    )
}

/// Streams as tools write them and as people join them: what each is, its text, the uids of its Pods, and what else it has.
pub(crate) fn streams() -> Vec<(&'static str, String, Vec<&'static str>, &'static str)> {
    let json = |name: &str| format!("{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"{name}\"}}}}");
    let pretty =
        |name: &str| format!("{{\n  \"kind\": \"Pod\",\n  \"metadata\": {{\n    \"name\": \"{name}\"\n  }}\n}}\n");
    let flow = |name: &str| format!("{{kind: Pod, metadata: {{name: {name}}}}}");
    let (p, q, r) = ("default/p", "default/q", "default/r");
    vec![
        ("flow", flow("p"), vec![p], "none"),
        ("flow, documents", format!("{}\n---\n{}\n", flow("p"), flow("q")), vec![p, q], "none"),
        ("flow over lines", "{kind: Pod, # a brace: }\n metadata: {name: p,\n annotations: {a: '}'}},}\n---\n{kind: Pod, metadata: {name: q}}".into(), vec![p, q], "none"),
        ("flow with JSON's quotes", "{\"kind\": Pod, \"metadata\": {\"name\": p}}\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("flow with both quotes", "{\"kind\": 'Pod', \"metadata\": {\"name\": 'p'}}\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("a brace in other quotes", "{\"kind\": \"Pod\", \"metadata\": {\"annotations\": {\"a\": '}} it''s {'}, \"name\": \"p\"}}\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("a quote in other quotes", "{\"kind\": \"Pod\", \"metadata\": {\"annotations\": {\"a\": '\"', \"b\": '}}}\"'}, \"name\": \"p\"}} # c\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("a brace in a comment", "{\"kind\": \"Pod\", # }\n \"metadata\": {\"name\": \"p\"}} # }\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("a brace that opens in a comment", "{\"kind\": \"Pod\", # {\n \"metadata\": {\"name\": \"p\"}}\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("a quote in a comment", "{\"kind\": \"Pod\", # 5\" }\n \"metadata\": {\"name\": \"p\"}, # }\n}\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("a quote in a text", "{\"kind\": \"Pod\", \"metadata\": {\"annotations\": {\"a\": 5\" wide, \"b\": \"} \"}, \"name\": \"p\"}}\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("a list with braces in quotes", "{\"kind\": \"List\", \"items\": [{\"kind\": 'Pod', \"metadata\": {\"name\": 'p', \"annotations\": {\"a\": '}]}'}}},\n# }]}\n{\"kind\": \"Pod\", \"metadata\": {\"name\": \"q\"}}]}".to_owned(), vec![p, q], "none"),
        ("JSON, one behind another", format!("{}{}\n{}", json("p"), json("q"), json("r")), vec![p, q, r], "none"),
        ("JSON between separators", format!("{}\n---\n{}\n---\n", json("p"), json("q")), vec![p, q], "none"),
        ("pretty JSON, one behind another", pretty("p") + &pretty("q"), vec![p, q], "none"),
        ("both", format!("{}\n---\n{}---\n{}", pretty("p"), pod("q"), flow("r")), vec![p, q, r], "none"),
        ("YAML and then JSON", format!("{}---\n{}{}", pod("p"), json("q"), json("r")), vec![p, q, r], "none"),
        ("comments", format!("# a\n\n---\n# b\n{}\n# c\n---\n  # d\n{}# e\n", json("p"), pod("q")), vec![p, q], "none"),
        ("empty documents", format!("---\n---\n...\n---\n{}---\n---\n# c\n---\n~\n", pod("p")), vec![p], "none"),
        ("ends of documents", format!("{}...\n---\n{}...\n# c\n\n--- # d\n{}...\n", pod("p"), pod("q"), pod("r")), vec![p, q, r], "none"),
        ("a directive behind an end", format!("{}...\n%YAML 1.1\n---\n{}", pod("p"), pod("q")), vec![p, q], "none"),
        ("separators with blanks", format!("--- \n{}---\t# c\n{}", pod("p"), pod("q")), vec![p, q], "none"),
        ("no separator in a text", format!("kind: Pod\nmetadata:\n name: p\n annotations:\n  x: |\n   --- no\n   ---\n---\n{}", pod("q")), vec![p, q], "none"),
        ("indented", "  kind: Pod\n  metadata:\n    name: p\n".to_owned(), vec![p], "none"),
        ("a mark before YAML", format!("\u{feff}{}", pod("p")), vec![p], "none"),
        ("a mark before JSON", format!("\u{feff}{}\u{feff}{}\n\u{feff}{}", json("p"), json("q"), json("r")), vec![p, q, r], "none"),
        ("marks before separators", format!("\u{feff}---\n{}\u{feff}---\n{}---\n\u{feff}{}", pod("p"), pod("q"), json("r")), vec![p, q, r], "none"),
        ("a list in a list", format!("{{\"kind\":\"List\",\"items\":[{},{{\"kind\":\"List\",\"items\":[{},{{\"kind\":\"PodList\",\"items\":[{{\"metadata\":{{\"name\":\"r\"}}}}]}}]}}]}}", json("p"), json("q")), vec![p, q, r], "none"),
        ("a list in a list, YAML", "kind: List\nitems:\n- kind: List\n  items:\n  - {kind: Pod, metadata: {name: p}}\n  - {kind: Job}\n- {kind: Pod, metadata: {name: q}}\n".to_owned(), vec![p, q], "1 Job"),
        ("an empty list", "kind: List\nitems: []\n---\nkind: PodList\nitems: null\n".to_owned(), vec![], "none"),
        ("aliases that multiply a text", format!("kind: List\nitems:\n- {{kind: Pod, metadata: {{name: p, annotations: &a {{x: {}}}}}}}\n- {{kind: Pod, metadata: {{name: q, annotations: *a}}}}\n- {{kind: Pod, metadata: {{name: r, annotations: *a}}}}\n", "y".repeat(2_000)), vec![p, q, r], "none"),
        ("other kinds", format!("kind: Service\n---\nkind: Deployment\n---\n{}---\n{{\"kind\":\"Deployment\"}}{{\"kind\":\"Deployment\"}}", pod("p")), vec![p], "3 Deployment, 1 Service"),
        ("anchors", "kind: Pod\nmetadata: {name: p, labels: &l {a: b}, annotations: *l}\n---\nkind: Pod\nmetadata: {name: q}\n".to_owned(), vec![p, q], "none"),
    ]
}

/// Streams whose second document is broken. The other ones are the Pods `p` and `q`.
pub(crate) fn broken() -> Vec<String> {
    let json = |name: &str| format!("{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"{name}\"}}}}");
    let (p, q) = (json("p"), json("q"));
    vec![
        format!("{p}\n{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"b\"}},,}}\n{q}\n"),
        format!("{p}\n{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"b\"}}\n{q}\n"),
        format!("{p}\n{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"b}}}}\n{q}\n"),
        format!("{p}\n---\n{{\"kind\":\"Pod\",\"metadata\":{{\"na\n---\n{q}\n"),
        format!("{p}\n---\n{{kind: Pod, metadata: {{name: [}}\n---\n{q}\n"),
        format!("{p}\n---\n{{\"kind\": 'Pod', \"metadata\": {{\"name\": 'b}}}}\n---\n{q}\n"),
        format!("{p}\n{{\"kind\": 'Pod', \"metadata\": {{\"name\": 'b}}}}\n{q}\n"),
        format!("{p}\n{{\"kind\": \"Pod\", # \"metadata\": {{\"name\": \"b\"}}}}\n{q}\n"),
        format!("{p}\n{{\"kind\": 'Pod', \"metadata\": {{\"name\": 'b', \"name\": 'c'}}}}\n---\n{q}\n"),
        format!("{p}\n---\nkind: Pod\nmetadata: [\n---\n{q}\n"),
        format!("{p}\n---\nkind: Pod\n\tmetadata: x\n---\n{q}\n"),
        format!("{p}\n---\ntext\n---\n{q}\n"),
        format!("{p}}}\n---\n{q}"),
        format!(
            "{p}\n{{\"kind\":\"Service\",\"kind\":\"Service\",\"metadata\":\n{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"b\"}}}}\n}}\n{q}\n"
        ),
        format!("{p}\n---\nkind: List\nitems: {{}}\n---\n{q}\n"),
        format!("{p}\n---\nkind: List\nitems: [[]]\n---\n{q}\n"),
        format!("{p}\n--- {{kind: Pod, metadata: {{name: b}}}}\n---\n{q}\n"),
        format!("{p}\n--- !!map\n{}---\n{q}\n", pod("b")),
        format!("{p}\n---\ttext # c\n---\n{q}\n"),
        format!("{p}\n%YAML 1.2\n---\n{q}\n"),
        format!("{p}\n---\n# c\n%TAG ! tag:x,2000:\n{}---\n{q}\n", pod("b")),
        format!("{}...\n{}---\n{q}\n", pod("p"), pod("b")),
        format!("{}... {{kind: Pod, metadata: {{name: b}}}}\n---\n{q}\n", pod("p")),
    ]
}
