//! What the compiler does not check of the structure that ARCHITECTURE.md describes: which module may use which, where
//! which crate is allowed, where unsafe code is, how long files are, and in how many files a mode, a scheduler or a family
//! is named.
//!
//! The test reads files and needs nothing of the library: `rustc --test tests/architecture.rs` is enough to run it.

#[path = "architecture/imports.rs"]
mod imports;
#[path = "architecture/sources.rs"]
mod sources;
#[path = "architecture/web.rs"]
mod web;

use std::collections::{BTreeMap, BTreeSet};

use imports::{circles, imports};
use sources::{Source, sources};

/// The modules of the first level, and those that they may use. Nothing may use what is in [`TOP`].
const MAY_USE: &[(&str, &str)] = &[
    (
        "http",
        "auth jobs store engine fair imaging moderation translation fetch telemetry metrics records modes schedulers domain",
    ),
    ("auth", "store records modes domain"),
    (
        "jobs",
        "broker generation engine store fair imaging moderation signature metrics clock retry journal records modes domain",
    ),
    ("broker", "store fair metrics telemetry clock records domain"),
    ("generation", "engine imaging modes domain"),
    ("engine", "fair diffusion tensor journal modes domain metrics"),
    ("store", "records modes domain tls"),
    ("families", "diffusion tensor schedulers sentencepiece lru modes domain"),
    ("diffusion", "tensor schedulers modes domain"),
    ("schedulers", "domain"),
    ("tensor", ""),
    ("records", "modes domain"),
    ("modes", "schedulers imaging domain"),
    ("imaging", "domain"),
    ("moderation", "domain imaging retry signature tls"),
    ("translation", "sentencepiece tensor lru retry tls domain"),
    ("fetch", "fair domain tls"),
    ("bench", "modes imaging domain retry tls"),
    ("simulation", "bench broker jobs engine domain"),
    // A client of the server over HTTP: it knows the modes' names, and nothing that makes images.
    ("bot", "modes retry shutdown tls"),
    ("hub", "retry tls tensor"),
    ("domain", "tensor"),
    ("config", "modes domain telemetry"),
    ("telemetry", "metrics tls"),
    ("metrics", ""),
    ("clock", ""),
    ("fair", ""),
    ("journal", ""),
    ("retry", ""),
    ("lru", ""),
    ("sentencepiece", ""),
    ("shutdown", ""),
    ("tls", ""),
    ("signature", ""),
    ("embedded", ""),
];
/// They may use everything below them: `main` the command line, that the composition root, that the rest.
const TOP: [&str; 4] = ["lib", "main", "cli", "app"];

/// Crates that stay in certain modules.
const CRATES: &[(&str, &[&str])] = &[
    ("axum", &["http", "app", "bot"]),
    ("utoipa", &["http", "modes", "jobs"]),
    ("candle_core", &["tensor", "diffusion", "families", "engine", "translation"]),
    ("tokenizers", &["families"]),
    ("reqwest", &["hub", "fetch", "moderation", "translation", "bench", "bot", "cli", "tls"]),
    ("rustls", &["tls"]),
    ("image", &["imaging"]),
    ("tiff", &["imaging"]),
    ("c2pa", &["imaging"]),
    ("sqlx", &["store", "bot"]),
    ("object_store", &["store"]),
    ("subtle", &["auth"]),
    ("clap", &["cli"]),
    ("async_nats", &["broker"]),
    ("metrics_exporter_prometheus", &["metrics"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_otlp", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("tracing_opentelemetry", &["telemetry"]),
    ("tracing_subscriber", &["telemetry", "config"]),
];

/// Where unsafe code is allowed: the kernels, and the memory map of weights.
const UNSAFE: [&str; 1] = ["src/tensor/"];

/// Modules of the first level in which files still import each other in circles.
const CIRCLES: &[&str] = &["modes"];

/// Lines of a file.
const LONGEST_FILE: usize = 600;
const MEDIAN_FILE: usize = 180;
/// Nine in ten files are at most this long.
const LONG_FILE: usize = 400;

/// Files of `src` that may name a scheduler, and a family beside its own folder: what adding one more costs. The name of Euler's
/// is also a part of that of the ancestral one.
const FILES_PER_SCHEDULER: usize = 3;
const FILES_WITH_EULER: usize = 4;
const FILES_PER_FAMILY: usize = 1;
/// Modes, and the files that may name each. A new one takes four: its own, the list, and the same two in a family. Text to image is
/// also the default of tools; the bot's four features are modes; inpainting is also the name of a network, of its setting, and of what outpainting comes to.
const MODES: [(&str, usize); 7] = [
    ("text-to-image", 13),
    ("image-to-image", 7),
    ("image-variations", 7),
    ("image-fusion", 7),
    ("text-image-fusion", 7),
    ("inpainting", 25),
    ("outpainting", 5),
];
const SCHEDULERS: [&str; 8] =
    ["ddim", "ddpm", "dpmpp_2m", "dpmpp_2m_karras", "euler", "euler_karras", "euler_a", "unipc"];
const FAMILIES: [&str; 1] = ["kandinsky21"];

#[test]
fn modules_use_only_what_they_may() {
    let sources = sources();
    let mut breaches = Vec::new();
    for (module, used) in imports(&sources) {
        let room = first(module);
        let allowed: BTreeSet<&str> = match TOP.iter().position(|top| *top == room) {
            Some(at) => TOP[at + 1..].iter().copied().chain(MAY_USE.iter().map(|(room, _)| *room)).collect(),
            None => match MAY_USE.iter().find(|(known, _)| *known == room) {
                Some((_, allowed)) => allowed.split_whitespace().collect(),
                None => panic!("{module} is in no module of the table"),
            },
        };
        for used in used.into_iter().filter(|used| first(used) != room && !allowed.contains(first(used))) {
            breaches.push(format!("{module} uses {used}"));
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn modules_use_each_other_without_circles() {
    let graph: BTreeMap<&str, BTreeSet<&str>> =
        MAY_USE.iter().map(|(room, allowed)| (*room, allowed.split_whitespace().collect())).collect();
    for used in graph.values().flatten() {
        assert!(graph.contains_key(used), "{used} is not in the table");
    }
    let left = circles(graph);
    assert!(left.is_empty(), "in circles, or leading to one: {left:#?}");
}

/// A parent counts as using its children: it is their table of contents, and they do not import through it.
#[test]
fn files_import_each_other_without_circles() {
    let sources = sources();
    let imports = imports(&sources);
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 400, "imports are not found any more: {imports:#?}");
    let mut breaches = Vec::new();
    for room in imports.keys().map(|module| first(module)).collect::<BTreeSet<_>>() {
        let inside = |module: &&str| first(module) == room;
        let graph = imports.iter().filter(|(module, _)| inside(module));
        let graph = graph.map(|(module, used)| (*module, used.iter().copied().filter(inside).collect())).collect();
        let left = circles(graph);
        match (left.is_empty(), CIRCLES.contains(&room)) {
            (false, false) => breaches.push(format!("{room}: in circles, or leading to one: {left:#?}")),
            (true, true) => breaches.push(format!("{room} has no circles any more: take it off the list")),
            _ => {}
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn crates_stay_in_their_modules() {
    let mut breaches = Vec::new();
    for source in sources() {
        for &(name, rooms) in CRATES {
            let used = source.code().any(|line| {
                let before = |at: usize| line[..at].chars().next_back().unwrap_or(' ');
                line.match_indices(&format!("{name}::")).any(|(at, _)| !is_word(before(at)) && before(at) != ':')
            });
            if used && !rooms.contains(&source.room.as_str()) {
                breaches.push(format!("{} uses the crate {name}", source.path));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn unsafe_code_is_where_it_is_allowed_and_says_why() {
    let mut breaches = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let is_code = ["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|form| line.contains(form));
            if line.trim_start().starts_with("//") || !is_code {
                continue;
            }
            if !UNSAFE.iter().any(|place| source.path.starts_with(place)) {
                breaches.push(format!("{}:{} has unsafe code", source.path, i + 1));
            }
            let is_block = line.contains("unsafe {") || line.contains("unsafe impl");
            let has_reason = lines[i.saturating_sub(3)..i].iter().any(|above| above.contains("SAFETY"));
            if is_block && !has_reason {
                breaches.push(format!("{}:{} does not say why it is safe", source.path, i + 1));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn files_open_with_their_purpose_and_are_short() {
    let mut breaches = Vec::new();
    let mut lengths = Vec::new();
    for source in sources() {
        let length = source.text.lines().count();
        lengths.push(length);
        if length > LONGEST_FILE {
            breaches.push(format!("{} has {length} lines, more than {LONGEST_FILE}", source.path));
        }
        if !source.text.starts_with("//!") {
            breaches.push(format!("{} does not say what it is for", source.path));
        }
    }
    lengths.sort_unstable();
    let (median, long) = (lengths[lengths.len() / 2], lengths[lengths.len() * 9 / 10]);
    if median > MEDIAN_FILE || long > LONG_FILE {
        breaches.push(format!("half of the files have over {median} lines, one in ten over {long}"));
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn a_mode_a_scheduler_and_a_family_are_named_in_few_files() {
    let sources = sources();
    let most_files = |scheduler| if scheduler == "euler" { FILES_WITH_EULER } else { FILES_PER_SCHEDULER };
    let schedulers = SCHEDULERS.map(|scheduler| (scheduler, most_files(scheduler)));
    let families = FAMILIES.map(|family| (family, FILES_PER_FAMILY));
    let mut breaches = Vec::new();
    for (name, most) in MODES.into_iter().chain(schedulers).chain(families) {
        let files = sources.iter().filter(|source| names(source, name)).map(|source| source.path.as_str());
        let own = format!("src/families/{name}");
        let files: Vec<&str> = files.filter(|path| !path.starts_with(&own)).collect();
        assert!(!files.is_empty(), "{name} is named nowhere");
        if files.len() > most {
            breaches.push(format!("{name}: {} files, more than {most}: {files:#?}", files.len()));
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

/// Whether code names a thing in any spelling: `text-to-image`, `text_to_image`, `TextToImage`.
fn names(source: &Source, name: &str) -> bool {
    let snake = name.replace('-', "_");
    let words = snake.split('_').map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    let spellings = [name.to_owned(), snake.clone(), words.collect()];
    source.code().any(|line| {
        spellings.iter().any(|spelling| {
            line.match_indices(spelling.as_str()).any(|(at, _)| {
                let before = line[..at].chars().next_back().unwrap_or(' ');
                let after = line[at + spelling.len()..].chars().next().unwrap_or(' ');
                !is_word(before) && !is_word(after)
            })
        })
    })
}

fn first(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
