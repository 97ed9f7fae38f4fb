//! DNS over QUIC (RFC 9250): one stream per query.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::budget::{BudgetExceeded, BufferedQuery, ConnectionBudget};
use crate::server::clients::permits::ConnectionPermit;
use crate::server::listen::canonical;
use crate::server::tcp::{IDLE_WAIT, MESSAGE_WAIT};
use crate::server::{Responder, Transport};

/// Error codes of connections and streams (RFC 9250 §8.4).
const NO_ERROR: VarInt = VarInt::from_u32(0);
const INTERNAL_ERROR: VarInt = VarInt::from_u32(1);
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);

/// The most bytes of a stream: a length and the longest message.
const STREAM_LEN_MAX: usize = 2 + 65535;

/// Serves one connection until either side closes it or no query arrives for a while.
pub(super) async fn converse(
    connection: Connection,
    permit: &ConnectionPermit,
    responder: &Arc<Responder>,
    mut closing: watch::Receiver<bool>,
) {
    let client = canonical(connection.remote_address());
    let budget = Arc::new(ConnectionBudget::new());
    let mut queries = JoinSet::new(); // bounded by QUIC's limit of open streams
    loop {
        let accepted = tokio::select! {
            biased; // queries sent before the end still get answers
            accepted = timeout(IDLE_WAIT, connection.accept_bi()) => accepted,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let Ok(Ok((mut send, receive))) = accepted else { break };
        permit.record_activity();
        let (connection, budget, responder) = (connection.clone(), budget.clone(), responder.clone());
        queries.spawn(async move {
            if let Err(CloseReason(code)) = answer(&mut send, receive, client, &budget, &responder).await {
                budget.close();
                connection.close(code, b"");
            }
        });
        while queries.try_join_next().is_some() {}
    }
    if connection.close_reason().is_some() {
        queries.abort_all(); // the client is gone
    }
    while queries.join_next().await.is_some() {}
    connection.close(NO_ERROR, b"");
}

/// The client violates the protocol or takes too much. This ends its connection (RFC 9250 §4.3.3, §4.3.4).
struct CloseReason(VarInt);

async fn answer(
    send: &mut SendStream,
    receive: RecvStream,
    client: SocketAddr,
    budget: &ConnectionBudget,
    responder: &Responder,
) -> Result<(), CloseReason> {
    let Ok(read) = timeout(MESSAGE_WAIT, read(receive, budget)).await else {
        drop(send.reset(INTERNAL_ERROR)); // a stream that is only dropped would end as if complete
        return Ok(());
    };
    let Some(query) = read? else { return Ok(()) };
    let composed = budget.reply(|reply| compose(&query, client, responder, reply)).await;
    let Some((composed, reply)) = composed else {
        drop(send.reset(INTERNAL_ERROR)); // the client reads the other replies too slowly
        return Ok(());
    };
    composed?;
    drop(query);
    match timeout(MESSAGE_WAIT, send.write_all(&reply)).await {
        Ok(Ok(())) => drop(reply), // QUIC has the reply, within its send window
        Ok(Err(_)) => return Ok(()),
        Err(_) => return Err(CloseReason(EXCESSIVE_LOAD)),
    }
    // Waits until the reply has arrived, because the caller may close the connection.
    if send.finish().is_ok() && timeout(MESSAGE_WAIT, send.stopped()).await.is_err() {
        drop(send.reset(INTERNAL_ERROR));
    }
    Ok(())
}

/// Reads a query after its length. `None` if the client cancels it or is gone.
async fn read(mut receive: RecvStream, budget: &ConnectionBudget) -> Result<Option<BufferedQuery>, CloseReason> {
    let mut query = budget.query();
    loop {
        match receive.read_chunk(usize::MAX, true).await {
            Ok(Some(part)) if query.len() + part.bytes.len() > STREAM_LEN_MAX => {
                return Err(CloseReason(PROTOCOL_ERROR));
            }
            Ok(Some(part)) => query.extend(&part.bytes).map_err(|BudgetExceeded| CloseReason(EXCESSIVE_LOAD))?,
            Ok(None) => return Ok(Some(query)),
            Err(_) => return Ok(None),
        }
    }
}

/// Appends a length and the reply.
fn compose(framed: &[u8], client: SocketAddr, responder: &Responder, reply: &mut Vec<u8>) -> Result<(), CloseReason> {
    let broken = CloseReason(PROTOCOL_ERROR);
    let Some((len, message)) = framed.split_first_chunk::<2>() else { return Err(broken) };
    if usize::from(u16::from_be_bytes(*len)) != message.len() {
        return Err(broken);
    }
    reply.extend_from_slice(&[0; 2]);
    if responder.respond(&responder.zone.snapshot.load(), message, client, Transport::Quic, reply).is_none() {
        return Err(broken);
    }
    let len = (reply.len() - 2) as u16;
    reply[..2].copy_from_slice(&len.to_be_bytes());
    Ok(())
}
