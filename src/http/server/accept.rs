//! The loop that takes connections in.
//!
//! Invariant: it ends only when it is asked to; what keeps a connection from being accepted (no descriptors, a client that
//! is gone already) is no reason.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use socket2::SockRef;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Connections, Room};
use super::places::{Admission, Places};
use crate::http::limits::ConnectionLimits;
use crate::http::log_rate::LogRate;
use crate::metrics;

static LOG: LogRate = LogRate::per_second(1);

/// Pause after an error that does not pass at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that may wait to be accepted, as far as the system allows it. Where more come at once, it drops them without a word, and
/// their clients try again after a second, then after three: too late for a probe.
const BACKLOG: i32 = 4096;

/// Stops a server from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct ServerHandle {
    stop: CancellationToken,
    /// Ends what is left of connections.
    end: CancellationToken,
}

impl ServerHandle {
    /// A handle for one server.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Accept nothing more, and let connections end with what they are at; after `grace`, if given, they are closed.
    pub fn graceful_shutdown(&self, grace: Option<Duration>) {
        self.stop.cancel();
        if let Some(grace) = grace {
            let end = self.end.clone();
            tokio::spawn(async move {
                tokio::time::sleep(grace).await;
                end.cancel();
            });
        }
    }
}

/// Serve until the handle says to stop, and the last connection has ended. On `health`, if given, nothing but health is
/// served.
pub async fn serve(
    listener: TcpListener,
    health: Option<TcpListener>,
    router: Router,
    limits: ConnectionLimits,
    handle: ServerHandle,
) -> io::Result<()> {
    let connections = Arc::new(Connections::new(router, limits, handle.stop.clone(), handle.end.clone()));
    let tracker = TaskTracker::new();
    let places = Places::new(limits.max_connections, limits.max_per_address);
    let main = accept_all(listener, places, connections.clone(), &handle.stop, &tracker);
    match health {
        Some(health) => {
            // No place but the reserve's.
            let health = accept_all(health, Places::new(0, 0), connections, &handle.stop, &tracker);
            let (main, health) = tokio::join!(main, health);
            main.and(health)?;
        }
        None => main.await?,
    }
    tracker.close();
    tracker.wait().await;
    Ok(())
}

async fn accept_all(
    listener: TcpListener,
    places: Arc<Places>,
    connections: Arc<Connections>,
    stop: &CancellationToken,
    tracker: &TaskTracker,
) -> io::Result<()> {
    widen_backlog(&listener)?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    for number in 0.. {
        let accepted = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !is_of_one_connection(&error) {
                    metrics::CONNECTIONS_REFUSED.add(1, ["descriptors"]);
                    if let Some(suppressed) = LOG.allow() {
                        tracing::warn!(%error, log.suppressed = suppressed, "no connection can be accepted for now");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                continue;
            }
        };
        let (places, connections) = (places.clone(), connections.clone());
        tracker.spawn(async move {
            match places.admit(number, peer.ip(), &stream).await {
                Admission::Place(place) => connections.run(stream, peer, Room::Place(place)).await,
                Admission::Reserve(place) => connections.run(stream, peer, Room::Reserve(place)).await,
                Admission::Gone => {}
            }
        });
    }
    Ok(())
}

/// The standard library's listeners have a backlog of 128.
fn widen_backlog(listener: &TcpListener) -> io::Result<()> {
    SockRef::from(listener).listen(BACKLOG)
}

/// Errors that concern the connection that was about to be accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn many_may_wait_to_be_accepted() {
        const ALL: usize = 512;
        let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        if most.trim().parse::<usize>().unwrap() < ALL {
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        widen_backlog(&listener).unwrap();
        let address = listener.local_addr().unwrap();
        // None is accepted. One that is dropped is sent again after a second.
        let patience = Duration::from_millis(900);
        let waiting: Vec<_> = (0..ALL).map(|_| TcpStream::connect_timeout(&address, patience)).collect();
        assert_eq!(waiting.iter().filter(|connected| connected.is_ok()).count(), ALL);
    }
}
