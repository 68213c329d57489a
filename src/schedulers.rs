//! Schedulers, as diffusers computes them.
//!
//! To add one: a file here with its [`SchedulerInfo`], its `mod` line, and its line in `table.rs`. Whatever lists schedulers
//! (the contract, the command line, error texts, diffusers' class names) reads that table.
//!
//! Invariant: a sampler holds the state of one sample only and works on plain `f32` slices, so a batch may mix
//! schedulers, step counts and timesteps, and no sampler knows about tensors or devices.
//!
//! ```
//! use kandinsky::schedulers::{Prediction, SamplerOptions, SchedulerConfig, find};
//!
//! // A network that always predicts the noise 0 leaves a sample of 0 where it is.
//! let euler = find("euler").unwrap();
//! let mut sampler = SchedulerConfig::default().sampler_of(euler, 10, SamplerOptions::default())?;
//! let mut sample = vec![0.0; 4];
//! for index in 0..sampler.timesteps().len() {
//!     let prediction = Prediction { mean: &[0.0; 4], variance: None };
//!     sample = sampler.step(index, prediction, &sample, &mut |count| vec![0.0; count]).sample;
//! }
//! assert_eq!(sample, [0.0; 4]);
//! # Ok::<(), kandinsky::schedulers::SchedulerError>(())
//! ```

mod build;
mod config;
mod ddim;
mod ddpm;
mod defaults;
mod dpmpp_2m;
mod error;
mod euler;
mod euler_ancestral;
mod img2img;
mod info;
mod posterior;
mod sampler;
mod schedule;
mod sigmas;
mod table;
mod timesteps;
mod unclip;
mod unipc;

pub use config::SchedulerConfig;
pub use ddpm::DDPM;
pub use error::SchedulerError;
pub use img2img::{
    EvenSteps, ImageStart, img2img_noise, img2img_start, img2img_timestep, img2img_window, spread_few_steps,
};
pub use info::{SamplerOptions, SchedulerInfo};
pub use sampler::{Noise, Prediction, Sampler, Step};
pub use schedule::Schedule;
pub use table::{find, find_by_class, find_by_label, find_sibling, names, own_name, parse, selectable};
pub use unclip::UNCLIP;
