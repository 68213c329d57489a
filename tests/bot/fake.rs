//! A strict Bot API over HTTP: what Telegram documents, and nothing else. Chats and files are in memory; users are played by the
//! tests.
//!
//! Invariants: a call that Telegram would refuse is refused in its words; more messages than Telegram allows are answered with
//! 429; an update is repeated until it is confirmed.

pub mod control;
pub mod limits;
pub mod methods;
pub mod schema;
pub mod state;
pub mod users;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Path, Query, Request, State as AxumState};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use parking_lot::Mutex;
use serde_json::{Map, Value as Json, json};
use tokio::sync::watch;

use schema::{Call, METHODS};
use state::{Failure, Fault, State};

pub const TOKEN: &str = "7000000001:AAfakefakefakefakefakefakefakefake_Z";
/// The account of the bot.
pub const BOT: i64 = 7_000_000_001;
/// Longest that a test waits for anything: far more than it takes.
const PATIENCE: Duration = Duration::from_mins(3);

/// The running fake.
#[derive(Clone)]
pub struct Fake {
    pub url: String,
    state: Arc<Mutex<State>>,
    changes: watch::Sender<u64>,
}

impl Fake {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fake = Self { url, state: Arc::default(), changes: watch::Sender::new(0) };
        let router = Router::new()
            .route("/{bot}/{method}", any(call))
            .route("/file/{bot}/{*path}", any(file))
            .route("/control/{action}", any(control::act))
            .layer(DefaultBodyLimit::max(64 << 20))
            .with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        tokio::spawn(methods::call_webhook(fake.clone()));
        fake
    }

    /// Look at, or change, what there is.
    pub fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let outcome = act(&mut self.state.lock());
        self.changes.send_modify(|number| *number += 1);
        outcome
    }

    /// Look without a change.
    pub fn look<T>(&self, at: impl FnOnce(&State) -> T) -> T {
        at(&self.state.lock())
    }

    /// Wait until this is there.
    pub async fn until<T>(&self, what: &str, mut find: impl FnMut(&State) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        let wait = async {
            loop {
                if let Some(found) = find(&self.state.lock()) {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        found.unwrap_or_else(|_| panic!("still waiting: {what}\n{}", self.look(State::transcript)))
    }

    /// Something is to go wrong with one of the next calls of a method.
    pub fn fail(&self, method: &str, faults: impl IntoIterator<Item = Fault>) {
        self.with(|state| state.faults.extend(faults.into_iter().map(|fault| (method.to_owned(), fault))));
    }

    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

fn answer(outcome: Result<Json, Failure>) -> Response {
    match outcome {
        Ok(result) => axum::Json(json!({"ok": true, "result": result})).into_response(),
        Err(Failure { code, description, retry_after, .. }) => {
            let mut body = json!({"ok": false, "error_code": code, "description": description});
            if let Some(seconds) = retry_after {
                body["parameters"] = json!({"retry_after": seconds});
            }
            (StatusCode::from_u16(code).unwrap(), axum::Json(body)).into_response()
        }
    }
}

/// A connection that breaks without an answer.
fn reset() -> Response {
    let broken = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("reset")) });
    let mut response = Response::new(axum::body::Body::from_stream(broken));
    response.headers_mut().insert(header::CONTENT_LENGTH, 10.into());
    response
}

async fn call(
    AxumState(fake): AxumState<Fake>,
    Path((bot, name)): Path<(String, String)>,
    request: Request,
) -> Response {
    if bot.strip_prefix("bot") != Some(TOKEN) {
        return answer(Err(Failure::new(401, "Unauthorized")));
    }
    let Some(method) = METHODS.iter().find(|method| method.name.eq_ignore_ascii_case(&name)) else {
        return answer(Err(Failure::new(404, "Not Found: method not found")));
    };
    let mut call = match read(request).await {
        Ok(call) => call,
        Err(why) => return answer(Err(Failure::new(400, why))),
    };
    let fault = fake.with(|state| state.take_fault(method.name));
    match fault {
        Some(Fault::Flood(seconds)) => {
            fake.with(|state| state.injected_floods += 1);
            return answer(Err(Failure::flood(seconds)));
        }
        Some(Fault::BadGateway) => return (StatusCode::BAD_GATEWAY, "<html>Bad Gateway</html>").into_response(),
        Some(Fault::Reset) => return reset(),
        Some(Fault::Unauthorized) => return answer(Err(Failure::new(401, "Unauthorized"))),
        Some(Fault::Conflict) => return answer(Err(Failure::new(409, methods::CONFLICT))),
        Some(Fault::Slow(duration)) => tokio::time::sleep(duration).await,
        None => {}
    }
    if let Err(why) = schema::check(method, &mut call) {
        fake.with(|state| state.refusals.push(format!("{name}: {why}")));
        return answer(Err(Failure::new(400, why)));
    }
    if method.name == "getUpdates" {
        return answer(methods::get_updates(&fake, &call).await);
    }
    answer(fake.with(|state| {
        let outcome = state.call(method, &call);
        state.log(method.name, &call, &outcome);
        outcome
    }))
}

/// A call as query, form, JSON or multipart form.
async fn read(request: Request) -> Result<Call, String> {
    let mut call = Call::default();
    let query: Result<Query<Vec<(String, String)>>, _> = Query::try_from_uri(request.uri());
    if let Ok(Query(fields)) = query {
        call.fields.extend(fields.into_iter().map(|(name, value)| (name, Json::String(value))));
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("multipart/form-data") {
        let mut form = Multipart::from_request(request, &()).await.map_err(|error| error.body_text())?;
        while let Some(field) = form.next_field().await.map_err(|error| error.body_text())? {
            let (name, is_file) = (field.name().unwrap_or_default().to_owned(), field.file_name().is_some());
            let bytes = field.bytes().await.map_err(|error| error.body_text())?;
            if is_file {
                call.files.push((name, bytes.to_vec()));
            } else {
                call.fields.insert(name, Json::String(String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
        return Ok(call);
    }
    let is_json = kind.starts_with("application/json");
    let body = Bytes::from_request(request, &()).await.map_err(|error| error.to_string())?;
    if is_json {
        let fields: Map<String, Json> = serde_json::from_slice(&body).map_err(|_| "Bad Request: can't parse JSON")?;
        call.fields.extend(fields);
    } else {
        let fields = url::form_urlencoded::parse(&body);
        call.fields.extend(fields.map(|(name, value)| (name.into_owned(), Json::String(value.into_owned()))));
    }
    Ok(call)
}

async fn file(AxumState(fake): AxumState<Fake>, Path((bot, path)): Path<(String, String)>) -> Response {
    if bot.strip_prefix("bot") != Some(TOKEN) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match fake.with(|state| state.take_fault("file")) {
        Some(Fault::Slow(duration)) => tokio::time::sleep(duration).await,
        Some(Fault::Reset) => return reset(),
        Some(_) => return StatusCode::BAD_GATEWAY.into_response(),
        None => {}
    }
    let found = fake.look(|state| state.files.values().find(|file| file.path == path).map(|file| file.bytes.clone()));
    found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)
}
