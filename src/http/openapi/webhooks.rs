//! The messages that webhooks are sent, for the contract.
//!
//! Invariant: there is an entry for each event, and its schema is that of the type that is sent.

use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ObjectBuilder, OpenApi, Required, Response, ResponsesBuilder};
use utoipa::{Modify, ToSchema as _};

use super::responses::content_of;
use crate::domain::{VariantArray as _, WebhookEvent};
use crate::jobs::WebhookMessage;

const ABOUT: &str = "Sent to the `webhook.url` of a request whose `webhook.events` have this event, or that names no events. \
                     Messages are signed as [Standard Webhooks](https://www.standardwebhooks.com) says. A message may come more \
                     than once, with the same `webhook-id`.";
const AGAIN: &str = "Any other answer, a redirect among them, or none within `webhooks.timeout_s`: the message is sent again, \
                     after 5 s, then after pauses that double up to an hour, `webhooks.max_attempts` times in all.";

/// Adds the webhooks to the contract.
pub(super) struct Webhooks;

impl Modify for Webhooks {
    fn modify(&self, contract: &mut OpenApi) {
        let paths = WebhookEvent::VARIANTS.iter().fold(PathsBuilder::new(), |paths, event| {
            paths.path(event.name(), PathItem::new(HttpMethod::Post, operation(*event)))
        });
        contract.webhooks = Some(paths.build());
    }
}

fn operation(event: WebhookEvent) -> OperationBuilder {
    let summary = match event {
        WebhookEvent::Succeeded => "A job succeeded",
        WebhookEvent::Failed => "A job failed",
        WebhookEvent::Canceled => "A job was canceled",
    };
    let body = RequestBodyBuilder::new()
        .content("application/json", content_of(&WebhookMessage::name()))
        .required(Some(Required::True))
        .build();
    let responses = ResponsesBuilder::new()
        .response("2XX", Response::new("Taken; it is not sent again"))
        .response("default", Response::new(AGAIN));
    let headers = [
        ("webhook-id", Type::String, "The id of the message: the same each time that it is sent."),
        ("webhook-timestamp", Type::Integer, "When it is sent, s since 1970."),
        (
            "webhook-signature",
            Type::String,
            "`v1,` and the HMAC-SHA256 of `ID.TIMESTAMP.BODY` in base64. Its key is the base64 after `whsec_` in the secret, decoded.",
        ),
    ];
    let operation = OperationBuilder::new()
        .tag("webhooks")
        .summary(Some(summary))
        .description(Some(ABOUT))
        .operation_id(Some(event.name().replace('.', "_")))
        .request_body(Some(body))
        .responses(responses.build())
        // No key: the signature says who sends it.
        .security(SecurityRequirement::default());
    headers.into_iter().fold(operation, |operation, (name, kind, description)| {
        let header = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(kind)));
        operation.parameter(header)
    })
}
