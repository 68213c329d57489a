//! Entry points for fuzzing: request bodies are read as the routes read them, without a server.
//!
//! Invariant: this does nothing that a route does not do before it uses the model.

use axum::body::Body as Bytes;
use axum::extract::{FromRequest as _, Request};
use axum::http::header;

use super::extract::body::Body;
use super::extract::image::Images;
use super::routes;
use super::submission::mode_body::ModeBody;
use crate::domain::Limits;

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
};

/// Read a body of the mode of this number, decode its images and check the request. True: it would be queued.
pub async fn read(mode: u8, content_type: &str, body: Vec<u8>) -> bool {
    let Ok(request) = Request::builder().header(header::CONTENT_TYPE, content_type).body(Bytes::from(body)) else {
        return false;
    };
    match mode % 7 {
        0 => checked::<routes::text_to_image::TextToImageBody>(request).await,
        1 => checked::<routes::image_to_image::ImageToImageBody>(request).await,
        2 => checked::<routes::image_variations::ImageVariationsBody>(request).await,
        3 => checked::<routes::image_fusion::ImageFusionBody>(request).await,
        4 => checked::<routes::text_image_fusion::TextImageFusionBody>(request).await,
        5 => checked::<routes::inpainting::InpaintingBody>(request).await,
        _ => checked::<routes::outpainting::OutpaintingBody>(request).await,
    }
}

async fn checked<B: ModeBody>(request: Request) -> bool {
    let Ok(body) = Body::<B>::from_request(request, &()).await else { return false };
    let mut images = Images::new(&LIMITS, body.violations);
    let (_, input) = body.value.into_input(&mut images);
    let Some(input) = input else { return false };
    let common = crate::domain::Common::default();
    crate::domain::Generation { input, common }.check(&LIMITS, Some(64)).is_ok()
        && images.into_problem().is_ok_and(|violations| violations.0.is_empty())
}
