//! What is fuzzed: one function per kind of input that comes from elsewhere. `fuzz_targets` has a program for each, and
//! `tests/fuzz.rs` plays everything that was ever found.
//!
//! Invariant: whatever the bytes, a function returns; what it accepts keeps what the program believes of it.

use std::io::Write as _;
use std::path::Path;

use kandinsky::config::{Config, Overrides};
use kandinsky::domain::{Common, Format, Image, Limits, MaskConvention, Output, SizePolicy, VariantArray as _};
use kandinsky::families::kandinsky21::tokenizer::Tokenizer;
use kandinsky::http::fuzzing;
use kandinsky::imaging::{self, DecodeLimits, Encoder, Metadata};
use kandinsky::moderation::Lexicon;
use kandinsky::modes::{Expand, Extent, Generation, Input, Mode, ModeInput as _, Outpainting, Window};
use kandinsky::tensor::Compute;
use kandinsky::tensor::files::Folder;
use kandinsky::tensor::weights::Weights;

/// What a fuzzer calls.
pub type Target = fn(&[u8]);

/// All of them, by the names of their programs and corpora.
pub const TARGETS: [(&str, Target); 10] = [
    ("picture", picture),
    ("mask", mask),
    ("geometry", geometry),
    ("json", json),
    ("form", form),
    ("metadata", metadata),
    ("config", config),
    ("weights", weights),
    ("tokenizer", tokenizer),
    ("prompt", prompt),
];

const LIMITS: DecodeLimits = DecodeLimits { max_side: 512, max_pixels: 1 << 16 };

/// An image file.
pub fn picture(data: &[u8]) {
    if let Ok(picture) = imaging::decode(data, &LIMITS) {
        let pixels = u64::from(picture.width()) * u64::from(picture.height());
        assert!(pixels > 0 && pixels <= LIMITS.max_pixels && picture.channels() == Image::RGB);
    }
}

/// A mask file, read by the convention that the first byte names.
pub fn mask(data: &[u8]) {
    let Some((first, file)) = data.split_first() else { return };
    let conventions = [MaskConvention::White, MaskConvention::Black, MaskConvention::Alpha];
    if let Ok(mask) = imaging::decode_mask(file, conventions[*first as usize % 3], &LIMITS) {
        assert!(mask.width() > 0 && mask.height() > 0 && mask.channels() == Image::GRAY);
    }
}

/// A canvas around an image: sizes, then an expansion or a window, as little-endian numbers.
pub fn geometry(data: &[u8]) {
    let Some((head, rest)) = data.split_at_checked(3) else { return };
    let mut numbers = rest.chunks(8).map(|bytes| {
        let mut number = [0; 8];
        number[..bytes.len()].copy_from_slice(bytes);
        i64::from_le_bytes(number)
    });
    let mut next = || numbers.next().unwrap_or(0);
    let side = |byte: u8| u32::from(byte % 32) + 1;
    let (width, height) = (side(head[0]), side(head[1]));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "any number will do")]
    let extent = if head[2].is_multiple_of(2) {
        let [left, top, right, bottom] = [next(), next(), next(), next()].map(|n| n as u32);
        Extent::Expand(Expand { left, top, right, bottom })
    } else {
        Extent::Window(Window { x: next(), y: next(), width: next() as u32, height: next() as u32 })
    };
    let image = Image::rgb(width, height, vec![7; (3 * width * height) as usize]);
    let outpainting = Outpainting::new(None, image, extent);
    let limits = Limits {
        max_side: 256,
        max_pixels: 1 << 16,
        max_areas: 16,
        max_input_side: 64,
        max_input_pixels: 4096,
        max_steps: 500,
        max_pictures: 8,
        max_prompt_chars: 100,
        size_policy: SizePolicy::Refuse,
        max_enlarged_pixels: 1 << 16,
    };
    let generation = Generation { input: Input::Outpainting(outpainting.clone()), common: Common::default() };
    if generation.check(&limits, Some(64)).is_ok() {
        let Some(Input::Inpainting(canvas)) = outpainting.reduce() else { panic!("outpainting is inpainting") };
        assert!(canvas.image.size() == canvas.mask.size());
        let mask = canvas.mask.pixels();
        assert!(mask.contains(&0) && mask.contains(&255), "known and unknown pixels");
    }
}

/// A JSON body, of the mode that the first byte names.
pub fn json(data: &[u8]) {
    read(data, "application/json");
}

/// A form whose parts are divided by `--x`, of the mode that the first byte names.
pub fn form(data: &[u8]) {
    read(data, "multipart/form-data; boundary=x");
}

fn read(data: &[u8], content_type: &str) {
    let Some((mode, body)) = data.split_first() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(fuzzing::read(*mode, content_type, body.to_vec()));
}

/// What is written into files of what a client said.
pub fn metadata(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let picture = Image::rgb(2, 1, vec![1, 2, 3, 4, 5, 6]);
    let encoder = Encoder::new(true, None);
    for &format in Format::VARIANTS {
        let output = Output { format, quality: 100, embed_metadata: true };
        let metadata = Metadata { origin: Mode::TextToImage.origin(), seed: 1, parameters: &text };
        if let Ok(file) = encoder.finished(&picture, &output, &metadata) {
            let read = imaging::decode(&file, &LIMITS).expect("a file of our own");
            assert_eq!((read.width(), read.height()), (2, 1));
        }
    }
}

/// A configuration file.
pub fn config(data: &[u8]) {
    let folder = Scratch::new();
    let path = folder.put("kandinsky.toml", data);
    if let Err(error) = Config::from_layers(Some(&path), [], &Overrides::default()) {
        assert!(!error.to_string().is_empty());
    }
}

/// The header of a file of weights, and what it says of the rest.
pub fn weights(data: &[u8]) {
    let folder = Scratch::new();
    folder.put("model.safetensors", data);
    if let Ok(weights) = Weights::open(&Folder::Disk(folder.path().to_owned()), "model") {
        let compute = Compute::cpu();
        let vars = weights.vars(&compute);
        let _ = vars.values("weight", &[2, 2]);
        let _ = vars.tensor("bias", &[2]);
    }
}

/// A tokenizer of either kind, by the first byte.
pub fn tokenizer(data: &[u8]) {
    let Some((kind, file)) = data.split_first() else { return };
    let folder = Scratch::new();
    folder.put("tokenizer.json", file);
    let at = Folder::Disk(folder.path().to_owned());
    let read = if kind.is_multiple_of(2) { Tokenizer::clip(&at) } else { Tokenizer::xlm_roberta(&at) };
    if let Ok(tokenizer) = read {
        let _ = tokenizer.encode("a red heart, красное сердце");
    }
}

/// A prompt on its way through the lexicon.
pub fn prompt(data: &[u8]) {
    static LEXICON: std::sync::OnceLock<Lexicon> = std::sync::OnceLock::new();
    let lexicon = LEXICON.get_or_init(|| Lexicon::built_in().expect("the lexicon"));
    for finding in lexicon.find(&String::from_utf8_lossy(data)) {
        assert!((0.0..=1.0).contains(&finding.score) && finding.rule.starts_with("lexicon: "));
    }
}

/// A folder of its own that goes with the value.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        let shared = Path::new("/dev/shm");
        let folder = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
        Self(folder.expect("a folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, name: &str, data: &[u8]) -> std::path::PathBuf {
        let path = self.path().join(name);
        std::fs::File::create(&path).and_then(|mut file| file.write_all(data)).expect("a file");
        path
    }
}
