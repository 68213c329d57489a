//! Remote moderation: a service with OpenAI's moderations API, or one of the operator's own that gets signed messages.
//!
//! Invariant: a service that keeps failing is not asked for a while (a circuit breaker), so requests do not wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use backon::Retryable as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::moderator::{ImageModerator, Moderator, Unavailable};
use crate::domain::{Finding, Image};
use crate::imaging;
use crate::retry::{Breaker, BreakerPolicy, RetryPolicy};

/// The score of what a service flags without a score, and the lowest of what it flags.
const FLAGGED: f32 = 0.5;

/// Carries a request to the service.
#[async_trait]
pub trait ModerationTransport: Send + Sync {
    /// Post JSON with the headers it takes (a key, a signature).
    async fn post(&self, body: String) -> Result<ModerationReply, String>;
}

/// An answer.
#[derive(Debug, Clone)]
pub struct ModerationReply {
    pub status: u16,
    pub body: Vec<u8>,
}

/// What the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteKind {
    /// `POST {"model", "input": [text, ...]}`, answered with a result for each; images as parts with `data:` addresses.
    OpenAi,
    /// `POST {"type": "moderation.requested", "texts": [...]}` (or `"images"`), answered `{"results": [...]}` in the same
    /// shape.
    Webhook,
}

/// How it is asked, and what happens when it fails.
#[derive(Debug, Clone)]
pub struct RemoteConfig {
    pub kind: RemoteKind,
    /// For OpenAI's API.
    pub model: String,
    pub retry: RetryPolicy,
    /// Let prompts and images pass while it does not answer.
    pub fail_open: bool,
    pub breaker: BreakerPolicy,
}

/// The link of the chain.
pub struct Remote {
    config: RemoteConfig,
    transport: Arc<dyn ModerationTransport>,
    breaker: Breaker,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<ServiceResult>,
}

#[derive(Deserialize)]
struct ServiceResult {
    #[serde(default)]
    flagged: bool,
    #[serde(default)]
    categories: BTreeMap<String, Option<bool>>,
    #[serde(default)]
    category_scores: BTreeMap<String, Option<f32>>,
}

/// How an attempt failed.
enum Failure {
    /// A retry may succeed.
    Transient(String),
    /// The service rejects the request itself.
    Permanent(String),
}

impl Remote {
    /// A service that `transport` reaches.
    #[must_use]
    pub fn new(config: RemoteConfig, transport: Arc<dyn ModerationTransport>) -> Self {
        Self { breaker: Breaker::new(config.breaker), config, transport }
    }

    fn body(&self, texts: &[&str]) -> Value {
        match self.config.kind {
            RemoteKind::OpenAi => json!({"model": self.config.model, "input": texts}),
            RemoteKind::Webhook => json!({"type": "moderation.requested", "texts": texts}),
        }
    }

    /// `png`: an image's file.
    fn image_body(&self, png: &[u8]) -> Value {
        let encoded = STANDARD.encode(png);
        match self.config.kind {
            RemoteKind::OpenAi => {
                let url = format!("data:image/png;base64,{encoded}");
                json!({"model": self.config.model, "input": [{"type": "image_url", "image_url": {"url": url}}]})
            }
            RemoteKind::Webhook => json!({"type": "moderation.requested", "images": [encoded]}),
        }
    }

    /// Findings with the numbers of the results that they are in, of which there must be `wanted`.
    async fn ask(&self, body: &Value, wanted: usize) -> Result<Vec<(usize, Finding)>, Failure> {
        let reply = self.transport.post(body.to_string()).await.map_err(Failure::Transient)?;
        match reply.status {
            200..=299 => {}
            408 | 425 | 429 | 500.. => return Err(Failure::Transient(format!("it answered {}", reply.status))),
            status => return Err(Failure::Permanent(format!("it answered {status}"))),
        }
        let answer: Answer = serde_json::from_slice(&reply.body)
            .map_err(|error| Failure::Permanent(format!("its answer is not readable: {error}")))?;
        let got = answer.results.len();
        if got != wanted {
            return Err(Failure::Permanent(format!("it gave {got} results where there should be {wanted}")));
        }
        Ok(answer.results.iter().enumerate().flat_map(|(i, result)| findings(result).map(move |f| (i, f))).collect())
    }

    async fn ask_with_retries(&self, body: &Value, wanted: usize) -> Result<Vec<(usize, Finding)>, String> {
        let ask = || self.ask(body, wanted);
        let asking = ask.retry(self.config.retry.backoff()).when(|failure| matches!(failure, Failure::Transient(_)));
        asking.await.map_err(|(Failure::Transient(why) | Failure::Permanent(why))| why)
    }

    /// The findings; if the service does not answer, what the configuration makes of that.
    async fn findings(&self, body: &Value, wanted: usize) -> Result<Vec<(usize, Finding)>, Unavailable> {
        let asked = if self.breaker.is_open() {
            Err("it did not answer before".to_owned())
        } else {
            let asked = self.ask_with_retries(body, wanted).await;
            self.breaker.record(asked.is_ok());
            asked
        };
        match asked {
            Ok(findings) => Ok(findings),
            Err(why) if self.config.fail_open => {
                tracing::warn!(error = why, "remote moderation failed, and the request passes without it (fail open)");
                Ok(Vec::new())
            }
            Err(why) => Err(unavailable(why)),
        }
    }
}

fn findings(result: &ServiceResult) -> impl Iterator<Item = Finding> {
    let score = |category: &String| result.category_scores.get(category).copied().flatten();
    let flagged = result.categories.iter().filter(|(_, flagged)| **flagged == Some(true));
    let named = flagged.map(move |(category, _)| Finding {
        category: category.clone(),
        score: score(category).unwrap_or(FLAGGED).max(FLAGGED),
        rule: "remote".to_owned(),
    });
    let unnamed = result.flagged && !result.categories.values().any(|flagged| *flagged == Some(true));
    let unnamed = unnamed.then(|| Finding { category: "other".to_owned(), score: FLAGGED, rule: "remote".to_owned() });
    named.chain(unnamed)
}

#[async_trait]
impl Moderator for Remote {
    fn name(&self) -> &'static str {
        "remote"
    }

    async fn review(&self, texts: &[&str]) -> Result<Vec<(usize, Finding)>, Unavailable> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        self.findings(&self.body(texts), texts.len()).await
    }

    fn categories(&self) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait]
impl ImageModerator for Remote {
    async fn review_image(&self, image: &Image) -> Result<Vec<Finding>, Unavailable> {
        let image = image.clone();
        let png = tokio::task::spawn_blocking(move || imaging::to_png(&image)).await;
        let png =
            png.map_err(|error| unavailable(error.to_string()))?.map_err(|error| unavailable(error.to_string()))?;
        let findings = self.findings(&self.image_body(&png), 1).await?;
        Ok(findings.into_iter().map(|(_, finding)| finding).collect())
    }

    fn categories(&self) -> Vec<String> {
        Vec::new()
    }
}

fn unavailable(why: String) -> Unavailable {
    Unavailable { link: "remote", why }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    /// Answers in turn; the last answer for ever.
    struct Scripted {
        answers: Vec<Result<(u16, &'static str), &'static str>>,
        calls: AtomicU32,
    }

    #[async_trait]
    impl ModerationTransport for Scripted {
        async fn post(&self, _: String) -> Result<ModerationReply, String> {
            let call = self.calls.fetch_add(1, Ordering::SeqCst) as usize;
            let answer = self.answers[call.min(self.answers.len() - 1)];
            answer.map(|(status, body)| ModerationReply { status, body: body.into() }).map_err(str::to_owned)
        }
    }

    type Answers = Vec<Result<(u16, &'static str), &'static str>>;

    fn remote(answers: Answers, fail_open: bool, pause: Duration) -> (Remote, Arc<Scripted>) {
        let poster = Arc::new(Scripted { answers, calls: AtomicU32::new(0) });
        let config = RemoteConfig {
            kind: RemoteKind::OpenAi,
            model: "omni".to_owned(),
            retry: RetryPolicy::constant(Duration::ZERO).at_most(2),
            fail_open,
            breaker: BreakerPolicy { after: 2, pause },
        };
        (Remote::new(config, poster.clone()), poster)
    }

    const CLEAN: &str = r#"{"results": [{"flagged": false, "categories": {"hate": false}}]}"#;
    const HATE: &str = r#"{"results": [{"flagged": true, "categories": {"hate": true, "x": null}, "category_scores": {"hate": 0.8}}]}"#;
    const NEVER: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn what_the_service_flags_is_found_and_one_failure_is_retried() {
        let (hook, poster) = remote(vec![Err("reset"), Ok((200, HATE)), Ok((200, CLEAN))], false, NEVER);
        let found = hook.review(&["x"]).await.unwrap();
        assert_eq!(found, [(0, Finding { category: "hate".to_owned(), score: 0.8, rule: "remote".to_owned() })]);
        assert_eq!(hook.review(&["x"]).await.unwrap(), []);
        assert_eq!(poster.calls.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_service_that_is_down_is_not_asked_for_a_while() {
        let (closed, poster) = remote(vec![Ok((503, ""))], false, NEVER);
        for _ in 0..5 {
            assert!(closed.review(&["x"]).await.is_err());
        }
        // Two requests of two attempts each; then the breaker is open.
        assert_eq!(poster.calls.load(Ordering::SeqCst), 4);
        let (open, _) = remote(vec![Ok((503, ""))], true, NEVER);
        assert_eq!(open.review(&["x"]).await.unwrap(), []);
        let down = [Ok((503, "")); 4].into_iter().chain([Ok((200, CLEAN))]).collect();
        let (back, _) = remote(down, false, Duration::ZERO);
        assert!(back.review(&["x"]).await.is_err() && back.review(&["x"]).await.is_err());
        assert_eq!(back.review(&["x"]).await.unwrap(), []);
    }

    #[tokio::test]
    async fn answers_that_make_no_sense_let_nothing_pass() {
        for answer in [(200, "{}"), (200, r#"{"results": []}"#), (401, ""), (302, "")] {
            let (hook, poster) = remote(vec![Ok(answer)], false, NEVER);
            assert!(hook.review(&["x"]).await.is_err(), "{answer:?}");
            assert_eq!(poster.calls.load(Ordering::SeqCst), 1, "{answer:?}");
        }
    }
}
