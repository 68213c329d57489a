//! The files of a job's images, from the store.

use crate::domain::ImageMeta;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::extract::request_context::RequestContext;
use crate::jobs::Files;
use crate::records::Job;

/// Bytes of a file for a pixel, at most or nearly so: as it is, and in base64.
const BYTES_PER_PIXEL: u64 = 7;

/// Take room for the files of these images, whose sizes are not known before they are read.
pub(crate) async fn reserve_files(context: &RequestContext, images: &[ImageMeta]) -> Result<(), Problem> {
    let pixels = images.iter().map(|image| u64::from(image.width) * u64::from(image.height));
    context.reserve_answer(pixels.sum::<u64>().saturating_mul(BYTES_PER_PIXEL)).await
}

/// Read the files of all images of a job.
pub(crate) async fn read_stored_files(state: &AppState, context: &RequestContext, job: &Job) -> Result<Files, Problem> {
    reserve_files(context, &job.images).await?;
    let mut files = Vec::with_capacity(job.images.len());
    for image in &job.images {
        files.push(state.jobs.file(job, image.index).await?.ok_or_else(|| Problem::gone("file of the image"))?);
    }
    Ok(Files::new(files))
}
