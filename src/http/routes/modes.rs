//! `POST /v1/{mode}`: a route for each mode, all with one handler.
//!
//! Invariant: what the contract says of a route is derived from the mode's type.

use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterIn, Paths};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{Content, Ref, RefOr, Required, ResponsesBuilder, Schema};
use utoipa::{IntoParams as _, IntoResponses as _, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::generate::{GenerationHeaders, generate};
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::body::Body;
use crate::http::extract::form::GenerationForm;
use crate::http::extract::request_context::RequestContext;
use crate::http::openapi::responses::GenerationResponses;
use crate::modes::{GenerationMode, Mode, ModeVisitor};

/// How every route can answer.
const ANSWERS: &str = "With `Accept: image/png`, `image/jpeg` or `image/webp` the response is the image itself, with \
                       `text/event-stream` events; with `Prefer: respond-async` it is the job, at once.";

/// Add the routes of all modes.
pub(crate) fn add_modes(router: OpenApiRouter<AppState>) -> OpenApiRouter<AppState> {
    Mode::ALL.into_iter().fold(router, |router, mode| router.routes(mode.visit(ModeRoute)))
}

/// Make images in the mode `M`.
async fn generate_mode<M: GenerationMode>(
    State(state): State<AppState>,
    context: RequestContext,
    body: Body<M::Body>,
) -> Result<Response, Problem> {
    generate(&state, &context, body).await
}

/// Makes the route of a mode, with its part of the contract.
struct ModeRoute;

impl ModeVisitor for ModeRoute {
    type Output = UtoipaMethodRouter<AppState>;

    fn visit<M: GenerationMode>(self) -> Self::Output {
        let name = M::MODE.name();
        let mut schemas = Vec::new();
        let body = RequestBodyBuilder::new()
            .content("application/json", reference::<M::Body>(&mut schemas))
            .content("multipart/form-data", reference::<GenerationForm>(&mut schemas))
            .required(Some(Required::True))
            .build();
        let description = [M::DESCRIPTION, ANSWERS].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
        let operation = OperationBuilder::new()
            .tag("generation")
            .summary(Some(M::SUMMARY))
            .description(Some(description.join(" ")))
            .operation_id(Some(name.replace('-', "_")))
            .parameters(Some(GenerationHeaders::into_params(|| Some(ParameterIn::Header))))
            .request_body(Some(body))
            .responses(ResponsesBuilder::new().responses_from_iter(GenerationResponses::responses()).build());
        let mut paths = Paths::new();
        paths.add_path_operation(format!("/v1/{name}"), vec![HttpMethod::Post], operation.build());
        (schemas, paths, post(generate_mode::<M>))
    }
}

/// A reference to a schema, which is added to `schemas` with all that it refers to.
fn reference<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) -> Content {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
    Content::new(Some(Ref::from_schema_name(T::name())))
}
