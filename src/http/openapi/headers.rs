//! Headers of responses, for the contract.
//!
//! Invariant: a header that says something of one response is declared with it; `x-request-id`, which all responses have, is
//! described once, in the contract's head.

use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{Header, HeaderBuilder, ObjectBuilder, ResponseBuilder};

use crate::domain::WarningCode;

/// A header by its name.
type Named = (&'static str, Header);

/// A header of a schema, with an example of its value.
fn described(schema: ObjectBuilder, example: &str, description: &str) -> Header {
    let header = HeaderBuilder::new().schema(Some(schema.build())).description(Some(description));
    header.example(Some(example.into())).build()
}

fn text(example: &str, description: &str) -> Header {
    described(ObjectBuilder::new().schema_type(Type::String), example, description)
}

/// Add headers to a response.
pub(crate) fn with_headers(response: ResponseBuilder, headers: impl IntoIterator<Item = Named>) -> ResponseBuilder {
    headers.into_iter().fold(response, |response, (name, header)| response.header(name, header))
}

/// When to try again.
pub(super) fn retry_after() -> Named {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
    let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("When to try again, s from now."));
    ("Retry-After", header.build())
}

/// How to authenticate.
pub(super) fn authenticate() -> Named {
    ("WWW-Authenticate", text("Bearer", "How to send a key."))
}

/// Those of a job that was accepted.
pub(super) fn of_accepted() -> [Named; 2] {
    [
        ("Location", text("/v1/jobs/0192f0c4-7d7e-7cc0-b5a5-3a1f2d1f7c11", "Path of the job.")),
        ("Preference-Applied", text("respond-async", "The preference that was honored.")),
    ]
}

/// The codes of a job's warnings.
pub(crate) fn warnings(description: &str) -> Named {
    let example = WarningCode::names().into_iter().take(2).collect::<Vec<_>>().join(", ");
    ("x-warnings", text(&example, description))
}

/// That moderation blurred the image.
fn moderation() -> Named {
    let blurred = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["blurred"]));
    ("x-moderation", described(blurred, "blurred", "Of an image that moderation blurred."))
}

/// The name to save an image under.
fn file_name() -> Named {
    let example = "inline; filename=\"0192f0c4-7d7e-7cc0-b5a5-3a1f2d1f7c11-0.png\"";
    ("Content-Disposition", text(example, "Of an image: the name to save it under."))
}

/// Those of a new image.
pub(crate) fn of_new_image() -> [Named; 5] {
    let format = |format| Some(SchemaFormat::KnownFormat(format));
    let seed = ObjectBuilder::new().schema_type(Type::Integer).format(format(KnownFormat::Int64)).minimum(Some(0));
    let seed =
        HeaderBuilder::new().schema(Some(seed.build())).description(Some("Of an image: the seed that gives it."));
    let id = ObjectBuilder::new().schema_type(Type::String).format(format(KnownFormat::Uuid));
    let id = described(id, "0192f0c4-7d7e-7cc0-b5a5-3a1f2d1f7c11", "Of an image: the id of its job.");
    [
        ("x-seed", seed.build()),
        ("x-job-id", id),
        warnings("Of an image: the codes of its warnings, each once, separated by commas."),
        moderation(),
        file_name(),
    ]
}

/// Those of the file of a stored image.
pub(super) fn of_stored_image() -> [Named; 4] {
    let version = text("\"0192f0c47d7e7cc0b5a53a1f2d1f7c11-0-0\"", "Of this size of the image, for `If-None-Match`.");
    let caching = text("private, max-age=3600, immutable", "A copy may be kept until the job expires.");
    [("ETag", version), ("Cache-Control", caching), moderation(), file_name()]
}
