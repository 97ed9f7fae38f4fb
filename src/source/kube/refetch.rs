//! Requests single Pods that the index asks for again.

use kube::Client;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::sleep;
use tracing::debug;

use super::Watch;
use super::body::{BodyEncoding, BodyShape};
use super::fault::WatchFault;
use super::list::item;
use super::request::{self, BodyTimeout, PodsRequest};
use crate::backoff::Backoff;
use crate::source::refetch::RefetchRequest;
use crate::source::{Change, Event};

impl Watch {
    /// Requests each wanted Pod, one at a time, and sends it as [`Change::Refetched`], until the receiver of the events
    /// is gone. A Pod that cannot be read now is skipped: the index asks again.
    pub async fn refetch(mut self, client: Client, events: Sender<Event>, mut wanted: Receiver<RefetchRequest>) {
        let mut backoff = Backoff::default();
        loop {
            let pod = tokio::select! {
                () = events.closed() => return,
                pod = wanted.recv() => pod,
            };
            let Some(pod) = pod else { return };
            match self.refetch_pod(&client, &events, &pod).await {
                Ok(()) => backoff.reset(),
                Err(WatchFault::Closed) => return,
                Err(fault) => {
                    debug!(namespace = %pod.namespace, pod = pod.name, "reading a Pod again failed: {fault}");
                    sleep(backoff.wait(fault.retry_after())).await;
                }
            }
        }
    }

    async fn refetch_pod(
        &mut self,
        client: &Client,
        events: &Sender<Event>,
        wanted: &RefetchRequest,
    ) -> Result<(), WatchFault> {
        let uri = request::uri(Some(&wanted.namespace), self.selector(), PodsRequest::Pod(&wanted.name));
        let (header, body_timeout) = (self.timeouts.header, BodyTimeout::Between(self.timeouts.quiet));
        let response = request::fetch(client, &uri, (self.encoding, BodyShape::List), header, body_timeout).await;
        if let Err(WatchFault::Refused(refusal)) = &response
            && refusal.code == 406
        {
            self.encoding = BodyEncoding::Json;
        }
        let mut response = response?;
        let encoding = response.splitter.encoding();
        while response.fill().await? {
            let received = response.received();
            while let Some(piece) = response.splitter.next()? {
                let pods = item(piece, encoding, &self.profiles).unwrap_or_default();
                for (id, pod) in self.ids.iter().zip(pods).filter(|(_, pod)| *pod.uid == *wanted.uid) {
                    let change = Change::Refetched(pod);
                    let event = Event { source: id.clone(), change, received, decoded: None };
                    events.send(event).await.map_err(|_| WatchFault::Closed)?;
                }
            }
        }
        response.splitter.envelope()?.end().map(drop)
    }
}
