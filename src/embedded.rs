//! kandinsky-mini inside the binary. Its pages are mapped with the program and read when they are used.

use std::borrow::Cow;

use rust_embed::Embed;

#[derive(Embed)]
#[folder = "models/kandinsky-mini"]
#[include = "*.json"]
#[include = "*.safetensors"]
#[include = "*.txt"]
struct Files;

/// A file of the model by its path below `models/kandinsky-mini`.
pub fn lookup(path: &str) -> Option<Cow<'static, [u8]>> {
    Files::get(path).map(|file| file.data)
}
