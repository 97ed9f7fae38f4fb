//! Lists of a server, for the commands.

use http::{StatusCode, Uri, header};
use hyper::body::Bytes;
use serde::de::DeserializeOwned;

use super::connect::{PooledClient, connection};
use super::{DEADLINE, PAGES_MAX, RemoteError, ServerClient};
use crate::api::{LIMIT_MAX, Page};

impl ServerClient {
    /// Requests all pages of a list. Absent parameters are left out of the query.
    ///
    /// # Errors
    /// The list cannot be fetched completely.
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, Option<&str>)],
    ) -> Result<Vec<T>, RemoteError> {
        let connection = connection(&self.address)?;
        let limit = LIMIT_MAX.to_string();
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let query = [query, &[("limit", Some(&*limit)), ("continue", next.as_deref())]].concat();
            let mut page: Page<T> = self.page(&connection, self.uri(path, &query)?).await?;
            items.append(&mut page.items);
            next = page.next;
            if next.is_none() {
                return Ok(items);
            }
        }
        Err(RemoteError::TooLarge { server: self.redacted_url() })
    }

    async fn page<T: DeserializeOwned>(&self, connection: &PooledClient, uri: Uri) -> Result<Page<T>, RemoteError> {
        let (status, body) = match tokio::time::timeout(DEADLINE, self.fetch(connection, uri)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(RemoteError::Late { server: self.redacted_url() }),
        };
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(|error| {
                self.foreign(format!(
                    "the response is not such a list: line {}, column {}",
                    error.line(),
                    error.column()
                ))
            }),
            status => Err(self.refused(status, &body)),
        }
    }

    async fn fetch(&self, connection: &PooledClient, uri: Uri) -> Result<(StatusCode, Bytes), RemoteError> {
        let request = http::Request::get(uri).header(header::ACCEPT, "application/json");
        let answer = self.send(connection, request).await?;
        Ok((answer.status(), self.body(answer.into_body()).await?))
    }

    fn foreign(&self, reason: String) -> RemoteError {
        RemoteError::Foreign { server: self.redacted_url(), reason }
    }
}
