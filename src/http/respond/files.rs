//! The files of a job's images, from the store.

use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::jobs::Files;
use crate::records::Job;

/// Read the files of all images of a job.
pub(crate) async fn read_stored_files(state: &AppState, job: &Job) -> Result<Files, Problem> {
    let mut files = Vec::with_capacity(job.images.len());
    for image in &job.images {
        files.push(state.jobs.file(job, image.index).await?.ok_or_else(|| Problem::gone("file of the image"))?);
    }
    Ok(Files::new(files))
}
