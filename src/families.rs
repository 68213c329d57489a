//! The model families, a folder each.

pub mod kandinsky21;
