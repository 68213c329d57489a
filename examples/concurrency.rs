//! Times requests one after another and all at once on the model that ships with the project, and prints the ratio.
//!
//! `cargo run --release --example concurrency [-- COUNT STEPS ROUNDS]`; the first round warms up and is not counted.

#![allow(clippy::cast_precision_loss, reason = "small numbers")]

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use kandinsky::domain::{Common, DeviceChoice, Limits};
use kandinsky::engine::{Engine, EngineConfig, Event, GenerationRequest};
use kandinsky::families;
use kandinsky::modes::{Generation, TextToImage};
use tokio::sync::mpsc::UnboundedReceiver;

const PROMPTS: [&str; 8] = ["red heart", "пицца", "robot", "skull", "dog", "кошка на жёлтом фоне", "panda", "rocket"];

fn submit(engine: &Engine, number: usize, steps: u32) -> anyhow::Result<UnboundedReceiver<Event>> {
    let prompt = PROMPTS[number % PROMPTS.len()].to_owned();
    let common = Common { seed: number as u64, steps, ..Common::default() };
    let generation = Generation { input: TextToImage { prompt }.into(), common };
    Ok(engine.submit(GenerationRequest::new(generation.check(&Limits::UNBOUNDED, None)?))?)
}

fn wait(mut events: UnboundedReceiver<Event>) -> anyhow::Result<()> {
    while let Some(event) = events.blocking_recv() {
        match event {
            Event::Done(_) => return Ok(()),
            Event::Failed(failure) => return Err(failure.into()),
            _ => {}
        }
    }
    anyhow::bail!("the worker stopped")
}

fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let mut number = |usual: usize| numbers.next().unwrap_or(Ok(usual)).context("numbers, please");
    let (count, steps, rounds) = (number(8)?, u32::try_from(number(50)?)?, number(3)?);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/kandinsky-mini");
    let config =
        EngineConfig { devices: vec![DeviceChoice::Cpu], ..EngineConfig::new(families::open_folder(&folder)?) };
    let engine = Engine::start(config, |_| {})?;
    for round in 0..=rounds {
        let started = Instant::now();
        for number in 0..count {
            wait(submit(&engine, number, steps)?)?;
        }
        let serial = started.elapsed().as_secs_f64();
        let (before, started) = (engine.counters()[0], Instant::now());
        let all = (0..count).map(|number| submit(&engine, number, steps)).collect::<anyhow::Result<Vec<_>>>()?;
        all.into_iter().try_for_each(wait)?;
        let together = started.elapsed().as_secs_f64();
        let work = engine.counters()[0];
        let rows = (work.rows - before.rows) as f64 / (work.steps - before.steps) as f64;
        let each = |seconds: f64| 1e3 * seconds / count as f64;
        let name = if round == 0 { "warm-up" } else { "round" };
        println!(
            "{name} {round}: {count} one after another {:.1} ms each, at once {:.1} ms each ({:.2}x, {rows:.1} rows a step)",
            each(serial),
            each(together),
            serial / together
        );
    }
    Ok(())
}
