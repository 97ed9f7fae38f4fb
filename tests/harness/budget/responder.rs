//! Answers from a zone.

use std::sync::Arc;

use callsign::server::Responder;
use callsign::server::clients::ClientPolicy;
use callsign::snapshot::PublishedZone;

use super::zone::Zone;

impl Zone {
    /// A responder that answers from the zone.
    pub(crate) fn responder(&self) -> Responder {
        Responder {
            zone: Arc::new(PublishedZone::new(self.snapshot.clone())),
            nsid: b"budget".as_slice().into(),
            clients: ClientPolicy::default(),
            counters: Arc::default(),
            logs_queries: false,
        }
    }
}
