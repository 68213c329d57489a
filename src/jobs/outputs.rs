//! From finished images to files in the store.
//!
//! Invariant: a file that was stored is not written again, and is counted once.

use std::time::Duration;

use backon::Retryable as _;

use super::inputs;
use super::interrupted::{Interrupted, internal};
use super::review::Reviewed;
use super::state::State;
use crate::domain::ImageMeta;
use crate::imaging::{EncodeError, Metadata};
use crate::metrics;
use crate::records::Job;
use crate::retry::{RetryPolicy, until_canceled};
use crate::store::StoreError;

/// For each file: a store that is out of reach is given some time.
const WRITE_RETRY: RetryPolicy = RetryPolicy::doubling(Duration::from_millis(100), Duration::from_secs(1)).at_most(5);

/// Encode a job's images as it wants them.
pub(super) async fn encode(
    state: &State,
    job: &Job,
    images: Vec<Reviewed>,
) -> Result<(Vec<ImageMeta>, Vec<Vec<u8>>), Interrupted> {
    let (output, origin, encoder) = (job.spec.output, job.mode.origin(), state.config.encoder.clone());
    let (seed, parameters) = (job.spec.generation.common.seed, job.spec.parameters.clone());
    let encoding = tokio::task::spawn_blocking(move || {
        let (mut metas, mut files) = (Vec::new(), Vec::new());
        for (index, Reviewed { image, findings, blurred }) in images.into_iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let seed = seed.wrapping_add(u64::from(index));
            let file = encoder.finished(&image, &output, &Metadata { origin, seed, parameters: &parameters })?;
            let (width, height, bytes) = (image.width(), image.height(), file.len() as u64);
            metas.push(ImageMeta { index, seed, width, height, format: output.format, bytes, findings, blurred });
            files.push(file);
        }
        Ok::<_, EncodeError>((metas, files))
    });
    let encoded = encoding.await.map_err(|error| error.to_string());
    let encoded = encoded.and_then(|encoded| encoded.map_err(|error| error.to_string()));
    encoded.map_err(|error| Interrupted::Failed(internal(&error)))
}

/// Store the files of a job's images.
pub(super) async fn write(state: &State, job: &Job, metas: &[ImageMeta], files: &[Vec<u8>]) -> Result<(), StoreError> {
    for (meta, file) in metas.iter().zip(files) {
        let name = inputs::result_name(meta);
        let put = || state.blobs.put(job.id, &name, file.clone());
        put.retry(WRITE_RETRY.backoff())
            .sleep(until_canceled(&state.stop))
            .notify(|error: &StoreError, _| {
                tracing::warn!(job.id = %job.id, %error, "an image cannot be stored; trying again");
            })
            .await?;
        metrics::BLOB_WRITTEN.add(file.len() as u64, []);
    }
    Ok(())
}
