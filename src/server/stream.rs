//! DNS over TCP: one task a connection, queries pipelined (RFC 7766).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::Responder;
use crate::metrics::{Dropped, Transport};
use crate::wire::{self, HEADER_LEN};

/// The most connections at once; one more waits in the kernel's backlog.
pub(super) const CONNECTIONS_MAX: usize = 1024;

/// Connections that the kernel may hold for us before we take them.
const BACKLOG: i32 = 1024;

/// How long a new connection may say nothing.
const FIRST_BYTE_WAIT: Duration = Duration::from_millis(2500);

/// How long a connection may rest between queries: longer than the 10 s that CoreDNS keeps one for reuse.
pub(super) const IDLE_WAIT: Duration = Duration::from_secs(15);

/// How long a message that was begun may take, and how long a reply may wait for its reader.
pub(super) const MESSAGE_WAIT: Duration = Duration::from_secs(5);

/// How long to rest when no connection can be taken, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Replies to pipelined queries are gathered up to so many bytes before they are written.
const WRITE_LEN: usize = 16 * 1024;

/// Binds a listener.
///
/// # Errors
/// What the system says: the address is taken, not ours, or needs a right that the process lacks.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Answers on a listener's connections until told to close, then waits for those that are open to end.
pub async fn serve(listener: TcpListener, responder: Arc<Responder>, closing: watch::Receiver<bool>) {
    let shared = responder.clone();
    accept(listener, Transport::Tcp, responder, closing, move |stream, client, closing| {
        let responder = shared.clone();
        async move {
            let (reader, writer) = stream.into_split();
            converse(reader, writer, client, Transport::Tcp, &responder, closing).await
        }
    })
    .await;
}

/// Takes connections until told to close and hands each to a task of its own; then waits for them to end.
pub(super) async fn accept<C, F>(
    listener: TcpListener,
    transport: Transport,
    responder: Arc<Responder>,
    mut closing: watch::Receiver<bool>,
    converse: C,
) where
    C: Fn(TcpStream, SocketAddr, watch::Receiver<bool>) -> F,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                responder.metrics.dropped(Dropped::Accept);
                tracing::debug!(%error, %transport, "no connection can be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true); // it costs time alone
        let conversation = converse(stream, client, closing.clone());
        let responder = responder.clone();
        tokio::spawn(async move {
            responder.metrics.opened(transport);
            if let Err(error) = conversation.await {
                tracing::debug!(%client, %error, %transport, "a connection ended");
            }
            responder.metrics.closed(transport);
            drop(place);
        });
    }
    drop(listener);
    let _ = timeout(IDLE_WAIT, room.acquire_many(CONNECTIONS_MAX as u32)).await;
}

/// One connection of messages behind their lengths, until either side is done with it.
pub(super) async fn converse(
    reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    client: SocketAddr,
    transport: Transport,
    responder: &Responder,
    mut closing: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    let (mut message, mut replies) = (Vec::new(), Vec::new());
    let mut wait = FIRST_BYTE_WAIT;
    loop {
        let is_open = tokio::select! {
            biased; // what was sent before the end is still answered
            begun = timeout(wait, reader.fill_buf()) => !begun??.is_empty(),
            _ = closing.wait_for(|closing| *closing) => false,
        };
        if !is_open {
            return timeout(MESSAGE_WAIT, writer.shutdown()).await?; // TLS has a last word
        }
        wait = IDLE_WAIT;
        let read = timeout(MESSAGE_WAIT, read_message(&mut reader, &mut message)).await?;
        let start = replies.len();
        replies.extend_from_slice(&[0; 2]);
        if read.is_err() || !respond(responder, &message, client, transport, &mut replies) {
            replies.truncate(start); // no query to answer: whoever speaks so is no client, but was one before
            write(&mut writer, &mut replies).await?;
            return read;
        }
        let len = (replies.len() - start - 2) as u16;
        replies[start..start + 2].copy_from_slice(&len.to_be_bytes());
        if replies.len() >= WRITE_LEN || !has_whole_message(reader.buffer()) {
            write(&mut writer, &mut replies).await?;
        }
    }
}

/// Answers from the zone of the moment, which is let go of before the next wait.
fn respond(
    responder: &Responder,
    message: &[u8],
    client: SocketAddr,
    transport: Transport,
    replies: &mut Vec<u8>,
) -> bool {
    if transport.is_encrypted() {
        return responder.respond_by_hickory(&wire::parse(message), client, transport, replies).is_some();
    }
    responder.respond(&responder.snapshot.load(), message, client, transport, replies)
}

/// Reads one message behind its length (RFC 1035 §4.2.2).
async fn read_message(reader: &mut (impl AsyncRead + Unpin), message: &mut Vec<u8>) -> io::Result<()> {
    let len = usize::from(reader.read_u16().await?);
    if len < HEADER_LEN {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message shorter than its header"));
    }
    message.resize(len, 0);
    reader.read_exact(message).await.map(drop)
}

/// Whether the next query is here already, so that its reply can go with the ones before it.
fn has_whole_message(buffer: &[u8]) -> bool {
    buffer.first_chunk().is_some_and(|len| buffer.len() >= 2 + usize::from(u16::from_be_bytes(*len)))
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), replies: &mut Vec<u8>) -> io::Result<()> {
    timeout(MESSAGE_WAIT, async {
        writer.write_all(replies).await?;
        writer.flush().await // TLS keeps what it has not sent
    })
    .await??;
    replies.clear();
    Ok(())
}
