//! Moderation of a job's finished images, one by one, and what its decision means for the job.
//!
//! Invariant: an image that is refused is given to no caller, whatever becomes of its job.

use super::interrupted::{Interrupted, internal};
use super::state::State;
use crate::domain::{Failure, FailureKind, Finding, Image};
use crate::imaging;
use crate::metrics;
use crate::moderation::{Action, ImageDecision};
use crate::records::Job;

/// An image that may be given out.
pub(super) struct Reviewed {
    pub(super) image: Image,
    pub(super) findings: Vec<Finding>,
    pub(super) blurred: bool,
}

/// Moderate one of a job's images, if output moderation is on.
pub(super) async fn review(state: &State, job: &Job, index: u32, image: Image) -> Result<Reviewed, Interrupted> {
    let Some(moderation) = &state.config.output_moderation else {
        return Ok(Reviewed { image, findings: Vec::new(), blurred: false });
    };
    let decision = moderation.review(&image, job.spec.moderation_policy.as_deref()).await.map_err(|error| {
        tracing::error!(job.id = %job.id, %error, "an image cannot be moderated");
        let message = "moderation does not answer, and no image is returned without it";
        Interrupted::Failed(Failure::new(FailureKind::Unmoderated, message))
    })?;
    let ImageDecision { findings, refused } = decision;
    let action = match (refused, moderation.action) {
        (false, _) => "noted",
        (true, Action::Block) => "refused",
        (true, Action::Blur) => "blurred",
    };
    record_findings(job, index, &findings, action);
    match (refused, moderation.action) {
        (true, Action::Block) => {
            let message = format!("image {index} is refused by moderation");
            Err(Interrupted::Failed(Failure { kind: FailureKind::Blocked, message, findings }))
        }
        (true, Action::Blur) => {
            let blurred = tokio::task::spawn_blocking(move || imaging::blur(&image)).await;
            let image = blurred.map_err(|error| Interrupted::Failed(internal(&error.to_string())))?;
            Ok(Reviewed { image, findings, blurred: true })
        }
        (false, _) => Ok(Reviewed { image, findings, blurred: false }),
    }
}

fn record_findings(job: &Job, index: u32, findings: &[Finding], action: &'static str) {
    for finding in findings {
        tracing::info!(
            job.id = %job.id,
            job.owner = job.owner,
            image = index,
            moderation.category = finding.category,
            moderation.score = finding.score,
            moderation.rule = finding.rule,
            moderation.action = action,
            "moderation"
        );
        metrics::MODERATION_FINDINGS.add(1, ["picture", finding.link(), finding.known_category(), action]);
    }
}
