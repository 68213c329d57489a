//! Stored images in another format or size.

use crate::domain::{Image, ImageMeta, Output};
use crate::http::client::ClientId;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::imaging;
use crate::records::Job;

/// How to encode a stored image again.
pub(crate) struct Reencode<'a> {
    /// Who asks for it.
    pub(crate) client: &'a ClientId,
    pub(crate) job: &'a Job,
    pub(crate) image: &'a ImageMeta,
    pub(crate) output: Output,
    /// Of a thumbnail, px; None: the image's own.
    pub(crate) width: Option<u32>,
}

/// Encode the file of a stored image again. Thumbnails are not signed.
pub(crate) async fn reencode(state: &AppState, file: Vec<u8>, how: Reencode<'_>) -> Result<Vec<u8>, Problem> {
    let Reencode { client, job, image, output, width } = how;
    let (encoder, origin, seed) = (state.encoder.clone(), job.mode.origin(), image.seed);
    let (parameters, own_width) = (job.spec.parameters.clone(), image.width);
    // As it is decoded, and as it is encoded again.
    let bytes = 2 * Image::RGBA as u64 * u64::from(image.width) * u64::from(image.height);
    let permit = state.decoding.reserve_own(client, bytes).await?;
    let encoding = tokio::task::spawn_blocking(move || {
        // As long as it works, also when the client is gone.
        let _permit = permit;
        let pixels = imaging::thumbnail(&file, width.unwrap_or(own_width)).map_err(|error| error.to_string())?;
        let metadata = imaging::Metadata { origin, seed, parameters: &parameters };
        let encoded = match width {
            Some(_) => encoder.unsigned(&pixels, &output, &metadata),
            None => encoder.finished(&pixels, &output, &metadata),
        };
        encoded.map_err(|error| error.to_string())
    });
    encoding.await.map_err(|error| error.to_string()).and_then(|encoded| encoded).map_err(|error| {
        tracing::error!(error, "a stored image cannot be encoded again");
        Problem::internal()
    })
}
