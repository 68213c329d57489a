//! Pixels of waiting jobs in the store and back, and the names of files.
//!
//! Invariant: what is read back is what was written, bit by bit (PNG is lossless).

use uuid::Uuid;

use crate::domain::ImageMeta;
use crate::imaging;
use crate::modes::CheckedGeneration;
use crate::records::Job;
use crate::store::{BlobStore, StoreError};

/// What the names of a job's input files start with.
pub(super) const PREFIX: &str = "input-";

/// The name of a finished image's file. Each run has names of its own, so that one that was believed lost, and wakes up late,
/// does not touch the files of the run that took its place.
pub(super) fn result_name(job: &Job, image: &ImageMeta) -> String {
    match job.epoch {
        ..=1 => first_name(image),
        epoch => format!("{epoch}-{}", first_name(image)),
    }
}

/// The name of the first run's file.
fn first_name(image: &ImageMeta) -> String {
    format!("{}.{}", image.index, image.format.name())
}

/// The file of a finished image.
pub(super) async fn read_result(
    blobs: &dyn BlobStore,
    job: &Job,
    image: &ImageMeta,
) -> Result<Option<Vec<u8>>, StoreError> {
    match blobs.get(job.id, &result_name(job, image)).await? {
        // Earlier versions had one name for all runs.
        None if job.epoch > 1 => blobs.get(job.id, &first_name(image)).await,
        found => Ok(found),
    }
}

/// Whether the file of a finished image is there.
pub(super) async fn has_result(blobs: &dyn BlobStore, job: &Job, image: &ImageMeta) -> Result<bool, StoreError> {
    let has = blobs.has(job.id, &result_name(job, image)).await?;
    Ok(has || job.epoch > 1 && blobs.has(job.id, &first_name(image)).await?)
}

fn image_name(index: usize) -> String {
    format!("{PREFIX}picture-{index}.png")
}

fn mask_name(index: usize) -> String {
    format!("{PREFIX}mask-{index}.png")
}

/// Run image work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Failed(error.to_string()))?;
    done.map_err(StoreError::Failed)
}

/// Write all pixels of a request.
pub(super) async fn write(
    blobs: &dyn BlobStore,
    id: Uuid,
    mut generation: CheckedGeneration,
) -> Result<(), StoreError> {
    let files = blocking(move || {
        let (images, masks) = generation.images_mut();
        let mut files = Vec::new();
        for (i, image) in images.into_iter().enumerate() {
            files.push((image_name(i), imaging::to_png(image).map_err(|error| error.to_string())?));
        }
        for (i, mask) in masks.into_iter().enumerate() {
            files.push((mask_name(i), imaging::to_png(mask).map_err(|error| error.to_string())?));
        }
        Ok(files)
    })
    .await?;
    for (name, bytes) in files {
        blobs.put(id, &name, bytes).await?;
    }
    Ok(())
}

/// A job's request with its pixels.
pub(super) async fn read(blobs: &dyn BlobStore, job: &Job) -> Result<CheckedGeneration, StoreError> {
    let mut generation = job.spec.generation.clone();
    let (images, mask) = generation.images_mut();
    let (images, masks) = (images.len(), usize::from(mask.is_some()));
    let mut files = Vec::new();
    for name in (0..images).map(image_name).chain((0..masks).map(mask_name)) {
        let bytes = blobs.get(job.id, &name).await?;
        files.push(bytes.ok_or_else(|| StoreError::Failed(format!("the file {name} of the job is gone")))?);
    }
    if files.is_empty() {
        return Ok(generation);
    }
    blocking(move || {
        let mut files = files.into_iter();
        let (images, mask) = generation.images_mut();
        for (image, bytes) in images.into_iter().zip(files.by_ref()) {
            *image = imaging::from_png(&bytes, image.channels()).map_err(|error| error.to_string())?;
        }
        for (mask, bytes) in mask.into_iter().zip(files) {
            *mask = imaging::from_png(&bytes, mask.channels()).map_err(|error| error.to_string())?;
        }
        Ok(generation)
    })
    .await
}
