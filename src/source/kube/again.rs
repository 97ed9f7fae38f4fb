//! Requests single Pods that the index asks for again.

use kube::Client;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::sleep;
use tracing::debug;

use super::Watch;
use super::backoff::Backoff;
use super::fault::Fault;
use super::list::item;
use super::request::{self, Ask, Patience};
use super::split::{Encoding, Shape};
use crate::source::again::Wanted;
use crate::source::{Arrival, Change, Event};

impl Watch {
    /// Requests each wanted Pod, one at a time, and sends it as [`Change::Again`], until the receiver of the events is
    /// gone. A Pod that cannot be read now is skipped: the index asks again.
    pub async fn tell_again(mut self, client: Client, events: Sender<Arrival>, mut wanted: Receiver<Wanted>) {
        let mut backoff = Backoff::default();
        loop {
            let pod = tokio::select! {
                () = events.closed() => return,
                pod = wanted.recv() => pod,
            };
            let Some(pod) = pod else { return };
            match self.again(&client, &events, &pod).await {
                Ok(()) => backoff.reset(),
                Err(Fault::Closed) => return,
                Err(fault) => {
                    debug!(namespace = %pod.namespace, pod = pod.name, "reading a Pod again failed: {fault}");
                    sleep(backoff.wait(fault.retry_after())).await;
                }
            }
        }
    }

    async fn again(&mut self, client: &Client, events: &Sender<Arrival>, wanted: &Wanted) -> Result<(), Fault> {
        let uri = request::uri(Some(&wanted.namespace), self.profile.selector.as_str(), Ask::Pod(&wanted.name));
        let (header, patience) = (self.pace.header, Patience::Between(self.pace.quiet));
        let answer = request::ask(client, &uri, (self.encoding, Shape::List), header, patience).await;
        if let Err(Fault::Refused(refusal)) = &answer
            && refusal.code == 406
        {
            self.encoding = Encoding::Json;
        }
        let mut answer = answer?;
        let encoding = answer.splitter.encoding();
        while answer.fill().await? {
            let received = answer.received();
            while let Some(piece) = answer.splitter.next()? {
                let pod = item(piece, encoding, &self.profile.annotation);
                let Some(pod) = pod.filter(|pod| *pod.uid == *wanted.uid) else { continue };
                let event = Event { source: self.id.clone(), change: Change::Again(Box::new(pod)) };
                events.send(Arrival { event, received, decoded: None }).await.map_err(|_| Fault::Closed)?;
            }
        }
        answer.splitter.envelope()?.end().map(drop)
    }
}
