//! Parity with the reference implementation: every case of a fixture folder, stage by stage.
//!
//! `KANDINSKY_PARITY_DIR` names the folder (default: the copy beside this file), `KANDINSKY_RNG_DIR` that of the random
//! numbers. A folder made by the same script with another seed and other sizes passes without a change of code. A case of
//! an unknown kind fails. Arguments that are no flags select cases by a part of their name.

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
use compare::{Outcome, compare};
use fixture::{Array, Case, Cases, Fixture};

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

fn run(filters: &[String]) -> Result<usize> {
    let root = folder("KANDINSKY_PARITY_DIR", "a");
    let cases: Cases = serde_json::from_slice(&std::fs::read(root.join("cases.json"))?)?;
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    println!("{:36} {:>10} {:>8}  worst output", "case", "error", "limit");
    let mut failed = 0;
    let mut report = |name: &str, limit: f64, outcome: Result<Outcome>| {
        let (error, worst, failures) = match outcome {
            Ok(outcome) => (outcome.worst.0, outcome.worst.1, outcome.failures),
            Err(error) => (f64::NAN, String::new(), vec![format!("{error:#}")]),
        };
        println!("{name:36} {error:>10.2e} {limit:>8.0e}  {worst}");
        for failure in &failures {
            println!("    FAILED {failure}");
        }
        failed += usize::from(!failures.is_empty());
    };
    for case in cases.cases.iter().filter(|case| wanted(&case.name)) {
        report(&case.name, case.tolerance, run_case(&root, case));
    }
    if wanted("rng") {
        report("rng", random::LIMIT, random::check(&folder("KANDINSKY_RNG_DIR", "rng")));
    }
    Ok(failed)
}

fn run_case(root: &std::path::Path, case: &Case) -> Result<Outcome> {
    let fixture = Fixture::load(root, case)?;
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
    let mut outcome = compare(&outputs, &fixture.outputs, case.tolerance);
    if case.pngs.len() != pictures.len() {
        outcome.failures.push(format!("{} pictures instead of {}", pictures.len(), case.pngs.len()));
    }
    for (file, got) in case.pngs.iter().zip(&pictures) {
        let want = stages::read_rgb(&root.join(file))?;
        let difference = got.pixels().iter().zip(want.pixels()).map(|(a, b)| a.abs_diff(*b)).max();
        if got.size() != want.size() || difference > Some(1) {
            outcome.failures.push(format!("{file}: {}x{} differs by {difference:?}", got.width(), got.height()));
        }
    }
    Ok(outcome)
}
