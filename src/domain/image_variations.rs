//! Pictures like one picture.

use super::Picture;

#[derive(Debug, Clone)]
pub struct ImageVariations {
    pub image: Picture,
}
