//! Previews look like the image that comes of them, and asking for them changes nothing.

use kandinsky::domain::{Common, Image, PriorSettings, Size};
use kandinsky::engine::{Engine, Event, GenerationRequest};

use crate::embedded::{engine, quick, run, text};

/// Least correlation of the last preview and the image, over all pixels and channels.
const ALIKE: f64 = 0.8;

/// Previews (number of the image, step, preview) and images, in order.
fn watch(engine: &Engine, common: Common, interval: u32) -> (Vec<(usize, usize, Image)>, Vec<Image>) {
    let order = GenerationRequest {
        preview_interval: interval,
        ..GenerationRequest::new(text("red heart on a blue background", common))
    };
    let mut events = engine.submit(order).unwrap();
    let (mut previews, mut pictures) = (Vec::new(), Vec::new());
    loop {
        match events.blocking_recv().expect("an end") {
            Event::Preview { index, step, image: picture } => previews.push((index, step, picture)),
            Event::Image { index, image: picture } => pictures.push((index, picture)),
            Event::Failed(failure) => panic!("{failure}"),
            Event::Done(_) => break,
            Event::Started | Event::Progress { .. } => {}
        }
    }
    pictures.sort_by_key(|(index, _)| *index);
    (previews, pictures.into_iter().map(|(_, picture)| picture).collect())
}

fn correlation(a: &Image, b: &Image) -> f64 {
    let mean = |p: &Image| p.pixels().iter().map(|x| f64::from(*x)).sum::<f64>() / p.pixels().len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.pixels().iter().zip(b.pixels()) {
        let (x, y) = (f64::from(*x) - ma, f64::from(*y) - mb);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    ab / (aa * bb).sqrt()
}

#[test]
fn the_last_preview_looks_like_the_image_and_the_first_one_less() {
    let common = Common { steps: 20, seed: 5, prior: PriorSettings::default(), ..Common::default() };
    let (previews, pictures) = watch(engine(), common, 1);
    assert_eq!(previews.len(), 20);
    let alike: Vec<f64> = previews.iter().map(|(_, _, preview)| correlation(preview, &pictures[0])).collect();
    let (first, last) = (alike[0], alike[19]);
    assert!(last > ALIKE && last > first, "first {first:.3}, last {last:.3}");
}

#[test]
fn previews_come_at_their_interval_for_every_image_and_have_its_size() {
    let size = Size { width: 50, height: 70 };
    let common = Common { steps: 7, n: 2, size: Some(size), ..quick() };
    let (previews, _) = watch(engine(), common, 3);
    let mut at: Vec<(usize, usize)> = previews.iter().map(|(index, step, _)| (*index, *step)).collect();
    at.sort_unstable();
    assert_eq!(at, [(0, 3), (0, 6), (1, 3), (1, 6)]);
    for (_, _, preview) in &previews {
        assert_eq!((preview.width(), preview.height(), preview.pixels().len()), (50, 70, 3 * 50 * 70));
    }
}

#[test]
fn asking_for_previews_does_not_change_the_image() {
    let common = Common { n: 2, steps: 6, ..quick() };
    let (_, pictures) = watch(engine(), common.clone(), 2);
    assert!(pictures == run(engine(), text("red heart on a blue background", common)).unwrap());
}
