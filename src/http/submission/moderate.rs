//! Moderation of a request's texts, and its reports: to the client, the log and the metrics.
//!
//! Invariant: a request that moderation refuses is not queued, and the response says why.

use crate::domain::Finding;
use crate::http::context::AppState;
use crate::http::error::finding::FindingAnswer;
use crate::http::error::problem::Problem;
use crate::http::extract::request_context::RequestContext;
use crate::metrics::MODERATION_FINDINGS;

/// Moderate the texts of a request, each with its JSON pointer: the findings that do not refuse it, or else the refusal.
pub(crate) async fn moderate_texts(
    state: &AppState,
    context: &RequestContext,
    texts: &[(String, String)],
) -> Result<Vec<Finding>, Problem> {
    let plain: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
    let ruling = state.moderation.review(&plain, context.caller.moderation_policy()).await.map_err(|error| {
        tracing::error!(request.id = context.request_id, %error, "a request is refused: moderation failed");
        Problem::unmoderated()
    })?;
    let action = if ruling.refused { "refused" } else { "noted" };
    for (_, finding) in &ruling.findings {
        tracing::info!(
            request.id = context.request_id,
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
        FindingAnswer::from(finding).at(pointer)
    });
    Err(Problem::blocked("the prompt is not allowed", answers.collect()))
}
