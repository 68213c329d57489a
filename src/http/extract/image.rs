//! Images of requests that are elsewhere: earlier results, and `https://` URLs.
//!
//! Invariant: they are fetched in the order of the request, few of them, all within one time limit, and what they take is
//! taken from the request's share of memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::caller::Caller;
use crate::domain::Violations;
use crate::fetch::{Fetcher, Room};
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::http::middleware::body_permit::BodyPermit;
use crate::modes::request::{ImageBody, ImageReference};

/// Most images of a request that are elsewhere. No mode takes as many.
const MAX_ELSEWHERE: usize = 16;

impl Room for BodyPermit {
    fn owner(&self) -> Arc<str> {
        self.client().name()
    }

    fn take(&self, bytes: u64) -> bool {
        self.try_grow(bytes)
    }
}

/// Replace images that are elsewhere by their bytes, which count as part of the request's body.
pub(crate) async fn fetch_images(
    state: &AppState,
    caller: &Caller,
    images: Vec<(String, &mut ImageBody)>,
    permit: Option<&BodyPermit>,
    violations: &mut Violations,
) -> Result<(), Problem> {
    let elsewhere = images.iter().filter(|(_, image)| is_elsewhere(image)).count();
    if elsewhere > MAX_ELSEWHERE {
        violations.add("", format!("at most {MAX_ELSEWHERE} images may be given by reference, not {elsewhere}"));
        return Ok(());
    }
    // One time limit for all of them.
    let deadline = Instant::now() + state.fetcher.as_ref().map_or(Duration::ZERO, Fetcher::timeout);
    for (pointer, image) in images {
        let found = match image {
            ImageBody::Reference(reference) => {
                let found = earlier(state, caller, reference).await?;
                if let (Some(permit), Ok(bytes)) = (permit, &found) {
                    permit.grow(bytes.len() as u64).await?;
                }
                Some(found)
            }
            ImageBody::Text(text) if is_url(text) => {
                let late = || Err("was not received in time".to_owned());
                Some(timeout_at(deadline, download(state, text, permit)).await.unwrap_or_else(|_| late()))
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

fn is_elsewhere(image: &ImageBody) -> bool {
    match image {
        ImageBody::Reference(_) => true,
        ImageBody::Text(text) => is_url(text),
        _ => false,
    }
}

fn is_url(text: &str) -> bool {
    let begins = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    begins("https://") || begins("http://")
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

async fn download(state: &AppState, url: &str, permit: Option<&BodyPermit>) -> Result<Vec<u8>, String> {
    let Some(fetcher) = &state.fetcher else {
        return Err("is a URL; this server does not fetch images (fetch.enabled)".to_owned());
    };
    let fetched = match permit {
        Some(permit) => fetcher.get_within(url, permit).await,
        None => fetcher.get(url).await,
    };
    fetched.map(|fetched| fetched.bytes).map_err(|error| error.explain(fetcher.allows_private(), "fetch.allow_private"))
}
