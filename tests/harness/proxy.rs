//! A TCP proxy whose connections a test can cut.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};

/// Forwards connections from one loopback port to another. Dropping it cuts them all and closes the port.
pub(crate) struct Proxy {
    port: u16,
    /// The streams of both sides. `None` after the end.
    streams: Arc<Mutex<Option<Vec<TcpStream>>>>,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on `port` and connects to `target`.
    pub(crate) fn start(port: u16, target: u16) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("listen for a proxy");
        let streams = Arc::new(Mutex::new(Some(Vec::new())));
        let shared = streams.clone();
        let accepting = spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut streams = shared.lock().expect("the streams");
                let Some(streams) = streams.as_mut() else { return };
                match connect(stream, target) {
                    Ok(both) => streams.extend(both),
                    Err(error) => eprintln!("proxy to {target}: {error}"),
                }
            }
        });
        Proxy { port, streams, accepting: Some(accepting) }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let streams = self.streams.lock().expect("the streams").take();
        for stream in streams.into_iter().flatten() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // One more connection wakes the thread, which then ends and closes the port.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

fn connect(client: TcpStream, target: u16) -> io::Result<[TcpStream; 2]> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, target))?;
    for (from, to) in [(&client, &server), (&server, &client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    Ok([client, server])
}
