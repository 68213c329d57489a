//! Images by address, marks of origin, styles, and the bounds of requests.

use std::path::PathBuf;

use crate::config::readers;
use crate::config::rules::{self, GIB, KIB, Rule};
use crate::config::section::section;
use crate::domain::{Limits, SizePolicy};

/// Signature algorithms, by C2PA's names.
const ALGORITHMS: [&str; 7] = ["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"];

section! {
    /// Images that requests name by address.
    struct Fetch in "fetch" {
        /// Let requests name images by https:// addresses, which the server fetches.
        enabled: bool = false, Rule::Flag;
        /// Maximum size of a fetched file, bytes.
        max_bytes: usize = 33_554_432, Rule::Whole(KIB..=4 * GIB);
        /// Timeout of all files of a request together, s.
        timeout_s: u64 = 10, Rule::Whole(1..=3600);
        /// Fetch from addresses in private networks, too, and over http.
        allow_private: bool = false, Rule::Flag;
    }
}

section! {
    /// How images are marked as made by a model (docs/marking.md).
    struct Marking in "marking" {
        /// State in every image, in XMP, that a trained model made it. Requests cannot turn this off: embed_metadata is about
        /// parameters and seeds.
        xmp: bool = true, Rule::Flag;
        /// Write the prompt, the seed and the other parameters into images where a request does not say (embed_metadata).
        /// Compatible APIs have no such field, so for their images this decides.
        embed_metadata: bool = true, Rule::Flag;
        /// Sign images with C2PA manifests, in a build with --features c2pa: a PEM file with the signer's certificate and the
        /// authorities' below it. Empty: not signed.
        c2pa_certificates: Option<PathBuf> as readers::optional_path = "", Rule::Text(rules::any);
        /// A PEM file (PKCS#8, without a passphrase) with the certificate's key.
        c2pa_key: Option<PathBuf> as readers::optional_path = "", Rule::Text(rules::any);
        /// The key's algorithm.
        c2pa_algorithm: String = "es256", Rule::OneOf(&ALGORITHMS);
    }
}

section! {
    /// Named styles.
    struct Styles in "styles" {
        /// A TOML file of styles. Empty: the built-in ones, config/styles.toml.
        file: Option<PathBuf> as readers::optional_path = "", Rule::Text(rules::any);
    }
}

section! {
    /// Bounds of requests.
    impl Limits in "limits" {
        /// Maximum side of an image, px.
        max_side: u32 = 2048, Rule::Whole(1..=65_536);
        /// Maximum number of pixels of one image.
        max_pixels: u64 = 4_194_304, Rule::Whole(1..=GIB);
        /// The same in areas of the model's native square (64x64 px of the embedded model, 512x512 of the published one): much
        /// larger images take disproportionately long, and look worse.
        max_areas: u32 = 16, Rule::Whole(1..=1024);
        /// Maximum side of an input image, px; it is scaled down where a mode does so.
        max_input_side: u32 = 8192, Rule::Whole(1..=65_536);
        /// Maximum number of pixels of an input image.
        max_input_pixels: u64 = 67_108_864, Rule::Whole(1..=4 * GIB);
        /// Maximum number of steps, of the decoder and of the prior. (Checkpoints are trained with 1000 steps of noise.)
        max_steps: u32 = 500, Rule::Whole(1..=1000);
        /// Maximum number of images of one request.
        max_pictures: u32 = 10, Rule::Whole(1..=1000);
        /// Maximum length of a prompt, characters.
        max_prompt_chars: usize = 32_000, Rule::Whole(1..=1_000_000);
        /// What becomes of a size that is over these limits, or more than four native squares: fit (it is drawn at about the
        /// model's native area, in the same ratio, and enlarged, which the answer says), refuse (what is over the limits is
        /// refused, the rest drawn as it is), or auto (fit for the embedded model, refuse for others).
        size_policy: SizePolicy = "auto", Rule::Text(rules::parses::<SizePolicy>);
        /// Maximum number of pixels of an image that is drawn smaller and enlarged.
        max_enlarged_pixels: u64 = 4_194_304, Rule::Whole(1..=GIB);
    }
}
