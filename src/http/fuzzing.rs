//! Entry points for fuzzing: request bodies are read as the routes read them, without a server.
//!
//! Invariant: this does nothing that a route does not do before it uses the model.

use std::pin::Pin;

use axum::body::Body as Bytes;
use axum::extract::{FromRequest as _, Request};
use axum::http::header;

use super::extract::body::Body;
use crate::domain::{Common, Limits, SizePolicy};
use crate::modes::request::{ImageDecoder, ModeBody};
use crate::modes::{Generation, GenerationMode, Mode, ModeVisitor};

/// Small limits, for throughput.
const LIMITS: Limits = Limits {
    max_side: 256,
    max_pixels: 1 << 16,
    max_areas: 16,
    max_input_side: 256,
    max_input_pixels: 1 << 16,
    max_steps: 500,
    max_pictures: 8,
    max_prompt_chars: 4000,
    size_policy: SizePolicy::Refuse,
    max_enlarged_pixels: 1 << 20,
};

/// Read a body of the mode of this number, decode its images and check the request. True: it would be queued.
pub async fn read(mode: u8, content_type: &str, body: Vec<u8>) -> bool {
    let Ok(request) = Request::builder().header(header::CONTENT_TYPE, content_type).body(Bytes::from(body)) else {
        return false;
    };
    let mode = Mode::ALL[usize::from(mode) % Mode::ALL.len()];
    mode.visit(ReadBody(request)).await
}

/// Reads a request as the body of a mode.
struct ReadBody(Request);

impl ModeVisitor for ReadBody {
    type Output = Pin<Box<dyn Future<Output = bool>>>;

    fn visit<M: GenerationMode>(self) -> Self::Output {
        Box::pin(is_accepted::<M::Body>(self.0))
    }
}

async fn is_accepted<B: ModeBody>(request: Request) -> bool {
    let Ok(body) = Body::<B>::from_request(request, &()).await else { return false };
    let mut decoder = ImageDecoder::new(&LIMITS, body.reading.violations);
    let Some(input) = body.value.into_input(&mut decoder) else { return false };
    Generation { input, common: Common::default() }.check(&LIMITS, Some(64)).is_ok()
        && decoder.finish().is_ok_and(|violations| violations.0.is_empty())
}
