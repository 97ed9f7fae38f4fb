//! DNS over TCP: one task a connection, queries pipelined (RFC 7766).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::Responder;
use crate::metrics::{Dropped, Transport};
use crate::wire::HEADER_LEN;

/// The most connections at once; one more waits in the kernel's backlog.
const CONNECTIONS_MAX: usize = 1024;

/// Connections that the kernel may hold for us before we take them.
const BACKLOG: i32 = 1024;

/// How long a new connection may say nothing.
const FIRST_BYTE_WAIT: Duration = Duration::from_millis(2500);

/// How long a connection may rest between queries: longer than the 10 s that CoreDNS keeps one for reuse.
const IDLE_WAIT: Duration = Duration::from_secs(15);

/// How long a message that was begun may take, and how long a reply may wait for its reader.
const MESSAGE_WAIT: Duration = Duration::from_secs(5);

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

/// Takes connections until told to close, then waits for those that are open to end.
pub async fn serve(listener: TcpListener, responder: Arc<Responder>, mut closing: watch::Receiver<bool>) {
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
                tracing::debug!(%error, "no TCP connection can be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (responder, closing) = (responder.clone(), closing.clone());
        tokio::spawn(async move {
            responder.metrics.tcp_opened();
            if let Err(error) = converse(stream, client, &responder, closing).await {
                tracing::debug!(%client, %error, "a TCP connection ended");
            }
            responder.metrics.tcp_closed();
            drop(place);
        });
    }
    drop(listener);
    let _ = timeout(IDLE_WAIT, room.acquire_many(CONNECTIONS_MAX as u32)).await;
}

/// One connection, until either side is done with it.
async fn converse(
    stream: TcpStream,
    client: SocketAddr,
    responder: &Responder,
    mut closing: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
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
            return Ok(());
        }
        wait = IDLE_WAIT;
        let read = timeout(MESSAGE_WAIT, read_message(&mut reader, &mut message)).await?;
        let start = replies.len();
        replies.extend_from_slice(&[0; 2]);
        if read.is_err() || !respond(responder, &message, client, &mut replies) {
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
fn respond(responder: &Responder, message: &[u8], client: SocketAddr, replies: &mut Vec<u8>) -> bool {
    responder.respond(&responder.snapshot.load(), message, client, Transport::Tcp, replies)
}

/// Reads one message behind its length (RFC 1035 §4.2.2).
async fn read_message(reader: &mut BufReader<OwnedReadHalf>, message: &mut Vec<u8>) -> io::Result<()> {
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

async fn write(writer: &mut OwnedWriteHalf, replies: &mut Vec<u8>) -> io::Result<()> {
    timeout(MESSAGE_WAIT, writer.write_all(replies)).await??;
    replies.clear();
    Ok(())
}
