//! Images like one picture.

use serde::{Deserialize, Serialize};

use super::Image;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageVariations {
    pub image: Image,
}
