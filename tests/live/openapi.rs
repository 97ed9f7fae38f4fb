//! Compares the OpenAPI document with the served API: every path, parameter and field, and no others.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::site::SITE;
use super::watch::Stream;

struct Document {
    root: Value,
    /// The fields seen in answers, as `Schema.field`.
    seen: BTreeSet<String>,
}

impl Document {
    fn served() -> Document {
        let (status, body) = SITE.server.get("/v1/openapi.json");
        assert_eq!(status, 200);
        Document { root: serde_json::from_str(&body).expect("JSON"), seen: BTreeSet::new() }
    }

    /// The schema of a node, and the last part of its reference.
    fn resolve(&self, node: &Value) -> (Value, String) {
        let Some(reference) = node.get("$ref").map(|reference| reference.as_str().expect("a text")) else {
            return (node.clone(), String::new());
        };
        assert_eq!(node.as_object().map(serde_json::Map::len), Some(1), "a reference has no siblings: {node}");
        let pointer = reference.strip_prefix('#').expect("a reference within the document");
        let found = self.root.pointer(pointer).unwrap_or_else(|| panic!("nothing is at {reference}"));
        (found.clone(), pointer.rsplit('/').next().expect("a name").to_owned())
    }

    /// Panics if a value does not match a schema (JSON Schema 2020-12, the keywords that the document uses).
    fn check(&mut self, schema: &Value, value: &Value, place: &str) {
        let (schema, name) = self.resolve(schema);
        let schema = schema.as_object().expect("a schema");
        for (keyword, rule) in schema {
            match keyword.as_str() {
                "type" => {
                    let types = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                    assert!(types.iter().any(|kind| is_of(value, kind)), "{place}: {value} is not {rule}");
                }
                "required" => {
                    for field in rule.as_array().expect("a list") {
                        let field = field.as_str().expect("a name");
                        assert!(value.get(field).is_some(), "{place}: no {field} in {value}");
                    }
                }
                "items" => {
                    for item in value.as_array().expect("a list") {
                        self.check(rule, item, &format!("{place}[]"));
                    }
                }
                "properties" | "additionalProperties" => {} // below, together
                "enum" => {
                    assert!(rule.as_array().expect("a list").contains(value), "{place}: {value} is not in {rule}")
                }
                "minimum" => assert!(value.as_u64() >= rule.as_u64(), "{place}: {value}"),
                "description" => assert!(rule.is_string()),
                other => panic!("{place}: the keyword {other} is not checked here"),
            }
        }
        for (field, value) in value.as_object().into_iter().flatten() {
            match (schema.get("properties").and_then(|fields| fields.get(field)), schema.get("additionalProperties")) {
                (Some(rule), _) => {
                    self.seen.insert(format!("{name}.{field}"));
                    self.check(rule, value, &format!("{place}.{field}"));
                }
                (None, Some(rule @ Value::Object(_))) => self.check(rule, value, &format!("{place}.*")),
                (None, rule) => assert!(rule.is_none() && name.is_empty(), "{place}: {field} is not in the document"),
            }
        }
    }

    fn check_answer(&mut self, path: &str, status: &str, media: &str, value: &Value) {
        let (response, _) = self.resolve(&self.root["paths"][path]["get"]["responses"][status].clone());
        let schema = response["content"][media]["schema"].clone();
        assert!(schema.is_object(), "{path}: no schema for {status}");
        self.check(&schema, value, path);
    }

    /// The names of a path's parameters of a kind.
    fn parameters(&self, path: &str, kind: &str) -> BTreeSet<String> {
        let parameters = self.root["paths"][path]["get"]["parameters"].as_array().cloned().unwrap_or_default();
        let parameters = parameters.iter().map(|parameter| self.resolve(parameter).0);
        let of_kind = parameters.filter(|parameter| parameter["in"] == kind);
        of_kind.map(|parameter| parameter["name"].as_str().expect("a name").to_owned()).collect()
    }
}

fn is_of(value: &Value, kind: &Value) -> bool {
    match kind.as_str().expect("a type") {
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not checked here"),
    }
}

fn get(path: &str) -> (u16, Value) {
    let (status, body) = SITE.server.get(path);
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
}

#[test]
fn the_answers_match_the_openapi_document() {
    let mut document = Document::served();
    for (path, asked) in [
        ("/v1/interfaces", "/v1/interfaces"),
        ("/v1/interfaces", "/v1/interfaces?limit=1"),
        ("/v1/endpoints", "/v1/endpoints?limit=1"),
        ("/v1/endpoints", "/v1/endpoints"),
        ("/v1/pods", "/v1/pods?limit=1"),
        ("/v1/pods", "/v1/pods"),
        ("/v1/pods/{namespace}/{name}", "/v1/pods/default/greeter-0"),
        ("/v1/bad", "/v1/bad?limit=1"),
        ("/v1/bad", "/v1/bad"),
        ("/v1/openapi.json", "/v1/openapi.json"),
    ] {
        let (status, value) = get(asked);
        assert_eq!(status, 200, "{asked}");
        document.check_answer(path, "200", "application/json", &value);
    }
    for (path, asked) in [
        ("/v1/interfaces", "/v1/interfaces?nope=1"),
        ("/v1/endpoints", "/v1/endpoints?limit=0"),
        ("/v1/pods", "/v1/pods?limit=-1"),
        ("/v1/bad", "/v1/bad?continue=x"),
        ("/v1/watch", "/v1/watch"),
        ("/v1/watch", "/v1/watch?interface="),
        ("/v1/watch", "/v1/watch?interface=a&group=b&group=c"),
    ] {
        let (status, value) = get(asked);
        assert_eq!(status, 400, "{asked}: {value}");
        document.check_answer(path, "400", "application/json", &value);
    }
    let event = Stream::open(SITE.server.http, "interface=org.acme.Greeter", None).next();
    document.check(&json!({ "$ref": "#/components/schemas/WatchedSet" }), &event.data, "event: set");
    let change = json!({ "interface": "a.b", "added": event.data["endpoints"], "changed": [], "removed": [] });
    document.check(&json!({ "$ref": "#/components/schemas/WatchedChange" }), &change, "event: change");

    let schemas = document.root["components"]["schemas"].as_object().expect("schemas");
    let fields = schemas.iter().flat_map(|(name, schema)| {
        schema["properties"].as_object().expect("fields").keys().map(move |field| format!("{name}.{field}"))
    });
    let unseen: Vec<String> = fields.filter(|field| !document.seen.contains(field)).collect();
    assert_eq!(unseen, Vec::<String>::new(), "in the document, and in no answer");
}

#[test]
fn the_parameters_match_the_openapi_document() {
    let document = Document::served();
    for (path, required) in [
        ("/v1/interfaces", ""),
        ("/v1/endpoints", ""),
        ("/v1/pods", ""),
        ("/v1/bad", ""),
        ("/v1/watch", "interface=a&"),
    ] {
        // The refusal of an unknown parameter names the known ones.
        let (status, refusal) = get(&format!("{path}?{required}no-such=1"));
        assert_eq!(status, 400);
        let refusal = refusal["error"].as_str().expect("a text").to_owned();
        let names = refusal.split_once("expected").expect("what there is").1;
        let taken: BTreeSet<String> = names.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert_eq!(document.parameters(path, "query"), taken, "{path}: {refusal}");
    }
    for path in document.root["paths"].as_object().expect("paths").keys() {
        let placed: BTreeSet<String> =
            path.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0.to_owned())).collect();
        assert_eq!(document.parameters(path, "path"), placed, "{path}");
    }
}
