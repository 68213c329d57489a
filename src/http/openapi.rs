//! The contract: what routes do not say themselves.
//!
//! Invariant: the committed `openapi/openapi.json` is what this gives; a test compares them.

pub(crate) mod headers;
pub(crate) mod problems;
pub(crate) mod responses;
pub(crate) mod served;
mod webhooks;

use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::error::problem::Problem;
use super::respond::events::{PreviewEvent, ProgressEvent, QueuedEvent};
use super::respond::job::JobAnswer;
use crate::jobs::WebhookMessage;
use responses::ServerSentEvent;
use webhooks::Webhooks;

/// The head of the contract, with what the native routes refer to by name.
pub(crate) fn native() -> utoipa::openapi::OpenApi {
    NativeContract::openapi()
}

/// What belongs to the routes of operations; after the compatible APIs, so that their tags come last.
pub(crate) fn operations() -> utoipa::openapi::OpenApi {
    OperationsContract::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "kandinsky",
        description = "An inference server for Kandinsky 2.1: images from text, images, and both.\n\n\
            Every response has the header `x-request-id`: the id of the request in problems and in the server's log. It is \
            the request's own `x-request-id`, if it has one.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(JobAnswer, ServerSentEvent, Problem, QueuedEvent, ProgressEvent, PreviewEvent, WebhookMessage)),
    tags(
        (name = "generation", description = "One endpoint per mode"),
        (name = "jobs", description = "The state, events and images of jobs"),
        (name = "models", description = "Models, styles and capabilities"),
        (name = "webhooks", description = "What the server sends when jobs end"),
    ),
    // Keys are optional: a server may run without them.
    security((), ("bearer" = []), ("basic" = []), ("api-key" = []), ("x-api-key" = [])),
    modifiers(&KeySchemes, &Webhooks)
)]
struct NativeContract;

#[derive(OpenApi)]
#[openapi(tags((name = "operations", description = "Health, metrics and the contract")))]
struct OperationsContract;

/// Adds the ways in which a key may be sent.
struct KeySchemes;

impl Modify for KeySchemes {
    fn modify(&self, contract: &mut utoipa::openapi::OpenApi) {
        let components = contract.components.get_or_insert_default();
        for (name, scheme, description) in [
            ("bearer", HttpAuthScheme::Bearer, "An API key, if the server requires one: `kandinsky keys create`."),
            ("basic", HttpAuthScheme::Basic, "The same key as the password; the name does not matter."),
        ] {
            let scheme = HttpBuilder::new().scheme(scheme).description(Some(description)).build();
            components.add_security_scheme(name, SecurityScheme::Http(scheme));
        }
        for name in ["api-key", "x-api-key"] {
            let value = ApiKeyValue::with_description(name, "The same key.");
            components.add_security_scheme(name, SecurityScheme::ApiKey(ApiKey::Header(value)));
        }
    }
}
