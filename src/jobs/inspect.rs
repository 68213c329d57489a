//! The hook on finished pictures: what moderation says of them, and what that means for their job.
//!
//! Invariant: a picture that is refused is seen by nobody, whatever becomes of its job.

use super::Inner;
use super::run::{Stopped, internal};
use crate::domain::{Failure, FailureKind, Finding, Image};
use crate::imaging;
use crate::metrics;
use crate::moderation::{Action, ImageDecision};
use crate::records::Job;

/// A picture that may leave.
pub(super) struct Inspected {
    pub(super) image: Image,
    pub(super) findings: Vec<Finding>,
    pub(super) blurred: bool,
}

/// Have a job's pictures judged, if there is anybody to judge them.
pub(super) async fn inspect(inner: &Inner, job: &Job, images: Vec<Image>) -> Result<Vec<Inspected>, Stopped> {
    let mut inspected = Vec::with_capacity(images.len());
    for (index, image) in images.into_iter().enumerate() {
        let Some(results) = &inner.config.output_moderation else {
            inspected.push(Inspected { image, findings: Vec::new(), blurred: false });
            continue;
        };
        let verdict = results.review(&image, job.spec.moderation_policy.as_deref()).await.map_err(|error| {
            tracing::error!(job.id = %job.id, %error, "a picture cannot be moderated");
            let message = "moderation does not answer, and no picture is given out without it";
            Stopped::Failed(Failure::new(FailureKind::Unmoderated, message))
        })?;
        let action = match (verdict.refused, results.action) {
            (false, _) => "noted",
            (true, Action::Block) => "refused",
            (true, Action::Blur) => "blurred",
        };
        note(job, index, &verdict.findings, action);
        let ImageDecision { findings, refused } = verdict;
        match (refused, results.action) {
            (true, Action::Block) => {
                let message = format!("picture {index} is not allowed here");
                return Err(Stopped::Failed(Failure { kind: FailureKind::Blocked, message, findings }));
            }
            (true, Action::Blur) => {
                let blurred = tokio::task::spawn_blocking(move || imaging::blur(&image)).await;
                let image = blurred.map_err(|error| Stopped::Failed(internal(&error.to_string())))?;
                inspected.push(Inspected { image, findings, blurred: true });
            }
            (false, _) => inspected.push(Inspected { image, findings, blurred: false }),
        }
    }
    Ok(inspected)
}

fn note(job: &Job, index: usize, findings: &[Finding], action: &'static str) {
    for finding in findings {
        tracing::info!(
            job.id = %job.id,
            job.owner = job.owner,
            picture = index,
            moderation.category = finding.category,
            moderation.score = finding.score,
            moderation.rule = finding.rule,
            moderation.action = action,
            "moderation"
        );
        metrics::MODERATION_FINDINGS.add(1, ["picture", finding.link(), finding.known_category(), action]);
    }
}
