//! Responses that several routes share, for the contract.
//!
//! Invariant: images are binary, and the schema of a stream is that of one of its events, so that clients generated from the
//! contract parse neither as JSON.

use std::collections::BTreeMap;

use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{Content, Header, Object, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

/// One event of a stream, as it is parsed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the contract alone")]
pub(crate) struct ServerSentEvent {
    #[schema(example = "progress")]
    event: String,
    /// From where to resume the stream (`Last-Event-ID`).
    id: Option<String>,
    /// JSON.
    data: String,
}

type Responses = BTreeMap<String, RefOr<Response>>;

/// All responses of a generation route.
pub(crate) struct GenerationResponses;
/// The file of an image.
pub(crate) struct ImageFile;
/// A stream of events.
pub(crate) struct EventStream;
/// The problems of a route for one job.
pub(crate) struct JobProblems;
/// The problems of authentication.
pub(crate) struct KeyProblems;
/// The same in the form of OpenAI's errors.
pub(crate) struct KeyErrors;
/// All responses of an OpenAI images route.
pub(crate) struct ImagesResponses;
/// The errors of a Hugging Face task.
pub(crate) struct TaskProblems;
/// The errors of authentication in the form of AUTOMATIC1111's.
pub(crate) struct WebuiErrors;
/// The errors of a call of AUTOMATIC1111's API that makes images.
pub(crate) struct WebuiImageErrors;

fn text() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

fn image() -> Content {
    let format = Some(SchemaFormat::KnownFormat(KnownFormat::Binary));
    Content::new(Some(ObjectBuilder::new().schema_type(Type::String).format(format).build()))
}

fn json(schema: &str) -> Content {
    Content::new(Some(Ref::from_schema_name(schema)))
}

fn with_images(response: ResponseBuilder) -> ResponseBuilder {
    response.content("image/png", image()).content("image/jpeg", image()).content("image/webp", image())
}

fn collect(responses: impl IntoIterator<Item = (&'static str, Response)>) -> Responses {
    responses.into_iter().map(|(status, response)| (status.to_owned(), RefOr::T(response))).collect()
}

/// Errors of one schema.
fn errors<const N: usize>(
    media_type: &'static str,
    schema: &'static str,
    statuses: [(&'static str, &'static str); N],
) -> impl Iterator<Item = (&'static str, Response)> {
    statuses.into_iter().map(move |(status, description)| {
        (status, ResponseBuilder::new().description(description).content(media_type, json(schema)).build())
    })
}

const NO_KEY: (&str, &str) = ("401", "The API key is missing or invalid, if the server requires one");
const NOT_ALLOWED: (&str, &str) = ("403", "The key lacks the scope, the priority or the quota");
const TOO_MANY: (&str, &str) = ("429", "The key is over its rate, concurrency or daily quota; see Retry-After");
const PROBLEM: (&str, &str) = ("application/problem+json", "Problem");
const TOO_LARGE: (&str, &str) = ("413", "Body or pixels too large");
const MEDIA_TYPE: (&str, &str) = ("415", "Neither JSON nor a form");
const FAULT: (&str, &str) = ("500", "Internal error");
const BUSY: (&str, &str) = ("503", "The queue is full, or the server is shutting down; see Retry-After");

impl IntoResponses for GenerationResponses {
    fn responses() -> Responses {
        let success = ResponseBuilder::new()
            .description(
                "The images; the bytes of one image if Accept names an image type; events if it names text/event-stream",
            )
            .content("application/json", json("JobAnswer"))
            .content("text/event-stream", json("ServerSentEvent"));
        let accepted = ResponseBuilder::new()
            .description("With Prefer: respond-async: the job, which outlives the connection")
            .header("Location", Header::new(text()))
            .content("application/json", json("JobAnswer"));
        let problems = [
            ("400", "Not parseable, or refused by moderation"),
            NO_KEY,
            NOT_ALLOWED,
            ("409", "Canceled by another request while this one waited"),
            TOO_LARGE,
            MEDIA_TYPE,
            ("422", "Out of range, or not supported by the loaded model"),
            TOO_MANY,
            FAULT,
            BUSY,
        ];
        let answers = [("200", with_images(success).build()), ("202", accepted.build())];
        collect(answers.into_iter().chain(errors(PROBLEM.0, PROBLEM.1, problems)))
    }
}

impl IntoResponses for ImageFile {
    fn responses() -> Responses {
        collect([("200", with_images(ResponseBuilder::new().description("The image")).build())])
    }
}

impl IntoResponses for EventStream {
    fn responses() -> Responses {
        let events = ResponseBuilder::new()
            .description("Events; their data is a QueuedEvent, a ProgressEvent, a PreviewEvent or a JobAnswer")
            .content("text/event-stream", json("ServerSentEvent"));
        collect([("200", events.build())])
    }
}

impl IntoResponses for JobProblems {
    fn responses() -> Responses {
        let problems = [
            NO_KEY,
            NOT_ALLOWED,
            ("404", "Unknown, not finished, or owned by another key"),
            ("410", "Expired"),
            TOO_MANY,
            FAULT,
            ("503", "The storage is unavailable; see Retry-After"),
        ];
        collect(errors(PROBLEM.0, PROBLEM.1, problems))
    }
}

impl IntoResponses for KeyProblems {
    fn responses() -> Responses {
        collect(errors(PROBLEM.0, PROBLEM.1, [NO_KEY, NOT_ALLOWED, TOO_MANY]))
    }
}

impl IntoResponses for KeyErrors {
    fn responses() -> Responses {
        collect(errors("application/json", "OpenAiError", [NO_KEY, NOT_ALLOWED, TOO_MANY]))
    }
}

impl IntoResponses for ImagesResponses {
    fn responses() -> Responses {
        let success = ResponseBuilder::new()
            .description("The images, or events if the request sets stream")
            .content("application/json", json("ImagesAnswer"))
            .content("text/event-stream", json("ServerSentEvent"));
        let problems = [
            ("400", "Not parseable, out of range, or refused by moderation"),
            NO_KEY,
            NOT_ALLOWED,
            ("404", "The model is not loaded"),
            ("409", "Canceled by another request while this one waited"),
            TOO_LARGE,
            MEDIA_TYPE,
            TOO_MANY,
            FAULT,
            BUSY,
        ];
        collect([("200", success.build())].into_iter().chain(errors("application/json", "OpenAiError", problems)))
    }
}

impl IntoResponses for TaskProblems {
    fn responses() -> Responses {
        let problems = [
            ("400", "Not parseable, or refused by moderation"),
            NO_KEY,
            NOT_ALLOWED,
            ("404", "The model is not loaded"),
            ("409", "Canceled by another request while this one waited"),
            TOO_LARGE,
            ("415", "Not JSON"),
            ("422", "Out of range"),
            TOO_MANY,
            FAULT,
            BUSY,
        ];
        collect(errors("application/json", "TaskError", problems))
    }
}

impl IntoResponses for WebuiErrors {
    fn responses() -> Responses {
        let fault = ("503", "The storage is unavailable; see Retry-After");
        collect(errors("application/json", "WebuiError", [NO_KEY, NOT_ALLOWED, TOO_MANY, FAULT, fault]))
    }
}

impl IntoResponses for WebuiImageErrors {
    fn responses() -> Responses {
        let problems = [
            ("400", "Not parseable, or refused by moderation"),
            NO_KEY,
            NOT_ALLOWED,
            ("409", "Interrupted"),
            TOO_LARGE,
            ("415", "Not JSON"),
            ("422", "Out of range, or not supported by this server or the loaded model"),
            TOO_MANY,
            FAULT,
            BUSY,
        ];
        collect(errors("application/json", "WebuiError", problems))
    }
}
