//! What it costs to turn pixels into a file of each format, marked and with its parameters. Items are pixels.
//!
//!     cargo bench --bench encoding

use divan::Bencher;
use divan::counter::ItemsCount;
use kandinsky::domain::{Format, Image, Output};
use kandinsky::imaging::{DigitalSource, Encoder, Metadata, Origin};

const SIDE: u32 = 512;

fn main() {
    divan::main();
}

/// Smooth, with some texture: neither flat nor noise, which would be the formats' extremes.
fn image() -> Image {
    let pixel = |i: u32| {
        let (x, y) = (i % SIDE, i / SIDE);
        [x / 2, y / 2, (x * 7 + y * 13) % 32 + 96].map(|value| u8::try_from(value.min(255)).unwrap_or(255))
    };
    Image::rgb(SIDE, SIDE, (0..SIDE * SIDE).flat_map(pixel).collect::<Vec<u8>>())
}

#[divan::bench(args = [Format::Png, Format::Jpeg, Format::Webp])]
fn finished(bencher: Bencher, format: Format) {
    let (encoder, image) = (Encoder::new(true, None), image());
    let output = Output { format, ..Output::default() };
    let origin = Origin { mode: "text-to-image", source: DigitalSource::TrainedAlgorithmicMedia };
    let metadata = Metadata { origin, seed: 7, parameters: "{\"prompt\": \"red heart\"}" };
    bencher
        .counter(ItemsCount::new(SIDE * SIDE))
        .bench_local(|| encoder.finished(divan::black_box(&image), &output, &metadata).unwrap());
}
