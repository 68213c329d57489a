//! Pictures like one picture.

use serde::{Deserialize, Serialize};

use super::Picture;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageVariations {
    pub image: Picture,
}
