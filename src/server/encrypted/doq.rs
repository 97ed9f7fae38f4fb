//! DNS over QUIC (RFC 9250): a stream a query.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{Connection, ReadToEndError, RecvStream, SendStream, VarInt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::metrics::Transport;
use crate::server::Responder;
use crate::server::stream::{IDLE_WAIT, MESSAGE_WAIT};
use crate::wire::Received;

/// Why a connection or a stream ends (RFC 9250 §8.4).
const NO_ERROR: VarInt = VarInt::from_u32(0);
const INTERNAL_ERROR: VarInt = VarInt::from_u32(1);
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);

/// The most that a stream carries: a length and the longest message.
const STREAM_LEN_MAX: usize = 2 + 65535;

/// One connection, until either side is done with it or no query comes for a while.
pub(super) async fn converse(connection: Connection, responder: &Arc<Responder>, mut closing: watch::Receiver<bool>) {
    let client = connection.remote_address();
    let mut queries = JoinSet::new(); // no more than QUIC lets streams be open
    loop {
        let accepted = tokio::select! {
            biased; // what was sent before the end is still answered
            accepted = timeout(IDLE_WAIT, connection.accept_bi()) => accepted,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let Ok(Ok((mut send, receive))) = accepted else { break };
        let (connection, responder) = (connection.clone(), responder.clone());
        queries.spawn(async move {
            // A stream that is only dropped ends as one that has said all.
            match timeout(MESSAGE_WAIT, answer(&mut send, receive, client, &responder)).await {
                Ok(Ok(())) => {}
                Ok(Err(ProtocolError)) => {
                    connection.close(PROTOCOL_ERROR, b"");
                    drop(send.reset(PROTOCOL_ERROR));
                }
                Err(_) => drop(send.reset(INTERNAL_ERROR)),
            }
        });
        while queries.try_join_next().is_some() {}
    }
    while queries.join_next().await.is_some() {}
    connection.close(NO_ERROR, b"");
}

/// The client breaks the protocol, which ends its connection (RFC 9250 §4.3.3).
struct ProtocolError;

async fn answer(
    send: &mut SendStream,
    mut receive: RecvStream,
    client: SocketAddr,
    responder: &Responder,
) -> Result<(), ProtocolError> {
    let framed = match receive.read_to_end(STREAM_LEN_MAX).await {
        Ok(framed) => framed,
        Err(ReadToEndError::TooLong) => return Err(ProtocolError),
        Err(ReadToEndError::Read(_)) => return Ok(()), // it has thought better of it, or is gone
    };
    let (len, message) = framed.split_first_chunk::<2>().ok_or(ProtocolError)?;
    if usize::from(u16::from_be_bytes(*len)) != message.len() {
        return Err(ProtocolError);
    }
    let received = responder.read(message);
    let (id, edns) = match &received {
        Received::Nothing => return Err(ProtocolError),
        Received::Malformed(malformed) => (malformed.id, malformed.edns),
        Received::Query(query) => (query.id, query.edns),
    };
    if id != 0 || edns.is_some_and(|edns| edns.has_keepalive) {
        return Err(ProtocolError);
    }
    let mut reply = vec![0; 2];
    if responder.respond_by_hickory(message, &received, client, Transport::Quic, &mut reply).is_none() {
        return Err(ProtocolError);
    }
    let len = (reply.len() - 2) as u16;
    reply[..2].copy_from_slice(&len.to_be_bytes());
    if send.write_all(&reply).await.is_ok() && send.finish().is_ok() {
        let _ = send.stopped().await; // until it has arrived: the connection may be closed behind us
    }
    Ok(())
}
