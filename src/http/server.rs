//! Connections: how many there may be, how long a request's head may take, and how they end.
//!
//! Invariant: a connection that is idle, too slow, or whose head is too large, is closed.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::accept::Accept;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::ConnectionLimits;

/// Most bytes of a request's head, and most headers.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// Most concurrent streams of one HTTP/2 connection.
const MAX_STREAMS: u32 = 200;
/// How often an HTTP/2 connection is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Serve until the handle says to stop.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    handle: Handle<SocketAddr>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let gate = ConnectionGate { permits: Arc::new(Semaphore::new(limits.max_connections)) };
    let mut server =
        axum_server::from_tcp(listener)?.handle(handle).first_request_timeout(limits.header_timeout).acceptor(gate);
    let builder = server.http_builder();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(PING_INTERVAL))
        .keep_alive_timeout(limits.header_timeout);
    server.serve(router.into_make_service_with_connect_info::<SocketAddr>()).await
}

/// Accepts connections while there are permits, and closes the others.
#[derive(Clone)]
struct ConnectionGate {
    permits: Arc<Semaphore>,
}

/// A connection's service, with the connection's permit.
#[derive(Clone)]
pub struct PermittedService<S> {
    service: S,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl<S, R> tower::Service<R> for PermittedService<S>
where
    S: tower::Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.service.call(request)
    }
}

impl<S> Accept<TcpStream, S> for ConnectionGate {
    type Stream = TcpStream;
    type Service = PermittedService<S>;
    type Future = std::future::Ready<io::Result<(TcpStream, PermittedService<S>)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let accepted = match self.permits.clone().try_acquire_owned() {
            // Small events must not wait for more data (Nagle).
            Ok(permit) => {
                stream.set_nodelay(true).map(|()| (stream, PermittedService { service, _permit: Arc::new(permit) }))
            }
            Err(_) => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "too many connections")),
        };
        std::future::ready(accepted)
    }
}
