//! Times the signing of encoded images: prints the rows of the table in docs/marking.md, one size a line. The credentials
//! are made by OpenSSL.
//!
//!     cargo run --release --features c2pa --example signatures

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use kandinsky::domain::{Format, Image, Output};
use kandinsky::imaging::{Encoder, ManifestSigner, Metadata, Sign as _};
use kandinsky::modes::Mode;

const ALGORITHMS: [&str; 4] = ["es256", "es384", "ps256", "ed25519"];
const FORMATS: [Format; 3] = [Format::Png, Format::Jpeg, Format::Webp];
const SIDES: [u32; 4] = [64, 512, 1024, 2048];
const ROUNDS: usize = 21;

fn signer(algorithm: &str) -> anyhow::Result<ManifestSigner> {
    let folder = tempfile::tempdir()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/marks/certificate.sh");
    ensure!(Command::new(script).arg(folder.path()).arg(algorithm).status()?.success(), "no certificate");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).context(name.to_owned());
    Ok(ManifestSigner::new(read("chain.pem")?.as_bytes(), &read("key.pem")?.into(), algorithm)?)
}

/// Noise, which no format makes much smaller.
fn noise(side: u32) -> Image {
    let mut random = 1_u32;
    let rgb = (0..side * side * 3).map(|_| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        random.to_be_bytes()[0] >> 4
    });
    Image::rgb(side, side, rgb.collect())
}

fn main() -> anyhow::Result<()> {
    let plain = Encoder::new(true, None);
    for algorithm in ALGORITHMS {
        let signer = signer(algorithm)?;
        for (format, side) in FORMATS.into_iter().flat_map(|format| SIDES.map(|side| (format, side))) {
            let metadata = Metadata { origin: Mode::TextToImage.origin(), seed: 7, parameters: "{}" };
            let file = plain.finished(&noise(side), &Output { format, ..Output::default() }, &metadata)?;
            let mut times: Vec<Duration> = Vec::new();
            let mut grown = 0;
            for _ in 0..ROUNDS {
                let (copy, begun) = (file.clone(), Instant::now());
                let signed = signer.sign(copy, format, Mode::TextToImage)?;
                times.push(begun.elapsed());
                grown = signed.len() - file.len();
            }
            times.sort();
            let (name, size, median) = (format.name(), file.len(), times[ROUNDS / 2]);
            println!("{algorithm} {name} {side} px: {size} bytes, {grown} more, {median:.1?}");
        }
    }
    Ok(())
}
