//! Parity with the reference implementation: every case of a fixture folder, stage by stage, on every backend.
//!
//! `KANDINSKY_PARITY_DIR` names the folder (default: the copy beside this file), `KANDINSKY_RNG_DIR` that of the random
//! numbers. A folder of the same layout, with networks of other sizes, passes without a change of code. A case of
//! an unknown kind fails. Arguments that are no flags select cases by a part of their name.
//!
//! In f32 the CPU's kernels and candle's operations are held to the same limits. In half precision candle's operations are
//! held to the limits below, and the errors that are printed are those of `docs/precision.md`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "fixtures are small"
)]

mod compare;
mod fixture;
mod pipelines;
mod random;
mod schedulers;
mod stages;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use candle_core::{DType, Device};
use compare::{Outcome, compare};
use fixture::{Array, Case, Cases, Fixture};
use kandinsky::tensor::Compute;

type Outputs = BTreeMap<String, Array>;

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    match run(&filters) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            println!("{failed} parity cases failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("parity: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn folder(variable: &str, default: &str) -> PathBuf {
    let own = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(default);
    std::env::var_os(variable).map_or_else(own, PathBuf::from)
}

/// What cases are computed with, and how far the result may be from the reference.
struct Pass {
    name: &'static str,
    compute: Compute,
    limit: Limit,
}

#[derive(Clone, Copy)]
enum Limit {
    /// As the fixture says: for f32.
    OfCase,
    /// Of one network's result; whole pipelines, which amplify an error with each step, must only be finite.
    OfNetworks(f64),
}

/// Relative L2 error of a network's outputs with activations in f16: 11 bits of mantissa, about twice what was measured.
const F16_LIMIT: f64 = 4e-2;
/// In bf16: 8 bits of mantissa.
const BF16_LIMIT: f64 = 0.15;

/// Kinds of cases that no network takes part in: the same on every backend.
const WITHOUT_NETWORKS: [&str; 7] = [
    "tokenizer",
    "clip_preprocess",
    "prepare_image",
    "prepare_mask_and_image",
    "latent_mask",
    "scheduler",
    "img2img_tables",
];
/// Kinds of cases that one network is called in.
const ONE_NETWORK: [&str; 8] =
    ["clip_text", "clip_vision", "mclip", "prior_forward", "unet", "movq_encode", "movq_decode", "spatial_norm"];

fn passes() -> Result<Vec<Pass>> {
    let candle = |dtype| Compute::candle(Device::Cpu, dtype);
    Ok(vec![
        Pass { name: "cpu", compute: Compute::cpu(), limit: Limit::OfCase },
        Pass { name: "candle f32", compute: candle(DType::F32)?, limit: Limit::OfCase },
        Pass { name: "candle f16", compute: candle(DType::F16)?, limit: Limit::OfNetworks(F16_LIMIT) },
        Pass { name: "candle bf16", compute: candle(DType::BF16)?, limit: Limit::OfNetworks(BF16_LIMIT) },
    ])
}

impl Pass {
    /// How far the outputs of a case may be from the reference.
    fn tolerance(&self, case: &Case) -> f64 {
        match self.limit {
            Limit::OfCase => case.tolerance,
            Limit::OfNetworks(limit) if ONE_NETWORK.contains(&case.runner.as_str()) => limit,
            Limit::OfNetworks(_) => f64::INFINITY,
        }
    }

    /// Whether pixels must be those of the reference.
    fn compares_pixels(&self) -> bool {
        matches!(self.limit, Limit::OfCase)
    }
}

fn run(filters: &[String]) -> Result<usize> {
    let root = folder("KANDINSKY_PARITY_DIR", "a");
    let cases: Cases = serde_json::from_slice(&std::fs::read(root.join("cases.json"))?)?;
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let mut failed = 0;
    let mut report = |name: &str, limit: f64, outcome: Result<Outcome>| {
        let outcome = outcome.unwrap_or_else(|error| Outcome::failed(format!("{error:#}")));
        let (worst, output) = &outcome.worst;
        println!("{name:36} {:>10.2e} {worst:>10.2e} {limit:>8.0e}  {output}", outcome.result);
        for failure in &outcome.failures {
            println!("    FAILED {failure}");
        }
        failed += usize::from(!outcome.failures.is_empty());
    };
    for (index, pass) in passes()?.iter().enumerate() {
        println!("{:36} {:>10} {:>10} {:>8}  worst output", pass.name, "result", "worst", "limit");
        for case in cases.cases.iter().filter(|case| wanted(&case.name)) {
            if index == 0 || !WITHOUT_NETWORKS.contains(&case.runner.as_str()) {
                report(&case.name, pass.tolerance(case), run_case(&root, case, pass));
            }
        }
    }
    if wanted("rng") {
        report("rng", random::LIMIT, random::check(&folder("KANDINSKY_RNG_DIR", "rng")));
    }
    Ok(failed)
}

fn run_case(root: &std::path::Path, case: &Case, pass: &Pass) -> Result<Outcome> {
    let fixture = Fixture::load(root, case, &pass.compute)?;
    let mut pictures = Vec::new();
    let outputs = match case.runner.as_str() {
        "tokenizer" => stages::tokenizer(&fixture),
        "clip_text" => stages::clip_text(&fixture),
        "clip_vision" => stages::clip_vision(&fixture),
        "clip_preprocess" => stages::clip_preprocess(&fixture),
        "prepare_image" => stages::prepare_image(&fixture),
        "prepare_mask_and_image" => stages::prepare_mask_and_image(&fixture),
        "latent_mask" => stages::latent_mask(&fixture),
        "mclip" => stages::mclip(&fixture),
        "prior_forward" => stages::prior_forward(&fixture),
        "unet" => stages::unet(&fixture),
        "movq_encode" => stages::movq_encode(&fixture),
        "movq_quantize" => stages::movq_quantize(&fixture),
        "movq_decode" => stages::movq_decode(&fixture),
        "spatial_norm" => stages::spatial_norm(&fixture),
        "scheduler" => schedulers::scheduler(&fixture),
        "img2img_tables" => schedulers::img2img_tables(&fixture),
        "prior_pipeline" => pipelines::prior_pipeline(&fixture),
        "prior_interpolate" => pipelines::prior_interpolate(&fixture),
        "text2img" => pipelines::text2img(&fixture, &mut pictures),
        "chain" => pipelines::chain(&fixture, &mut pictures),
        "img2img" => pipelines::img2img(&fixture, &mut pictures),
        "inpaint" => pipelines::inpaint(&fixture, &mut pictures),
        other => bail!("unknown case kind {other:?}"),
    }?;
    let mut outcome = compare(&outputs, &fixture.outputs, pass.tolerance(case));
    if case.pngs.len() != pictures.len() {
        outcome.failures.push(format!("{} pictures instead of {}", pictures.len(), case.pngs.len()));
    }
    for (file, got) in case.pngs.iter().zip(&pictures) {
        let want = stages::read_rgb(&root.join(file))?;
        let difference = got.pixels().iter().zip(want.pixels()).map(|(a, b)| a.abs_diff(*b)).max();
        if got.size() != want.size() || (pass.compares_pixels() && difference > Some(1)) {
            outcome.failures.push(format!("{file}: {}x{} differs by {difference:?}", got.width(), got.height()));
        }
    }
    Ok(outcome)
}
