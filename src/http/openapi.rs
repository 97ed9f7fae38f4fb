//! `GET /v1/openapi.json`: the API as an OpenAPI 3.1 document. A test compares it with the routes.

use axum::http::header;
use axum::response::{IntoResponse, Response};

pub(super) const PATH: &str = "/v1/openapi.json";

const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_path_of_the_api_is_in_it_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).expect("JSON");
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
        let told: BTreeSet<&str> = document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
        let served = crate::http::routes().map(|(path, _)| path);
        let served: BTreeSet<&str> = served.into_iter().filter(|path| path.starts_with("/v1/")).collect();
        assert_eq!(told, served);
    }
}
