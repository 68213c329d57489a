//! The fake from outside, for tests in other languages: `POST /control/ACTION` with JSON.

use std::time::Duration;

use axum::Json as Body;
use axum::extract::{Path, State as AxumState};
use axum::http::StatusCode;
use base64::Engine as _;
use serde_json::{Value as Json, json};

use super::Fake;
use super::schema::{Kind, METHODS};
use super::state::Fault;
use super::users::Post;

/// Do something as a user, or look.
pub async fn act(
    AxumState(fake): AxumState<Fake>,
    Path(action): Path<String>,
    Body(given): Body<Json>,
) -> (StatusCode, Body<Json>) {
    let int = |name: &str| given[name].as_i64().unwrap_or_default();
    let text = |name: &str| given[name].as_str().map(str::to_owned);
    let needed = |name: &str| text(name).unwrap_or_default();
    let outcome = fake.with(|state| match action.as_str() {
        "user" => {
            state.add_user(int("id"), &needed("language"));
            Ok(json!(true))
        }
        "group" => {
            state.add_group(int("id"));
            Ok(json!(true))
        }
        "post" => {
            let photo = text("photo").and_then(|photo| base64::engine::general_purpose::STANDARD.decode(photo).ok());
            let photo = photo.map(|bytes| state.add_file(bytes, "photos"));
            let post = Post {
                text: text("text"),
                photo,
                caption: text("caption"),
                reply_to: given["reply_to"].as_i64(),
                album: text("album"),
                topic: given["topic"].as_i64(),
                ..Post::default()
            };
            Ok(json!(state.post(int("user"), int("chat"), post)))
        }
        "press" => state.press(int("user"), int("chat"), int("message"), &needed("button")).map(Json::from),
        "inline" => Ok(json!(state.ask_inline(int("user"), &needed("text")))),
        "choose" => state.choose(int("user"), &needed("query"), &needed("result"), &needed("text")).map(Json::from),
        "flood" => {
            state.faults.push((needed("method"), Fault::Flood(given["seconds"].as_u64().unwrap_or(1))));
            Ok(json!(true))
        }
        "block" => {
            state.blocked.push(int("user"));
            Ok(json!(true))
        }
        "fault" => {
            let fault = match needed("kind").as_str() {
                "reset" => Fault::Reset,
                "gateway" => Fault::BadGateway,
                _ => Fault::Slow(Duration::from_secs(given["seconds"].as_u64().unwrap_or(1))),
            };
            state.faults.push((needed("method"), fault));
            Ok(json!(true))
        }
        "messages" => Ok(json!(state.of_bot(int("chat")))),
        "refusals" => Ok(json!(state.refusals)),
        "fields" => Ok(fields()),
        _ => Err(format!("no such action: {action}")),
    });
    match outcome {
        Ok(result) => (StatusCode::OK, Body(result)),
        Err(why) => (StatusCode::BAD_REQUEST, Body(json!(why))),
    }
}

/// The table of methods: fields with their types and whether they are required.
fn fields() -> Json {
    let kind = |kind: Kind| match kind {
        Kind::Int => "int",
        Kind::Text => "text",
        Kind::Flag => "flag",
        Kind::Json => "json",
        Kind::File => "file",
    };
    let methods = METHODS.iter().map(|method| {
        let fields = method
            .fields
            .iter()
            .map(|(name, of, required)| json!({"name": name, "kind": kind(*of), "required": required}));
        json!({"name": method.name, "fields": fields.collect::<Vec<_>>()})
    });
    json!(methods.collect::<Vec<_>>())
}
