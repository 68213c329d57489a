//! What a sampler's arithmetic costs for one step, on the latents of a 512 x 512 image. Items are numbers of the sample.
//!
//!     cargo bench --bench schedulers

use divan::Bencher;
use divan::counter::ItemsCount;
use kandinsky::schedulers::{Prediction, SamplerOptions, SchedulerConfig, find, names};

/// Four channels of 64 x 64.
const LATENTS: usize = 4 * 64 * 64;
const STEPS: usize = 50;

fn main() {
    divan::main();
}

#[divan::bench(args = names())]
fn step(bencher: Bencher, name: &str) {
    let scheduler = find(name).unwrap();
    let config = SchedulerConfig::default();
    let mean = vec![0.1; LATENTS];
    let variance = vec![0.2; LATENTS];
    let sample = vec![0.3; LATENTS];
    bencher
        .counter(ItemsCount::new(LATENTS))
        // Steps must be taken in order, so each one that is measured is the second of a new sampler.
        .with_inputs(|| {
            let mut sampler = config.sampler_of(scheduler, STEPS, SamplerOptions::default()).unwrap();
            let prediction = Prediction { mean: &mean, variance: Some(&variance) };
            let first = sampler.step(0, prediction, &sample, &mut |count| vec![0.4; count]);
            (sampler, first.sample)
        })
        .bench_local_values(|(mut sampler, sample)| {
            let prediction = Prediction { mean: &mean, variance: Some(&variance) };
            sampler.step(1, prediction, &sample, &mut |count| vec![0.4; count])
        });
}
