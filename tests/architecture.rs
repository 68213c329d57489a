//! The house rules that a compiler does not hold: who may use whom, where which crate is allowed, where unsafe code is,
//! and how long files may be. ARCHITECTURE.md explains them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Rooms, and the rooms they may use. `main`, `cli` and `app` may use everything.
const MAY_USE: [(&str, &[&str]); 23] = [
    ("http", &["auth", "jobs", "store", "engine", "imaging", "moderation", "fetch", "telemetry", "domain"]),
    ("auth", &["store", "domain"]),
    (
        "jobs",
        &[
            "broker",
            "generation",
            "engine",
            "store",
            "imaging",
            "moderation",
            "signature",
            "retry",
            "clock",
            "telemetry",
            "domain",
        ],
    ),
    ("broker", &["store", "clock", "telemetry", "domain"]),
    ("generation", &["engine", "imaging", "domain"]),
    ("engine", &["families", "diffusion", "tensor", "domain", "telemetry"]),
    ("store", &["telemetry", "domain"]),
    ("families", &["diffusion", "tensor"]),
    ("diffusion", &["tensor"]),
    ("tensor", &[]),
    ("imaging", &["domain"]),
    ("moderation", &["domain", "imaging", "retry", "signature"]),
    ("fetch", &["domain"]),
    ("bench", &["domain", "imaging"]),
    ("hub", &[]),
    ("domain", &[]),
    ("config", &["domain", "engine"]),
    ("telemetry", &["config"]),
    ("clock", &[]),
    ("retry", &[]),
    ("shutdown", &[]),
    ("signature", &[]),
    ("embedded", &[]),
];
const UNBOUND: [&str; 4] = ["main", "cli", "app", "lib"];

/// Crates that stay in certain rooms.
const CRATE_ROOMS: [(&str, &[&str]); 18] = [
    ("axum", &["http", "app"]),
    ("utoipa", &["http"]),
    ("candle_core", &["tensor", "diffusion", "families", "engine"]),
    ("tokenizers", &["families"]),
    ("reqwest", &["hub", "fetch", "moderation", "bench", "cli"]),
    ("image", &["imaging"]),
    ("c2pa", &["imaging"]),
    ("sqlx", &["store"]),
    ("object_store", &["store"]),
    ("subtle", &["auth"]),
    ("clap", &["cli"]),
    ("figment", &["config"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_otlp", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("tracing_opentelemetry", &["telemetry"]),
    ("tracing_subscriber", &["telemetry", "config"]),
];

/// Where unsafe code is allowed: the kernels, and the memory map of weights.
const UNSAFE: [&str; 2] = ["src/tensor/", "src/tensor/files.rs"];

const LONGEST_FILE: usize = 600;

struct Source {
    /// From the project's root.
    path: String,
    /// The room it is in.
    room: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    walk(&root.join("src"), &mut files);
    files
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            let room = path["src/".len()..].split('/').next().unwrap().trim_end_matches(".rs").to_owned();
            Source { path, room, text: std::fs::read_to_string(file).unwrap() }
        })
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Lines of code, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// Names that follow `prefix` in a text.
fn names_after(text: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in code(text) {
        for (at, _) in line.match_indices(prefix) {
            let rest = &line[at + prefix.len()..];
            // `use crate::{a, b}` names several.
            let list = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap_or(list));
            for part in if rest.starts_with('{') { list.split(',').collect() } else { vec![list] } {
                let name: String = part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                names.insert(name);
            }
        }
    }
    names.remove("");
    names
}

#[test]
fn rooms_use_only_what_they_may() {
    let rooms: BTreeSet<&str> = MAY_USE.iter().map(|(room, _)| *room).chain(UNBOUND).collect();
    let mut breaches = Vec::new();
    for source in sources() {
        assert!(rooms.contains(source.room.as_str()), "{} is in no room of the table", source.path);
        let Some((_, allowed)) = MAY_USE.iter().find(|(room, _)| *room == source.room) else { continue };
        for used in names_after(&source.text, "crate::") {
            if rooms.contains(used.as_str()) && used != source.room && !allowed.contains(&used.as_str()) {
                breaches.push(format!("{} uses {used}", source.path));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn crates_stay_in_their_rooms() {
    let mut breaches = Vec::new();
    for source in sources() {
        for (name, rooms) in CRATE_ROOMS {
            let used = code(&source.text).any(|line| {
                line.match_indices(&format!("{name}::"))
                    .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
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
            let block = line.contains("unsafe {") || line.contains("unsafe impl");
            let said = lines[i.saturating_sub(3)..i].iter().any(|above| above.contains("SAFETY"));
            if block && !said {
                breaches.push(format!("{}:{} does not say why it is safe", source.path, i + 1));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn every_file_is_one_room_and_opens_with_its_purpose() {
    let mut breaches = Vec::new();
    for source in sources() {
        if source.text.lines().count() > LONGEST_FILE {
            breaches.push(format!("{} is longer than {LONGEST_FILE} lines", source.path));
        }
        if !source.text.starts_with("//!") {
            breaches.push(format!("{} does not say what it is for", source.path));
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}
