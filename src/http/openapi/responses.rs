//! Responses that several routes share, for the contract.
//!
//! Invariant: images are binary, and the schema of a stream is that of one of its events, so that clients generated from the
//! contract parse neither as JSON.

use utoipa::openapi::schema::{KnownFormat, Schema, SchemaFormat, Type};
use utoipa::openapi::{Content, ObjectBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use super::headers::{of_accepted, of_new_image, of_stored_image, with_headers};
use super::problems::{ACCESS, BODY, Cause, GENERATION, NATIVE, Responses, problems};
use crate::http::error::kind::ProblemKind;

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

/// The bytes of an image.
pub(crate) struct ImageBytes;

impl PartialSchema for ImageBytes {
    fn schema() -> RefOr<Schema> {
        let format = Some(SchemaFormat::KnownFormat(KnownFormat::Binary));
        ObjectBuilder::new().schema_type(Type::String).format(format).into()
    }
}

impl ToSchema for ImageBytes {}

/// All responses of a generation route.
pub(crate) struct GenerationResponses;
/// The file of a stored image.
pub(crate) struct StoredImageResponses;
/// A stream of events.
pub(crate) struct EventStream;
/// The problems of a stream of all events.
pub(crate) struct EventProblems;
/// The problems of a route that reads a job.
pub(crate) struct JobProblems;
/// The problems of a route that changes a job.
pub(crate) struct JobChangeProblems;
/// The problems of a stream of a job's events.
pub(crate) struct JobEventProblems;
/// The problems of the list of jobs.
pub(crate) struct JobListProblems;
/// The problems of a route that only looks something up.
pub(crate) struct AccessProblems;
/// The problems of the metrics.
pub(crate) struct MetricsProblems;
/// The problems of a public route.
pub(crate) struct PublicProblems;
/// The problems of readiness.
pub(crate) struct ReadinessProblems;
/// The problems of this contract.
pub(crate) struct ContractProblems;

/// The responses of one job, beside [`ACCESS`].
const JOB: [Cause; 2] = [
    ProblemKind::NotFound.said("there is no such job, or it belongs to another key"),
    ProblemKind::Expired.said("the job has expired"),
];
const STREAM: Cause = ProblemKind::Concurrency.said("the client has as many streams of events open as it may");
const PUBLIC: [Cause; 2] = [ProblemKind::Malformed.usual(), ProblemKind::Internal.usual()];

/// Content of the schema of this name.
pub(crate) fn content_of(schema: &str) -> Content {
    Content::new(Some(Ref::from_schema_name(schema)))
}

/// A response that is the bytes of an image.
pub(crate) fn with_images(response: ResponseBuilder) -> ResponseBuilder {
    let image = || Content::new(Some(ImageBytes::schema()));
    response.content("image/png", image()).content("image/jpeg", image()).content("image/webp", image())
}

/// Responses that are no problems, by their statuses, and the problems.
pub(crate) fn with_problems<const N: usize>(
    answers: [(&'static str, ResponseBuilder); N],
    mut problems: Responses,
) -> Responses {
    problems.extend(answers.map(|(status, answer)| (status.to_owned(), RefOr::T(answer.build()))));
    problems
}

impl IntoResponses for GenerationResponses {
    fn responses() -> Responses {
        let success = ResponseBuilder::new()
            .description(
                "The images; the bytes of one image if Accept names an image type; events if it names text/event-stream",
            )
            .content("application/json", content_of("JobAnswer"))
            .content("text/event-stream", content_of("ServerSentEvent"));
        let accepted = ResponseBuilder::new()
            .description("With Prefer: respond-async: the job, which outlives the connection")
            .content("application/json", content_of("JobAnswer"));
        let answers = [
            ("200", with_headers(with_images(success), of_new_image())),
            ("202", with_headers(accepted, of_accepted())),
        ];
        with_problems(answers, problems(&NATIVE, &[&ACCESS, &BODY, &GENERATION]))
    }
}

impl IntoResponses for StoredImageResponses {
    fn responses() -> Responses {
        let image = with_images(ResponseBuilder::new().description("The image"));
        let current = ResponseBuilder::new().description("The cached copy is current");
        let answers =
            [("200", with_headers(image, of_stored_image())), ("304", with_headers(current, of_stored_image()))];
        let own = [
            ProblemKind::BadSignature.usual(),
            ProblemKind::NotFound
                .said("there is no such job or image, the image is not finished, or the job belongs to another key"),
            ProblemKind::Expired.said("the job has expired, or the file of the image is gone"),
            ProblemKind::Validation.usual(),
        ];
        with_problems(answers, problems(&NATIVE, &[&ACCESS, &own]))
    }
}

impl IntoResponses for EventStream {
    fn responses() -> Responses {
        let events = ResponseBuilder::new()
            .description("Events; their data is a QueuedEvent, a ProgressEvent, a PreviewEvent or a JobAnswer")
            .content("text/event-stream", content_of("ServerSentEvent"));
        with_problems([("200", events)], Responses::new())
    }
}

/// Declares responses that are problems alone.
macro_rules! only_problems {
    ($($type:ident: $($causes:expr),+;)*) => {
        $(
            impl IntoResponses for $type {
                fn responses() -> Responses {
                    problems(&NATIVE, &[$(&$causes),+])
                }
            }
        )*
    };
}

only_problems! {
    EventProblems: ACCESS, [STREAM];
    JobProblems: ACCESS, JOB;
    JobChangeProblems: ACCESS, JOB, [ProblemKind::StorageFull.usual()];
    JobEventProblems: ACCESS, JOB, [ProblemKind::BadSignature.usual(), STREAM];
    JobListProblems: ACCESS, [ProblemKind::Validation.usual()];
    AccessProblems: ACCESS;
    MetricsProblems: ACCESS, [ProblemKind::MissingScope.usual(), ProblemKind::NotFound.said("metrics are disabled")];
    PublicProblems: PUBLIC;
    ReadinessProblems: PUBLIC, [
        ProblemKind::Draining.usual(), ProblemKind::Unavailable.said("no worker is running, or no mode works"),
        ProblemKind::StorageUnavailable.usual(), ProblemKind::StorageFull.usual(),
    ];
    ContractProblems: PUBLIC, [ProblemKind::Busy.usual()];
}
