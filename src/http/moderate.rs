//! Moderation of a request's texts, and what is told of it: to the client, the log and the metrics.
//!
//! Invariant: what is refused is refused before anything is queued, and says why.

use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use super::client::Client;
use super::problem::Problem;
use crate::domain::Finding;
use crate::telemetry::metrics::MODERATION_FINDINGS;

/// Something to object to.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FindingAnswer {
    #[schema(example = "violence/graphic")]
    pub(super) category: String,
    /// 0 to 1: how sure.
    #[schema(minimum = 0, maximum = 1)]
    score: f32,
    /// Who says so, and by what.
    #[schema(example = "lexicon: gore")]
    rule: String,
    /// JSON pointer to the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/prompt")]
    pointer: Option<String>,
}

impl From<Finding> for FindingAnswer {
    fn from(finding: Finding) -> Self {
        let Finding { category, score, rule } = finding;
        Self { category, score, rule, pointer: None }
    }
}

/// Judge the texts of a request, each with its JSON pointer: what was noted, or the refusal.
pub(super) async fn texts(
    state: &AppState,
    client: &Client,
    texts: &[(String, String)],
) -> Result<Vec<Finding>, Problem> {
    let plain: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
    let ruling = state.moderation.review(&plain, client.caller.moderation_policy()).await.map_err(|error| {
        tracing::error!(request.id = client.request_id, %error, "a request is refused");
        Problem::unmoderated()
    })?;
    let action = if ruling.refused { "refused" } else { "noted" };
    for (_, finding) in &ruling.findings {
        tracing::info!(
            request.id = client.request_id,
            moderation.category = finding.category,
            moderation.score = finding.score,
            moderation.rule = finding.rule,
            moderation.action = action,
            "moderation"
        );
        MODERATION_FINDINGS.add(1, ["prompt", finding.link(), finding.known_category(), action]);
    }
    if !ruling.refused {
        return Ok(ruling.into_findings());
    }
    let answers = ruling.findings.into_iter().map(|(i, finding)| {
        let pointer = texts.get(i).map(|(pointer, _)| pointer.clone());
        FindingAnswer { pointer, ..FindingAnswer::from(finding) }
    });
    Err(Problem::blocked("the prompt is not allowed here", answers.collect()))
}
