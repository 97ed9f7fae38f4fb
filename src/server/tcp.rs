//! DNS over TCP: one task for each connection, with pipelined queries (RFC 7766).

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use socket2::Type;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::clients::permits::ConnectionPermit;
use super::listen::{Listen, canonical};
use super::{DropReason, Responder, Transport};

/// The most connections that wait in the kernel to be accepted.
const BACKLOG: i32 = 1024;

/// How long a new connection may send nothing.
const FIRST_BYTE_WAIT: Duration = Duration::from_millis(2500);

/// How long a connection may be idle between queries: longer than the 10 s for which CoreDNS keeps one for reuse.
pub(super) const IDLE_WAIT: Duration = Duration::from_secs(15);

/// How long a message may take from its first byte to its last, and how long a reply may wait for the client to read it.
pub(super) const MESSAGE_WAIT: Duration = Duration::from_secs(5);

/// The pause after a failure to accept a connection, for example for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bytes of the length before each message (RFC 1035 §4.2.2).
const LENGTH_LEN: usize = 2;

/// The most bytes of one read, besides the incomplete message before it: a hundred queries of ordinary size. A connection
/// buffers at most twice this and the longest message.
const READ_LEN: usize = 8 * 1024;

/// The number of bytes of replies to pipelined queries that one write collects.
const WRITE_LEN: usize = 16 * 1024;

/// Binds a listener.
///
/// # Errors
/// The address is taken, is not the host's, or needs a privilege that the process lacks.
pub fn bind(listen: Listen) -> io::Result<TcpListener> {
    let socket = listen.socket(Type::STREAM)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&listen.address().into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The client of a connection.
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) permit: ConnectionPermit,
}

/// Answers on a listener's connections until `closing` is set, then waits until the open ones end.
pub async fn serve(listener: TcpListener, responder: Arc<Responder>, closing: watch::Receiver<bool>) {
    let shared = responder.clone();
    accept(listener, Transport::Tcp, responder, closing, move |stream, client, closing| {
        let responder = shared.clone();
        async move {
            let (reader, writer) = stream.into_split();
            converse(reader, writer, &client, Transport::Tcp, &responder, closing).await
        }
    })
    .await;
}

/// Accepts connections until `closing` is set, and starts a task for each. Then waits until they end.
pub(super) async fn accept<C, F>(
    listener: TcpListener,
    transport: Transport,
    responder: Arc<Responder>,
    mut closing: watch::Receiver<bool>,
    converse: C,
) where
    C: Fn(TcpStream, Arc<Client>, watch::Receiver<bool>) -> F,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let permits = responder.clients.permits();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let (stream, address) = match accepted {
            Ok((stream, address)) => (stream, canonical(address)),
            Err(error) => {
                responder.counters.dropped(DropReason::Accept);
                tracing::debug!(%error, %transport, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // If no place is free, this connection waits for the place of the one that has been silent the longest. Later
        // connections wait in the kernel's backlog.
        let ip = address.ip();
        let permit = tokio::select! {
            permit = permits.take(ip, responder.clients.is_trusted(ip)) => permit,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let Some(permit) = permit else {
            responder.counters.dropped(DropReason::ClientFull);
            continue;
        };
        let _ = stream.set_nodelay(true); // without it replies are later, and nothing else changes
        let client = Arc::new(Client { address, permit });
        let conversation = converse(stream, client.clone(), closing.clone());
        let responder = responder.clone();
        tokio::spawn(async move {
            let _open = responder.counters.open(transport);
            tokio::select! {
                ended = conversation => if let Err(error) = ended {
                    tracing::debug!(client = %client.address, %error, %transport, "a connection ended");
                },
                () = client.permit.reclaimed() => responder.counters.dropped(DropReason::Silent),
            }
        });
    }
    drop(listener);
    let _ = timeout(IDLE_WAIT, permits.all_free()).await;
}

/// Answers the messages of one connection, each after its length, until either side closes it.
pub(super) async fn converse(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    client: &Client,
    transport: Transport,
    responder: &Responder,
    mut closing: watch::Receiver<bool>,
) -> io::Result<()> {
    // One timer and one wait for `closing` for each connection: to reset a timer takes no lock, to make one takes two.
    let mut deadline = pin!(sleep(FIRST_BYTE_WAIT));
    let mut closing = pin!(closing.wait_for(|closing| *closing));
    let (mut received, mut replies) = (BytesMut::new(), Vec::new());
    loop {
        // Whether the next message has not begun, or follows one that is complete. Either gives it a new deadline.
        let mut is_next = received.is_empty();
        received.reserve(READ_LEN);
        let is_open = tokio::select! {
            biased; // queries sent before the end still get answers
            read = reader.read_buf(&mut received) => read? > 0,
            () = &mut deadline => return Err(io::ErrorKind::TimedOut.into()),
            _ = &mut closing, if is_next => false,
        };
        if !is_open {
            return timeout(MESSAGE_WAIT, writer.shutdown()).await?; // TLS sends a closing alert
        }
        client.permit.record_activity();
        while let Some(message) = whole_message(&received) {
            let end = LENGTH_LEN + message.len();
            if !respond(responder, message, client.address, transport, &mut replies) {
                // Not a query: close the connection, after the replies to the queries before it.
                return write(&mut writer, &mut replies).await;
            }
            received.advance(end);
            is_next = true;
            if replies.len() >= WRITE_LEN {
                write(&mut writer, &mut replies).await?;
            }
        }
        if !replies.is_empty() {
            write(&mut writer, &mut replies).await?;
        }
        if is_next {
            // A message that was already incomplete before this read keeps its deadline.
            let wait = if received.is_empty() { IDLE_WAIT } else { MESSAGE_WAIT };
            deadline.as_mut().reset(Instant::now() + wait);
        }
    }
}

/// The next message (RFC 1035 §4.2.2). `None` if it is incomplete.
fn whole_message(received: &[u8]) -> Option<&[u8]> {
    let (len, rest) = received.split_first_chunk::<LENGTH_LEN>()?;
    rest.get(..usize::from(u16::from_be_bytes(*len)))
}

/// Appends the reply after its length. Returns false, and appends nothing, if the message gets no reply.
///
/// The reply comes from the current snapshot, which is released before the next wait.
fn respond(
    responder: &Responder,
    message: &[u8],
    client: SocketAddr,
    transport: Transport,
    replies: &mut Vec<u8>,
) -> bool {
    let start = replies.len();
    replies.extend_from_slice(&[0; LENGTH_LEN]);
    if responder.respond(&responder.zone.snapshot.load(), message, client, transport, replies).is_none() {
        replies.truncate(start);
        return false;
    }
    let len = (replies.len() - start - LENGTH_LEN) as u16;
    replies[start..start + LENGTH_LEN].copy_from_slice(&len.to_be_bytes());
    true
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), replies: &mut Vec<u8>) -> io::Result<()> {
    timeout(MESSAGE_WAIT, async {
        writer.write_all(replies).await?;
        writer.flush().await // TLS buffers what it has not sent
    })
    .await??;
    replies.clear();
    Ok(())
}
