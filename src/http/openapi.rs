//! `GET /v1/openapi.json`: the API as an OpenAPI 3.1 document. A test holds it against what is served.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// Where the document is.
pub(super) const PATH: &str = "/v1/openapi.json";

/// The document.
const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
