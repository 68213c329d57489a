//! One connection, from its first byte to its last.
//!
//! Invariant: it ends when its client is too slow, when it has to make room and when the server stops, and what it holds is
//! freed with it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, Method, Response, Version, header};
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::bodies::{RequestGuard, WatchedRequest, WatchedResponse};
use super::places::PlaceGuard;
use super::refusals;
use super::stall::Streams;
use super::stream::{CommentWanted, WatchedStream};
use super::watch::{End, Watch};
use crate::http::budget::Budget;
use crate::http::client::ClientId;
use crate::http::error::problem::Problem;
use crate::http::limits::ConnectionLimits;
use crate::metrics;

/// Most bytes of a request's head, and most headers.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// Most bytes of a head of HTTP/2, of which a connection may have many at once.
const MAX_HEADER_LIST: u32 = 32 * 1024;
/// Most concurrent streams of one HTTP/2 connection.
const MAX_STREAMS: u32 = 200;
/// What a client may send ahead of what is read, bytes: of a stream, and of a connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// How often an HTTP/2 connection is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long a connection may take to end after it was asked to.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a connection of the reserve may live.
const RESERVE_LIFE: Duration = Duration::from_secs(10);

/// Requests that are being answered, for each connection there may be: HTTP/2 has many on one.
const REQUESTS_PER_CONNECTION: u64 = 2;

/// Which of the connections' places one has.
pub(super) enum Room {
    Place(PlaceGuard),
    /// For health alone, until it is taken by another.
    Reserve(CancellationToken),
}

/// What connections share.
pub(super) struct Connections {
    router: Router,
    limits: ConnectionLimits,
    builder: Builder<Streams>,
    requests: Arc<Budget>,
    stop: CancellationToken,
    end: CancellationToken,
}

impl Connections {
    pub(super) fn new(
        router: Router,
        limits: ConnectionLimits,
        stop: CancellationToken,
        end: CancellationToken,
    ) -> Self {
        let mut builder = Builder::new(Streams { write_timeout: limits.write_timeout });
        builder
            .http1()
            .timer(TokioTimer::new())
            // The watch does it, and tells a slow head from an idle connection.
            .header_read_timeout(None)
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_LIST)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(Some(PING_INTERVAL))
            .keep_alive_timeout(limits.header_timeout);
        let most = (limits.max_connections as u64).saturating_mul(REQUESTS_PER_CONNECTION);
        let share = (limits.max_per_address as u64).saturating_mul(REQUESTS_PER_CONNECTION);
        Self { router, limits, builder, requests: Budget::new(most, share), stop, end }
    }

    /// Serve a connection to its end.
    pub(super) async fn run(self: Arc<Self>, socket: TcpStream, peer: SocketAddr, room: Room) {
        // Small events must not wait for more data (Nagle).
        if socket.set_nodelay(true).is_err() {
            return;
        }
        let watch = Watch::new(self.limits);
        if let Room::Place(place) = &room {
            place.watch(watch.clone());
        }
        let comment = CommentWanted::default();
        let stream = TokioIo::new(WatchedStream::new(socket, watch.clone(), comment.clone()));
        let own = Connection {
            router: self.router.clone(),
            requests: self.requests.clone(),
            peer,
            watch: watch.clone(),
            comment,
            is_reserve: matches!(room, Room::Reserve(_)),
        };
        let service = service_fn(|request| own.clone().answer(request));
        let mut connection = std::pin::pin!(self.builder.serve_connection(stream, service));
        let expired = async {
            match &room {
                Room::Place(_) => watch.expired().await,
                Room::Reserve(taken) => tokio::select! {
                    end = watch.expired() => end,
                    () = taken.cancelled() => End::Idle,
                    () = tokio::time::sleep(RESERVE_LIFE) => End::Idle,
                },
            }
        };
        let ended = tokio::select! {
            // What has come is read before the connection may end for another.
            biased;
            result = connection.as_mut() => Some(result),
            end = expired => {
                metrics::CONNECTIONS_CLOSED.add(1, [end.into()]);
                if end != End::Idle {
                    return;
                }
                None
            }
            () = self.stop.cancelled() => None,
            () = self.end.cancelled() => return,
        };
        let result = if let Some(result) = ended {
            result
        } else {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                result = connection.as_mut() => result,
                () = unused(&watch) => return,
                _ = watch.timed_out() => return,
                () = self.end.cancelled() => return,
            }
        };
        if let Err(error) = result {
            refusals::record(&*error, peer);
        }
    }
}

/// Resolves when no request is under way, after some time for the last of them.
async fn unused(watch: &Watch) {
    loop {
        tokio::time::sleep(LAST_WORDS).await;
        if watch.is_unused() {
            return;
        }
    }
}

/// What the requests of a connection have in common.
#[derive(Clone)]
struct Connection {
    router: Router,
    requests: Arc<Budget>,
    peer: SocketAddr,
    watch: Arc<Watch>,
    comment: CommentWanted,
    is_reserve: bool,
}

impl Connection {
    /// The request counts as begun before the answer is polled: until then the end of the client's half would mean that the
    /// connection is over.
    fn answer(
        self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<WatchedResponse>, Infallible>> + Send {
        self.watch.request_began(request.version(), request.body().is_end_stream());
        let permit = self.requests.permit(ClientId::of_address(self.peer.ip()));
        let guard = RequestGuard { watch: self.watch.clone(), permit };
        self.answer_begun(request, guard)
    }

    async fn answer_begun(
        mut self,
        request: Request<Incoming>,
        guard: RequestGuard,
    ) -> Result<Response<WatchedResponse>, Infallible> {
        let (version, watch) = (request.version(), self.watch);
        let mut request = request.map(|body| Body::new(WatchedRequest { body, watch: watch.clone() }));
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let is_health = is_health(&request);
        let mut response = if self.is_reserve && !is_health {
            Problem::too_many_connections().into_response()
        } else if !guard.permit.try_grow(1) && !is_health {
            metrics::CONNECTIONS_REFUSED.add(1, ["requests"]);
            Problem::too_many_requests().into_response()
        } else {
            self.router.call(request).await?
        };
        if self.is_reserve && version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        watch.answer_began();
        Ok(WatchedResponse::wrap(response, guard, self.comment))
    }
}

/// Whether a request asks how the server is.
fn is_health(request: &Request) -> bool {
    [Method::GET, Method::HEAD].contains(request.method()) && ["/healthz", "/readyz"].contains(&request.uri().path())
}
