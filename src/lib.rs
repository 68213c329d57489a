//! An inference server for Kandinsky 2.1 (Razzhigaev et al. 2023, arXiv 2310.03502).

pub mod domain;
pub mod hub;
pub mod imaging;
pub mod model;
