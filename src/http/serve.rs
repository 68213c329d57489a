//! Connections: how many, how long they may take to say what they want, and their end.
//!
//! Invariant: a connection that says nothing, or too slowly, or too much before its body, is closed.

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

/// Most bytes of a request's head, and most headers.
const HEAD_BYTES: usize = 64 * 1024;
const HEADERS: usize = 100;
/// Streams of one HTTP/2 connection.
const STREAMS: u32 = 200;

/// Bounds of connections.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    pub most: usize,
    /// Time for a request's head.
    pub header_timeout: Duration,
}

/// Serve until the handle says to stop.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections: Connections,
    handle: Handle<SocketAddr>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let limited = Limited { permits: Arc::new(Semaphore::new(connections.most)) };
    let mut server = axum_server::from_tcp(listener)?
        .handle(handle)
        .first_request_timeout(connections.header_timeout)
        .acceptor(limited);
    let builder = server.http_builder();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(connections.header_timeout)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .keep_alive_timeout(connections.header_timeout);
    server.serve(router.into_make_service()).await
}

/// Lets in so many connections at once, and closes the others.
#[derive(Clone)]
struct Limited {
    permits: Arc<Semaphore>,
}

/// A connection's service, holding its permit.
#[derive(Clone)]
pub struct Held<S> {
    service: S,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl<S, R> tower::Service<R> for Held<S>
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

impl<S> Accept<TcpStream, S> for Limited {
    type Stream = TcpStream;
    type Service = Held<S>;
    type Future = std::future::Ready<io::Result<(TcpStream, Held<S>)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let accepted = match self.permits.clone().try_acquire_owned() {
            // Small events must not wait for more to be sent with them.
            Ok(permit) => stream.set_nodelay(true).map(|()| (stream, Held { service, _permit: Arc::new(permit) })),
            Err(_) => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "too many connections")),
        };
        std::future::ready(accepted)
    }
}
