//! Every kind of problem as clients of each surface read it.
//!
//! Invariant: a change of what clients read is a change of a file in `snapshots/`. (`INSTA_UPDATE=always` writes them.)

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use axum::body::to_bytes;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use strum::IntoEnumIterator as _;

use super::finding::FindingAnswer;
use super::kind::ProblemKind;
use super::problem::Problem;
use super::surface::Surface;
use crate::auth::{KeyError, SignedUrlError};
use crate::domain::{Failure, FailureKind, Finding, Violations};
use crate::http::compat::SURFACES;
use crate::jobs::Refusal;
use crate::store::StoreError;

const AFTER: Duration = Duration::from_millis(2500);

/// One problem of each kind, as the server makes it.
fn problems() -> Vec<Problem> {
    let mut violations = Violations::default();
    violations.add("/steps", "must be 1 to 500");
    violations.add("/width", "must be 1 to 1024 px");
    let finding = Finding { category: "violence/graphic".to_owned(), score: 0.75, rule: "lexicon: gore".to_owned() };
    let finding = FindingAnswer::from(finding).at(Some("/prompt".to_owned()));
    vec![
        SignedUrlError::Expired.into(),
        Problem::body_timeout(),
        Problem::busy(AFTER),
        Problem::canceled(),
        Refusal::OwnJobs { most: 2, retry_after: AFTER }.into(),
        Refusal::Draining { retry_after: AFTER }.into(),
        Problem::expired("job"),
        Problem::foreign_host("evil.example"),
        Problem::foreign_origin("https://evil.example"),
        Refusal::Conflict.into(),
        Failure::new(FailureKind::Internal, "the image could not be generated").into(),
        KeyError::Invalid.into(),
        Problem::key_missing(),
        Problem::malformed("the body is not readable as JSON: there is none"),
        Problem::method_not_allowed(),
        Problem::missing_scope("`generate` or `text-to-image`"),
        Problem::model_not_found("dall-e-9", "kandinsky-mini"),
        Problem::blocked("the prompt is not allowed", vec![finding]),
        Problem::unmoderated(),
        Problem::not_found("job"),
        Refusal::OwnImages { most: 5, retry_after: None }.into(),
        Problem::priority_not_allowed("normal", "high"),
        Refusal::Full { retry_after: AFTER }.into(),
        Refusal::OwnImages { most: 5, retry_after: Some(AFTER) }.into(),
        KeyError::RateLimited { rate: 60, retry_after: AFTER }.into(),
        StoreError::Full("disk".into()).into(),
        StoreError::Unavailable("database".into()).into(),
        Refusal::TooLarge.into(),
        Problem::untranslated(),
        Failure::new(FailureKind::Lost, "the worker was lost").into(),
        Problem::unsupported("the model has no inpainting UNet"),
        Problem::unsupported_media_type("compressed bodies are not supported"),
        violations.into(),
    ]
}

/// The surface that owns a route.
fn surface_of(path: &str) -> Option<&'static Surface> {
    SURFACES.iter().find(|surface| (surface.owns)(&Method::POST, path))
}

/// Status, headers and body.
async fn show(response: Response) -> String {
    let (head, body) = response.into_parts();
    let mut text = format!("HTTP {}\n", head.status);
    for name in [header::CONTENT_TYPE, header::RETRY_AFTER] {
        if let Some(value) = head.headers.get(&name) {
            writeln!(text, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
    }
    let body: serde_json::Value = serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap();
    text + &serde_json::to_string_pretty(&body).unwrap()
}

#[tokio::test]
async fn every_kind_of_problem_reads_as_it_did_on_every_surface() {
    let problems = problems();
    let shown: BTreeSet<&str> = problems.iter().map(|problem| problem.kind().name()).collect();
    assert_eq!(shown, ProblemKind::iter().map(ProblemKind::name).collect(), "one problem of each kind");
    for problem in problems {
        let mut text = show(problem.clone().with_request_id("0193").into_response()).await;
        for (name, path) in [("OpenAI", "/v1/images/generations"), ("Hugging Face", "/models/x")] {
            let response = (surface_of(path).unwrap().render)(&problem);
            write!(text, "\n\n{name}: {}", show(response).await).unwrap();
        }
        insta::assert_snapshot!(problem.kind().name(), text);
    }
}

#[test]
fn a_kind_keeps_its_status_whatever_the_cause() {
    assert_eq!(Problem::from(KeyError::Revoked).status(), StatusCode::UNAUTHORIZED);
    assert_eq!(Problem::from(StoreError::Failed("bug".into())).kind(), ProblemKind::Internal);
    assert_eq!(Problem::unreadable(StatusCode::BAD_REQUEST).kind(), ProblemKind::Malformed);
}
