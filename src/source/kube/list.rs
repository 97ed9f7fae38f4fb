//! Lists all Pods: as a stream if the server can, else by pages, and in one response if pages expire.

use std::time::Instant;

use tracing::info;

use super::WatchTask;
use super::body::{BodyEncoding, BodyShape, Piece};
use super::event::{VersionedEvent, WatchEvent};
use super::fault::WatchFault;
use super::json_pod::RawPod;
use super::pod_object::PodObject;
use super::protobuf::PodMessage;
use super::request::{BodyTimeout, PodsRequest};
use crate::source::{Change, ProfilePods, WatchProfile};

/// The Pods of a page: the page size of kubectl and client-go.
const PAGE_LEN: u32 = 500;

/// The method of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// As the first events of a watch (Kubernetes 1.34 by default, etcd 3.4.31, 3.5.13 or later).
    Streaming,
    /// By pages. Their token is valid for some minutes.
    Pages,
    /// In one response, without a token that could expire.
    Whole,
}

impl WatchTask {
    /// Lists, from `Begin` to `Commit`, and keeps the resource version to watch from. `Begin` is sent before the
    /// request: from then on other sources may report newer states than the server reads for this list.
    pub(super) async fn list(&mut self) -> Result<(), WatchFault> {
        self.send(Change::Begin).await?;
        self.is_listing = true;
        let asked = Instant::now();
        let result = match self.method {
            Method::Streaming => self.list_streaming().await,
            Method::Pages => self.list_pages(Some(PAGE_LEN)).await,
            Method::Whole => self.list_pages(None).await,
        };
        match result {
            Ok(version) => {
                self.is_listing = false;
                self.send(Change::Commit).await?;
                self.position = Some(version);
                // The refusal of the best method may have been temporary. But if no watch lasts, no list can be
                // streamed either.
                if !self.fruitless.is_lasting() {
                    self.method = self.watch.method;
                }
                self.is_unproved = false;
                self.has_just_answered = true;
                self.health.commit();
                self.recover(asked);
                Ok(())
            }
            Err(fault) => self.another_way(fault).await,
        }
    }

    /// Chooses the next method after a fault. A server that does not know streaming lists is not a fault.
    async fn another_way(&mut self, fault: WatchFault) -> Result<(), WatchFault> {
        match (&fault, self.method) {
            (WatchFault::Refused(refusal), Method::Streaming) if refusal.is_of_streaming() => {
                info!(source = %self.name(), "the server has no streaming lists, so this list comes by pages ({fault})");
                self.method = Method::Pages;
                // The refusal may have come after the first events. The next list need not name their Pods.
                self.is_listing = false;
                return self.send(Change::Abort).await;
            }
            // The fault says nothing about the method: keep it.
            (WatchFault::Refused(refusal), Method::Streaming) if !refusal.is_of_request() => {}
            (WatchFault::Unreachable(_) | WatchFault::Closed, _) => {}
            (_, Method::Streaming) => self.method = Method::Pages,
            (WatchFault::Refused(refusal), Method::Pages) if refusal.is_expired() => self.method = Method::Whole,
            (_, Method::Pages | Method::Whole) => {}
        }
        Err(fault)
    }

    /// Reads the first events of a watch up to the bookmark that ends them.
    async fn list_streaming(&mut self) -> Result<String, WatchFault> {
        let timeouts = self.watch.timeouts;
        let uri = self.uri(PodsRequest::StreamingList);
        let body_timeout = BodyTimeout::Between(timeouts.quiet);
        let mut response = self.fetch(&uri, BodyShape::Sequence, timeouts.header, body_timeout).await?;
        let encoding = response.splitter.encoding();
        while response.fill().await? {
            self.received = response.received();
            while let Some(piece) = response.splitter.next()? {
                match event(piece, encoding, &self.watch.profiles)? {
                    (WatchEvent::Bookmark { ends_list: true }, Some(version)) => return Ok(version),
                    (event, _) => self.apply(event).await?,
                }
            }
        }
        Err(WatchFault::Broken("the list did not end".to_owned()))
    }

    /// Reads pages up to the last one.
    async fn list_pages(&mut self, limit: Option<u32>) -> Result<String, WatchFault> {
        let mut token: Option<String> = None;
        loop {
            let (version, next) = self.list_page(limit, token.as_deref()).await?;
            match next {
                // A server that answers a token with the same token would loop for ever.
                Some(_) if next == token => return Err(WatchFault::Garbage("the list's pages repeat")),
                Some(_) => token = next,
                None => return Ok(version),
            }
        }
    }

    /// Reads a page. Returns its resource version, and the token of the next page.
    async fn list_page(
        &mut self,
        limit: Option<u32>,
        token: Option<&str>,
    ) -> Result<(String, Option<String>), WatchFault> {
        let timeouts = self.watch.timeouts;
        let uri = self.uri(PodsRequest::Page { limit, token });
        let header = if limit.is_some() { timeouts.header } else { timeouts.whole_list };
        let mut response = self.fetch(&uri, BodyShape::List, header, BodyTimeout::Between(timeouts.quiet)).await?;
        let encoding = response.splitter.encoding();
        let mut is_checked = false;
        while response.fill().await? {
            self.received = response.received();
            while let Some(piece) = response.splitter.next()? {
                let pods = item(piece, encoding, &self.watch.profiles);
                if !is_checked && response.splitter.envelope()?.is_foreign() {
                    return Err(WatchFault::Garbage("the list is of another kind than Pods"));
                }
                is_checked = true;
                self.apply(pods.map_or(WatchEvent::Unreadable, WatchEvent::Apply)).await?;
            }
        }
        response.splitter.envelope()?.end()
    }

    /// Sends an event on.
    pub(super) async fn apply(&mut self, event: WatchEvent) -> Result<(), WatchFault> {
        self.health.record_frame();
        match event {
            WatchEvent::Apply(pods) => self.send_pods(pods).await,
            WatchEvent::Remove(uid) => self.send(Change::Remove(uid)).await,
            WatchEvent::Bookmark { .. } => Ok(()),
            WatchEvent::Unreadable => {
                self.health.count_skipped(1);
                Ok(())
            }
        }
    }
}

/// Parses a list's item. `None` if it is not a Pod.
pub(super) fn item(piece: Piece<'_>, encoding: BodyEncoding, profiles: &[WatchProfile]) -> Option<ProfilePods> {
    let Piece::Object(bytes) = piece else { return None };
    match encoding {
        BodyEncoding::Json => RawPod::read(bytes).ok()?.to_pods(profiles),
        BodyEncoding::Protobuf => PodMessage::read(bytes).ok()?.to_pods(profiles),
    }
}

/// Parses a watch's event. One that is too large is as unreadable as a broken one.
pub(super) fn event(
    piece: Piece<'_>,
    encoding: BodyEncoding,
    profiles: &[WatchProfile],
) -> Result<VersionedEvent, WatchFault> {
    match piece {
        Piece::Object(event) => WatchEvent::read(event, encoding, profiles),
        Piece::Unreadable => Ok((WatchEvent::Unreadable, None)),
    }
}
