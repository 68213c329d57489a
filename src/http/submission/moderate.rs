//! Moderation of a request's texts, and its reports: to the client, the log and the metrics.
//!
//! Invariant: a request that moderation refuses is not queued, and the response says why.

use tracing::Instrument as _;

use crate::domain::Finding;
use crate::http::context::AppState;
use crate::http::error::finding::FindingAnswer;
use crate::http::error::problem::Problem;
use crate::http::extract::request_context::RequestContext;
use crate::metrics::MODERATION_FINDINGS;
use crate::moderation::PromptDecision;

/// Review texts that belong together, by the caller's policy. Long ones take a place until the work on them has ended, also when
/// their client is gone.
pub(crate) async fn review_texts(
    state: &AppState,
    context: &RequestContext,
    texts: Vec<String>,
) -> Result<PromptDecision, Problem> {
    let bytes = texts.iter().map(String::len).sum();
    let place = state.judging.enter_with_texts(&context.client, bytes).await?;
    let (moderation, policy) = (state.moderation.clone(), context.caller.moderation_policy().map(str::to_owned));
    let is_long = place.is_some();
    let review = async move {
        let _place = place;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        moderation.review(&texts, policy.as_deref()).await
    };
    let reviewed = if is_long {
        tokio::spawn(review.in_current_span()).await.map_err(|error| error.to_string())
    } else {
        Ok(review.await)
    };
    reviewed.and_then(|reviewed| reviewed.map_err(|error| error.to_string())).map_err(|error| {
        tracing::error!(request.id = context.request_id, error, "a request is refused: moderation failed");
        Problem::unmoderated()
    })
}

/// Moderate the texts of a request, each with its JSON pointer: the findings that do not refuse it, or else the refusal.
pub(crate) async fn moderate_texts(
    state: &AppState,
    context: &RequestContext,
    texts: &[(String, String)],
) -> Result<Vec<Finding>, Problem> {
    let plain = texts.iter().map(|(_, text)| text.clone()).collect();
    let ruling = review_texts(state, context, plain).await?;
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
