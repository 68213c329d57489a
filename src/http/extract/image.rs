//! Images of requests that are elsewhere: earlier results, and `https://` URLs.
//!
//! Invariant: they are fetched in the order of the request.

use super::caller::Caller;
use crate::domain::Violations;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::modes::request::{ImageBody, ImageReference};

/// Replace images that are elsewhere by their bytes.
pub(crate) async fn fetch_images(
    state: &AppState,
    caller: &Caller,
    images: Vec<(String, &mut ImageBody)>,
    violations: &mut Violations,
) -> Result<(), Problem> {
    for (pointer, image) in images {
        let found = match image {
            ImageBody::Reference(reference) => Some(earlier(state, caller, reference).await?),
            ImageBody::Text(text) if has_scheme(text, "https://") || has_scheme(text, "http://") => {
                Some(download(state, text).await)
            }
            _ => None,
        };
        match found {
            None => {}
            Some(Ok(bytes)) => *image = ImageBody::Bytes(bytes),
            Some(Err(message)) => {
                violations.add(pointer, message);
                *image = ImageBody::Missing;
            }
        }
    }
    Ok(())
}

/// Whether a text begins so, in capitals or not.
fn has_scheme(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

async fn earlier(
    state: &AppState,
    caller: &Caller,
    reference: &ImageReference,
) -> Result<Result<Vec<u8>, String>, Problem> {
    let unknown = || Ok(Err("refers to an image that does not exist (any more)".to_owned()));
    match state.jobs.get(reference.job).await? {
        Some(job) if caller.may_see(&job) && !state.jobs.is_expired(&job) => {
            match state.jobs.file(&job, reference.index).await? {
                Some(bytes) => Ok(Ok(bytes)),
                None => unknown(),
            }
        }
        _ => unknown(),
    }
}

async fn download(state: &AppState, url: &str) -> Result<Vec<u8>, String> {
    let Some(fetcher) = &state.fetcher else {
        return Err("is a URL; this server does not fetch images (fetch.enabled)".to_owned());
    };
    fetcher.get(url).await.map(|fetched| fetched.bytes).map_err(|error| error.to_string())
}
