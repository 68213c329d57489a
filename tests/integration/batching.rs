//! Requests in flight share steps, and nothing of it shows in an image.

use kandinsky::domain::{Acceleration, Common, DeviceChoice, Image, PriorSettings, Scheduler, Size};
use kandinsky::engine::{Engine, EngineConfig, Event, GenerationRequest};
use kandinsky::families;
use kandinsky::generation;
use kandinsky::modes::{CheckedGeneration, Generation, ImageToImage, ImageVariations, Inpainting, Input, TextToImage};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::embedded::{checked, model_folder, quick, read, root, run, start, text, unchecked};
use crate::workers::counters;

/// Requests of several modes that differ in all that a row may differ in.
fn mixed() -> Vec<CheckedGeneration> {
    let heart = read(&root().join("tests/goldens/text_english.png"));
    let mask = Image::gray(64, 64, (0..64 * 64).map(|i| if i % 64 < 30 { 255 } else { 0 }).collect());
    let prior = |steps| PriorSettings { steps, ..PriorSettings::default() };
    let usual = Acceleration::default();
    let reusing = Acceleration { cache_interval: 3, ..usual };
    let middle = Acceleration { cache_interval: 2, guidance_start: 0.3, guidance_end: 0.7 };
    let repainting = Inpainting { composite: false, ..Inpainting::new(None, heart.clone(), mask.clone()) };
    let inpainting = Inpainting { composite: false, ..Inpainting::new(None, heart.clone(), mask) };
    let generation = |input, common| checked(Generation { input, common });
    vec![
        text("red heart", Common { steps: 9, seed: 1, prior: prior(5), ..quick() }),
        text("кошка на жёлтом фоне", Common { steps: 4, seed: 2, n: 3, ..quick() }),
        text("pizza", Common { guidance_scale: 1.0, seed: 3, steps: 6, ..quick() }),
        text("robot", Common { scheduler: Some(Scheduler::named("dpmpp_2m")), seed: 4, steps: 7, ..quick() }),
        text("skull", Common { scheduler: Some(Scheduler::named("euler_a")), seed: 5, prior: prior(8), ..quick() }),
        text("wide", Common { size: Some(Size { width: 96, height: 64 }), seed: 6, ..quick() }),
        text("dog", Common { negative_prompt: Some("blue".to_owned()), guidance_scale: 7.0, seed: 7, ..quick() }),
        generation(
            Input::ImageToImage(ImageToImage::new("panda".to_owned(), heart.clone(), Some(0.6))),
            Common { steps: 10, seed: 8, ..quick() },
        ),
        generation(Input::ImageVariations(ImageVariations { image: heart }), Common { seed: 9, ..quick() }),
        generation(Input::Inpainting(inpainting), Common { seed: 10, ..quick() }),
        text("pizza", Common { seed: 11, steps: 8, acceleration: reusing, ..quick() }),
        text("robot", Common { seed: 12, steps: 9, n: 2, acceleration: middle, ..quick() }),
        generation(
            Input::Inpainting(repainting),
            Common { seed: 14, steps: 6, acceleration: Acceleration { cache_interval: 4, ..usual }, ..quick() },
        ),
    ]
}

/// Wait for a request's end and give its images in order.
fn pictures(mut events: UnboundedReceiver<Event>) -> Vec<Image> {
    let mut pictures: Vec<(usize, Image)> = Vec::new();
    loop {
        match events.blocking_recv().expect("an end") {
            Event::Image { index, image: picture } => pictures.push((index, picture)),
            Event::Failed(failure) => panic!("{failure}"),
            Event::Done(_) => break,
            Event::Started | Event::Progress { .. } | Event::Preview { .. } => {}
        }
    }
    pictures.sort_by_key(|(index, _)| *index);
    pictures.into_iter().map(|(_, picture)| picture).collect()
}

/// A small generator of numbers below `most`, for arrivals.
fn draws(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |most| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    }
}

/// Send all requests at random distances (in batches run), with random priorities and previews; between them others come
/// that hang up midway.
fn arrive_at_random(engine: &Engine, seed: u64) -> Vec<Vec<Image>> {
    let mut draw = draws(seed);
    let mut running = Vec::new();
    let mut hanging_up = Vec::new();
    for generation in mixed() {
        let begun = counters(engine).steps;
        let priority = u8::try_from(draw(3)).unwrap();
        let preview_interval = u32::try_from(draw(3)).unwrap();
        running.push(
            engine
                .submit(GenerationRequest { priority, preview_interval, ..GenerationRequest::new(generation) })
                .unwrap(),
        );
        if draw(2) == 0 {
            let common = Common { seed: draw(1000), n: 2, steps: 50, ..quick() };
            hanging_up.push(engine.submit(GenerationRequest::new(text("never finished", common))).unwrap());
        }
        let distance = draw(4);
        while counters(engine).steps - begun < distance {
            std::thread::yield_now();
        }
        if draw(2) == 0 {
            drop(hanging_up.pop());
        }
    }
    drop(hanging_up);
    running.into_iter().map(pictures).collect()
}

#[test]
fn images_do_not_depend_on_what_else_is_in_flight() {
    let engine = start(&model_folder()).unwrap();
    let alone: Vec<_> = mixed().into_iter().map(|generation| run(&engine, generation).unwrap()).collect();
    let config = EngineConfig::new(families::open_folder(&model_folder()).unwrap());
    let pool = Engine::start(EngineConfig { devices: vec![DeviceChoice::Cpu; 2], ..config }, |_| {}).unwrap();
    for (seed, engine) in [(1, &engine), (2, &engine), (3, &pool)] {
        for (i, (together, alone)) in arrive_at_random(engine, seed).into_iter().zip(&alone).enumerate() {
            assert!(together == *alone, "request {i} drew another picture with arrivals {seed}");
        }
    }
}

#[test]
fn requests_in_flight_share_steps() {
    let engine = start(&model_folder()).unwrap();
    let requests = || (0..4).map(|seed| text("red heart", Common { seed, ..quick() }));
    for generation in requests() {
        run(&engine, generation).unwrap();
    }
    let alone = counters(&engine).steps;
    // A worker that is busy with one request finds the others waiting when it is done with a step.
    let all: Vec<_> = requests().map(|generation| engine.submit(GenerationRequest::new(generation)).unwrap()).collect();
    for events in all {
        drop(pictures(events));
    }
    let together = counters(&engine).steps - alone;
    assert!(together < alone, "{together} batches together, {alone} alone");
}

/// The number of batches that were run when a request ended.
fn batches_at_end(engine: &Engine, mut events: UnboundedReceiver<Event>) -> u64 {
    loop {
        match events.blocking_recv() {
            Some(Event::Done(_)) => return counters(engine).steps,
            Some(Event::Failed(failure)) => panic!("{failure}"),
            Some(_) => {}
            None => panic!("no end"),
        }
    }
}

#[test]
fn a_short_request_does_not_wait_for_long_ones() {
    let engine = start(&model_folder()).unwrap();
    let long = |seed| text("red heart", Common { steps: 40, seed, n: 4, ..quick() });
    let mut first = engine.submit(GenerationRequest::new(long(1))).unwrap();
    let second = engine.submit(GenerationRequest::new(long(50))).unwrap();
    // Once the long ones are at their decoder steps ...
    while !matches!(first.blocking_recv(), Some(Event::Progress { step: 4.., steps: 160, .. })) {}
    let short = text("pizza", Common { size: Some(Size { width: 96, height: 64 }), ..quick() });
    let short = engine.submit(GenerationRequest::new(short)).unwrap();
    // ... the short one ends before either.
    let short_end = batches_at_end(&engine, short);
    let (first_end, second_end) = (batches_at_end(&engine, first), batches_at_end(&engine, second));
    assert!(short_end < first_end && short_end < second_end, "{short_end}, {first_end}, {second_end}");
}

#[test]
fn a_client_that_hangs_up_frees_the_worker() {
    let engine = start(&model_folder()).unwrap();
    let long = text("red heart", Common { steps: 100, n: 4, ..quick() });
    let mut events = engine.submit(GenerationRequest::new(long)).unwrap();
    while !matches!(events.blocking_recv(), Some(Event::Progress { steps: 400, .. })) {}
    drop(events);
    let before = counters(&engine).steps;
    run(&engine, text("pizza", quick())).unwrap();
    // 1 encoding, 3 prior steps, 4 decoder steps, 1 decoding, and the one that was under way.
    assert!(counters(&engine).steps - before <= 10, "{} batches", counters(&engine).steps - before);
}

#[test]
fn a_poisonous_request_fails_alone() {
    let engine = start(&model_folder()).unwrap();
    // Guidance far beyond what the checks let through makes numbers overflow inside the second step.
    let common = Common { guidance_scale: 1e38, seed: 3, ..quick() };
    let poison = unchecked(&Generation { input: TextToImage { prompt: "red heart".to_owned() }.into(), common });
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let want = run(&engine, text("red heart", quick())).unwrap();
    let requests = [text("red heart", quick()), poison, text("red heart", quick())];
    let running: Vec<_> =
        requests.into_iter().map(|request| generation::start_generation(&engine, request).unwrap()).collect();
    let results: Vec<_> = running.into_iter().map(|r| runtime.block_on(r.images(|_, _, _| {}))).collect();
    assert!(results[1].is_err());
    assert!(results[0].as_ref().unwrap() == &want && results[2].as_ref().unwrap() == &want);
}
