//! The house rules that a compiler does not hold: who may use whom, where which crate is allowed, where unsafe code is,
//! and how long files may be. ARCHITECTURE.md explains them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Rooms, and the rooms they may use. `main`, `cli` and `app` may use everything.
const MAY_USE: &[(&str, &[&str])] = &[
    ("http", &["auth", "jobs", "store", "engine", "imaging", "moderation", "fetch", "telemetry", "domain"]),
    ("auth", &["store", "domain"]),
    ("jobs", &["generation", "engine", "store", "imaging", "moderation", "signature", "telemetry", "domain"]),
    ("generation", &["engine", "imaging", "domain"]),
    ("engine", &["families", "diffusion", "tensor", "domain", "telemetry"]),
    ("store", &["telemetry", "domain", "tls"]),
    ("families", &["diffusion", "tensor", "domain"]),
    ("diffusion", &["tensor", "domain"]),
    ("tensor", &["domain"]),
    ("imaging", &["domain"]),
    ("moderation", &["domain", "imaging", "signature", "tls"]),
    ("fetch", &["domain", "tls"]),
    ("bench", &["domain", "imaging", "tls"]),
    ("hub", &["tls"]),
    ("domain", &[]),
    ("config", &["domain"]),
    ("telemetry", &["config", "tls"]),
    ("clock", &[]),
    ("retry", &[]),
    ("shutdown", &[]),
    ("tls", &[]),
    ("signature", &[]),
    ("embedded", &[]),
];
const UNBOUND: [&str; 4] = ["main", "cli", "app", "lib"];

/// Crates that stay in certain rooms.
const CRATE_ROOMS: &[(&str, &[&str])] = &[
    ("axum", &["http", "app"]),
    ("utoipa", &["http"]),
    ("candle_core", &["tensor", "diffusion", "families", "engine"]),
    ("tokenizers", &["families"]),
    ("reqwest", &["hub", "fetch", "moderation", "bench", "cli", "tls"]),
    ("rustls", &["tls"]),
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
        for &(name, rooms) in CRATE_ROOMS {
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

/// A parent counts as using its children: it is their table of contents, and they do not import through it.
#[test]
fn files_of_http_import_each_other_without_circles() {
    let sources: Vec<Source> = sources().into_iter().filter(|source| source.room == "http").collect();
    let modules: BTreeMap<String, &Source> = sources.iter().map(|source| (module_path(&source.path), source)).collect();
    let mut uses: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (module, source) in &modules {
        let used = paths(&source.text).into_iter().filter_map(|path| file_of(module, &path, &modules));
        uses.insert(module, used.filter(|used| used != module).collect());
    }
    assert!(uses.values().map(BTreeSet::len).sum::<usize>() > 100, "imports are not found any more: {uses:#?}");
    // Whatever uses nothing that is left is in no circle.
    while let Some(leaf) = uses.iter().find(|(_, used)| used.is_empty()).map(|(module, _)| *module) {
        uses.remove(leaf);
        for used in uses.values_mut() {
            used.remove(leaf);
        }
    }
    assert!(uses.is_empty(), "in circles, or using what is: {uses:#?}");
}

/// `http::a::b` of `src/http/a/b.rs`.
fn module_path(file: &str) -> String {
    file["src/".len()..].trim_end_matches(".rs").replace('/', "::")
}

/// All paths of a text's code that start at `crate` or `super`, braces written out, and its child modules. Tests aside.
fn paths(text: &str) -> Vec<String> {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    let code: String = code(text).collect::<Vec<_>>().join(" ");
    let children = code.match_indices("mod ").filter_map(|(at, _)| code[at + 4..].split_once(';'));
    let mut paths: Vec<String> = children.map(|(child, _)| format!("self::{child}")).collect();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back().unwrap_or(' ');
            let is_inside = before.is_alphanumeric() || before == '_' || before == ':';
            // `pub(in crate::http)` uses nothing.
            if !is_inside && !code[..at].ends_with("(in ") {
                write_out("", &code[at..], &mut paths);
            }
        }
    }
    paths
}

/// Write out the path at the head of a text, after what stands before it, and give what follows it.
fn write_out<'a>(before: &str, text: &'a str, paths: &mut Vec<String>) -> &'a str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let (path, mut rest) = (format!("{before}{}", &text[..end]), &text[end..]);
    if !rest.starts_with('{') {
        paths.push(path);
        return rest;
    }
    while let Some(inner) = rest.strip_prefix(['{', ',']) {
        rest = write_out(&path, inner.trim_start(), paths).trim_start();
        // `as` and its name.
        rest = &rest[rest.find([',', '}']).unwrap_or(rest.len())..];
    }
    rest.strip_prefix('}').unwrap_or(rest)
}

/// The module whose file a path leads to.
fn file_of(module: &str, path: &str, modules: &BTreeMap<String, &Source>) -> Option<String> {
    let mut parts: Vec<&str> = module.split("::").collect();
    for part in path.split("::").filter(|part| !part.is_empty()) {
        match part {
            "crate" => parts.clear(),
            "super" => drop(parts.pop()),
            "self" => {}
            part => parts.push(part),
        }
    }
    (1..=parts.len()).rev().map(|n| parts[..n].join("::")).find(|path| modules.contains_key(path))
}
