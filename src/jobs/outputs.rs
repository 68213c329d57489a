//! From finished images to files in the store.
//!
//! Invariants: a file that was stored is not written again, and is counted once; one that cannot be stored is kept until it
//! can.

use std::time::Duration;

use super::inputs;
use super::review::Reviewed;
use super::state::State;
use crate::domain::ImageMeta;
use crate::imaging::{EncodeError, Metadata};
use crate::metrics;
use crate::records::Job;
use crate::retry::RetryPolicy;

/// For each file: as often as it takes.
const WRITE_RETRY: RetryPolicy = RetryPolicy::doubling(Duration::from_millis(100), Duration::from_secs(5));

/// What encodes one of a job's images as it wants them: its description, and its file.
pub(super) fn encoding(
    state: &State,
    job: &Job,
    index: u32,
    reviewed: Reviewed,
) -> impl FnOnce() -> Result<(ImageMeta, Vec<u8>), EncodeError> + Send + 'static {
    let (output, origin, encoder) = (job.spec.output, job.mode.origin(), state.config.encoder.clone());
    let seed = job.spec.generation.common.seed.wrapping_add(u64::from(index));
    let parameters = job.spec.parameters.clone();
    move || {
        let Reviewed { image, findings, blurred } = reviewed;
        let file = encoder.finished(&image, &output, &Metadata { origin, seed, parameters: &parameters })?;
        let (width, height, bytes) = (image.width(), image.height(), file.len() as u64);
        Ok((ImageMeta { index, seed, width, height, format: output.format, bytes, findings, blurred }, file))
    }
}

/// Store the files of a job's images, however long that takes.
pub(super) async fn write(state: &State, job: &Job, metas: &[ImageMeta], files: &[Vec<u8>]) {
    for (meta, file) in metas.iter().zip(files) {
        let name = inputs::result_name(job, meta);
        let mut failures = 0;
        while let Err(error) = state.blobs.put(job.id, &name, file.clone()).await {
            tracing::warn!(job.id = %job.id, %error, "an image cannot be stored; it is kept until it can");
            state.storage.close(file.len());
            failures += 1;
            tokio::time::sleep(WRITE_RETRY.pause_after(failures).unwrap_or(WRITE_RETRY.longest_pause)).await;
            state.wait_storable().await;
        }
        metrics::BLOB_WRITTEN.add(file.len() as u64, []);
    }
}
