//! Several workers share the requests; one that goes down hurts nobody else, and comes back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kandinsky::diffusion::{DiffusionModel, Inventory, ModelInfo, ModelLoader};
use kandinsky::domain::{Common, DeviceChoice, FailureKind, Image, Priority, Size};
use kandinsky::engine::{Engine, EngineConfig, Event, GenerationRequest, WorkerCounters};
use kandinsky::families;
use kandinsky::modes::CheckedGeneration;
use kandinsky::tensor::{Compute, Error};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::embedded::{engine, model_folder, quick, run, text};
use crate::faulty::{Fault, FaultHook, FaultyLoader};

pub fn start(workers: usize, fault: Option<FaultHook>) -> Engine {
    let mut loader = families::open_folder(&model_folder()).unwrap();
    if let Some(hook) = fault {
        loader = Arc::new(FaultyLoader { inner: loader, hook });
    }
    let devices = vec![DeviceChoice::Cpu; workers];
    Engine::start(EngineConfig { devices, ..EngineConfig::new(loader) }, |_| {}).unwrap()
}

/// What all workers together have done so far.
pub fn counters(engine: &Engine) -> WorkerCounters {
    engine.counters().into_iter().sum()
}

fn submit(engine: &Engine, generation: CheckedGeneration) -> UnboundedReceiver<Event> {
    engine.submit(GenerationRequest::new(generation)).unwrap()
}

/// Wait for a request's end: its images in order, or the kind of its failure.
fn end(mut events: UnboundedReceiver<Event>) -> Result<Vec<Image>, FailureKind> {
    let mut pictures: Vec<(usize, Image)> = Vec::new();
    loop {
        match events.blocking_recv() {
            Some(Event::Image { index, image: picture }) => pictures.push((index, picture)),
            Some(Event::Done(_)) => {
                pictures.sort_by_key(|(index, _)| *index);
                return Ok(pictures.into_iter().map(|(_, picture)| picture).collect());
            }
            Some(Event::Failed(failure)) => {
                assert!(events.blocking_recv().is_none(), "something came after the end");
                return Err(failure.kind);
            }
            Some(_) => {}
            None => panic!("no end"),
        }
    }
}

fn seeded(seed: u64) -> CheckedGeneration {
    text("red heart", Common { seed, ..quick() })
}

#[test]
fn two_workers_share_the_work_and_draw_what_one_draws() {
    let pool = start(2, None);
    assert_eq!(pool.workers(), 2);
    let all: Vec<_> = (0..6).map(|seed| submit(&pool, seeded(seed))).collect();
    assert_eq!((pool.load().requests, pool.load().workers), (6, 2));
    for (seed, events) in all.into_iter().enumerate() {
        assert!(end(events).unwrap() == run(engine(), seeded(seed as u64)).unwrap(), "seed {seed}");
    }
    let work = pool.counters();
    assert!(work.iter().all(|work| work.steps > 0), "{work:?}");
    assert_eq!(pool.load().idle_workers, 2);
}

#[test]
fn a_request_goes_to_the_worker_with_less_to_do() {
    let pool = start(2, None);
    // One large request keeps a worker busy; all small ones go to the other.
    let mut large = submit(&pool, text("red heart", Common { steps: 100, n: 8, ..quick() }));
    while !matches!(large.blocking_recv(), Some(Event::Progress { stage, .. }) if stage.denoises) {}
    let small: Vec<_> = (0..3).map(|seed| submit(&pool, seeded(seed))).collect();
    for events in small {
        end(events).unwrap();
    }
    let load = pool.load();
    assert_eq!((load.requests, load.images, load.idle_workers), (1, 8, 1));
}

#[test]
fn a_crash_loses_what_was_under_way_and_the_worker_comes_back() {
    let want = run(engine(), seeded(1)).unwrap();
    let armed = Arc::new(AtomicBool::new(true));
    let theirs = armed.clone();
    // Seed 13 takes its worker down, once.
    let fault: FaultHook = Arc::new(move |at| {
        let hit = at.stage == "decoder" && at.seeds.contains(&13) && theirs.swap(false, Ordering::SeqCst);
        if hit { Fault::Crash } else { Fault::Nothing }
    });
    let engine = start(1, Some(fault));
    let (poison, other) = (submit(&engine, seeded(13)), submit(&engine, seeded(1)));
    assert_eq!(end(poison), Err(FailureKind::Lost));
    match end(other) {
        // It was under way, too.
        Err(kind) => assert_eq!(kind, FailureKind::Lost),
        // It was still waiting, and the worker that came back took it.
        Ok(pictures) => assert!(pictures == want),
    }
    assert!(!armed.load(Ordering::SeqCst));
    // Both may be run again.
    assert!(end(submit(&engine, seeded(1))).unwrap() == want);
    assert_eq!(end(submit(&engine, seeded(13))).map(|pictures| pictures.len()), Ok(1));
    assert!(engine.is_alive());
    assert_eq!((counters(&engine).restarts, engine.load().requests), (1, 0));
}

/// Gives a model once, and fails from then on, as a device does that is gone for good.
struct LoadsOnce {
    inner: Arc<dyn ModelLoader>,
    has_loaded: AtomicBool,
}

impl ModelLoader for LoadsOnce {
    fn load(&self, compute: &Compute, report: &mut dyn FnMut(&str)) -> Result<Box<dyn DiffusionModel>, Error> {
        if self.has_loaded.swap(true, Ordering::SeqCst) {
            return Err(Error::Request("no device".to_owned()));
        }
        self.inner.load(compute, report)
    }

    fn problems(&self) -> Vec<String> {
        self.inner.problems()
    }

    fn describe(&self) -> Result<ModelInfo, Error> {
        self.inner.describe()
    }

    fn inventory(&self) -> Inventory {
        self.inner.inventory()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_whose_only_worker_cannot_come_back_says_so() {
    let hook: FaultHook = Arc::new(|at| if at.stage == "prior" { Fault::DeviceLost } else { Fault::Nothing });
    let inner = families::open_folder(&model_folder()).unwrap();
    let inner = Arc::new(LoadsOnce { inner, has_loaded: AtomicBool::new(false) });
    let config = EngineConfig::new(Arc::new(FaultyLoader { inner, hook }));
    let engine = tokio::task::spawn_blocking(|| Engine::start(config, |_| {}).unwrap()).await.unwrap();
    assert_eq!((engine.workers(), engine.is_alive()), (1, true));
    let events = submit(&engine, seeded(1));
    assert_eq!(tokio::task::spawn_blocking(|| end(events)).await.unwrap(), Err(FailureKind::Lost));
    tokio::time::timeout(Duration::from_mins(1), engine.given_up()).await.expect("it is given up");
    assert_eq!((engine.workers(), engine.is_alive()), (0, false));
    let refused = engine.submit(GenerationRequest::new(seeded(2))).unwrap_err();
    assert_eq!(refused.kind, FailureKind::Unavailable);
}

#[test]
fn a_crash_of_one_worker_does_not_hurt_the_other() {
    let fault: FaultHook =
        Arc::new(|at| if at.worker == 0 && at.stage == "prior" { Fault::DeviceLost } else { Fault::Nothing });
    let pool = start(2, Some(fault));
    // The first request goes to the first worker, the second to the other.
    let (first, second) = (submit(&pool, seeded(1)), submit(&pool, seeded(2)));
    assert_eq!(end(first), Err(FailureKind::Lost));
    assert!(end(second).unwrap() == run(engine(), seeded(2)).unwrap());
    let work = pool.counters();
    assert_eq!((work[0].restarts, work[1].restarts), (1, 0));
}

#[test]
fn a_panic_in_the_model_fails_the_request_at_fault_alone() {
    let fault: FaultHook =
        Arc::new(|at| if at.stage == "decoder" && at.seeds.contains(&13) { Fault::Panic } else { Fault::Nothing });
    let engine = start(1, Some(fault));
    let all = [12, 13, 14].map(|seed| submit(&engine, seeded(seed)));
    let [before, poison, after] = all.map(end);
    assert_eq!(poison, Err(FailureKind::Internal));
    assert!(before.is_ok() && after.is_ok());
    assert_eq!(counters(&engine).restarts, 0);
}

#[test]
fn a_request_of_high_priority_takes_every_step_until_it_is_done() {
    // The hook sees the seeds of every step, and lets nothing fail.
    let steps = Arc::new(Mutex::new(Vec::new()));
    let theirs = steps.clone();
    let watch: FaultHook = Arc::new(move |at| {
        theirs.lock().unwrap().push(at.seeds.to_vec());
        Fault::Nothing
    });
    let engine = start(1, Some(watch));
    let mut long = submit(&engine, text("red heart", Common { steps: 60, seed: 1, n: 4, ..quick() }));
    while !matches!(long.blocking_recv(), Some(Event::Progress { stage, .. }) if stage.denoises) {}
    // Of another size, so that it shares no step with the long one.
    let common = Common { size: Some(Size { width: 96, height: 64 }), seed: 77, ..quick() };
    let urgent =
        GenerationRequest { priority: Priority::High.level(), ..GenerationRequest::new(text("pizza", common)) };
    end(engine.submit(urgent).unwrap()).unwrap();
    drop(long);
    let steps = steps.lock().unwrap();
    let first = steps.iter().position(|seeds| seeds.contains(&77)).unwrap();
    // One encoding, 3 prior steps, 4 decoder steps and one decoding, in a row.
    assert!(first > 0 && steps[first..first + 9].iter().all(|seeds| seeds == &[77]), "{:?}", &steps[first..]);
}

#[test]
fn events_come_in_order_and_times_add_up_to_no_more_than_the_whole() {
    let engine = start(1, None);
    let begun = std::time::Instant::now();
    let mut events = submit(&engine, text("red heart", Common { n: 2, ..quick() }));
    let stages: Vec<&str> = engine.info().stages.iter().map(|stage| stage.id).collect();
    assert_eq!(stages, ["encode", "prior", "decoder", "decode"], "the contract lists these");
    let position = |id: &str| stages.iter().position(|stage| *stage == id).unwrap();
    let mut seen = Vec::new();
    let times = loop {
        match events.blocking_recv().expect("an end") {
            Event::Started => seen.push((0, 0)),
            Event::Progress { stage, step, steps } => {
                assert!(step <= steps);
                seen.push((1 + position(stage.id), step));
            }
            Event::Done(times) => break times,
            Event::Image { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(seen[0], (0, 0));
    let whole = u64::try_from(begun.elapsed().as_millis()).unwrap() + 1;
    assert_eq!(times.0.iter().map(|(id, _)| *id).collect::<Vec<_>>(), stages);
    assert!(times.0.iter().map(|(_, ms)| ms).sum::<u64>() <= whole);
}

#[test]
fn decoding_a_large_image_lets_others_take_their_steps() {
    // 96x96 latents: attention over 9216 pixels.
    let size = Some(Size { width: 384, height: 384 });
    let large = || text("red heart", Common { size, steps: 1, seed: 100, ..quick() });
    let steps = Arc::new(Mutex::new(Vec::<(&str, Vec<u64>)>::new()));
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let (held, theirs) = (Mutex::new(Some((begun, may_go_on))), steps.clone());
    let watch: FaultHook = Arc::new(move |at| {
        theirs.lock().unwrap().push((at.stage, at.seeds.to_vec()));
        if at.stage == "decode"
            && let Some((begun, may_go_on)) = held.lock().unwrap().take()
        {
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
        }
        Fault::Nothing
    });
    let engine = start(1, Some(watch));
    let first = submit(&engine, large());
    has_begun.recv().unwrap();
    let (small, second) = (submit(&engine, seeded(1)), submit(&engine, large()));
    go_on.send(()).unwrap();
    end(small).unwrap();
    let [first, second] = [first, second].map(|events| end(events).unwrap());
    assert!(first == second && first == run(self::engine(), large()).unwrap());

    let steps = steps.lock().unwrap();
    let decoding: Vec<usize> = (0..steps.len()).filter(|i| steps[*i] == ("decode", vec![100])).collect();
    let others = steps[decoding[0]..decoding[1]].iter().chain(&steps[decoding[1]..decoding[decoding.len() / 2]]);
    assert!(others.filter(|(_, seeds)| seeds == &[1]).count() > 2, "{steps:?}");
}
