//! The same for the editor: which folder of `web/` imports which, who may touch the page and the canvas, how long files are.

use std::path::{Path, PathBuf};

/// Folders of `web/`, and the folders or files that they may import. Only `app.js`, which nothing imports, knows everyone.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("i18n", &["model"]),
    ("api", &["model"]),
    ("store", &["model", "vendor"]),
    ("workers", &["model"]),
    ("tools", &["model"]),
    ("sheet", &["model", "i18n", "actions/transfer.js"]),
    ("actions", &["model", "i18n", "api", "store", "sheet", "workers"]),
    ("panels", &["model", "i18n", "vendor", "sheet/keys.js"]),
];
/// Files that run without a page, in `node --test` and in workers.
const PURE: &[&str] =
    &["model/", "api/sse.js", "sheet/gestures.js", "sheet/keys.js", "sheet/transform.js", "sheet/wheel.js"];
/// What only a page has.
const PAGE: &[&str] = &[
    "document.getElementById",
    "document.querySelector",
    "document.createElement",
    "document.body",
    "document.documentElement",
    "document.addEventListener",
    "HTMLElement(",
    "navigator.",
    "localStorage",
    "sessionStorage",
    "requestAnimationFrame",
    "new Image(",
    "getContext(",
];
/// What panels leave to the sheet.
const CANVAS: &[&str] = &["getContext(", "OffscreenCanvas", "createElement('canvas')", "createImageBitmap"];
const LONGEST_FILE: usize = 300;

/// A file of `web/` that is ours.
struct File {
    path: String,
    text: String,
}

impl File {
    fn folder(&self) -> &str {
        self.path.split_once('/').map_or("", |(folder, _)| folder)
    }

    fn is_script(&self) -> bool {
        std::path::Path::new(&self.path).extension().is_some_and(|extension| extension == "js")
    }

    /// Lines that are not comment; the server empties the others, by the same rule.
    fn code(&self) -> impl Iterator<Item = &str> {
        let mut inside = false;
        self.text.lines().filter(move |line| {
            let text = line.trim();
            let opens = !inside && text.starts_with("/*") && text.find("*/").is_none_or(|at| at + 2 == text.len());
            let is_comment = inside || opens || text.starts_with("//");
            if inside || opens {
                inside = !text.ends_with("*/");
            }
            !is_comment
        })
    }

    /// Paths in `web/` of the files that it imports.
    fn imports(&self) -> Vec<String> {
        let folder = Path::new(&self.path).parent().unwrap_or(Path::new(""));
        let quoted = |line: &str, before: &str| {
            let (_, rest) = line.split_once(before)?;
            rest.split_once('\'').map(|(name, _)| name.to_owned()).filter(|name| name.starts_with('.'))
        };
        // `import('...')` within a comment is a type.
        let code = self.code().map(|line| line.split("/**").next().unwrap_or_default());
        let names = code.filter_map(|line| {
            quoted(line, "from '").or_else(|| quoted(line, "import('")).or_else(|| quoted(line, "import '"))
        });
        names.map(|name| resolve(folder, &name)).collect()
    }
}

fn resolve(folder: &Path, name: &str) -> String {
    let mut found = PathBuf::from(folder);
    for part in name.split('/') {
        match part {
            "." => {}
            ".." => drop(found.pop()),
            part => found.push(part),
        }
    }
    found.to_string_lossy().into_owned()
}

fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["vendor", "unit", "styles"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if [".js", ".css", ".html"].iter().any(|ending| name.ends_with(ending)) {
                found.push(File { path: name, text: std::fs::read_to_string(path).unwrap() });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

#[test]
fn folders_of_the_editor_import_only_what_they_may() {
    let files = files();
    let mut breaches = Vec::new();
    let mut count = 0;
    for file in files.iter().filter(|file| file.is_script() && !file.folder().is_empty()) {
        let own = file.folder();
        let known = MAY_IMPORT.iter().find(|(folder, _)| *folder == own);
        let (_, allowed) = known.unwrap_or_else(|| panic!("web/{own} is not in the table"));
        for import in file.imports() {
            count += 1;
            let folder = import.split('/').next().unwrap_or_default();
            if folder != own && !allowed.contains(&folder) && !allowed.contains(&import.as_str()) {
                breaches.push(format!("web/{} imports {import}", file.path));
            }
        }
    }
    assert!(count > 100, "imports are not found any more: {count}");
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn pure_files_know_no_page_and_panels_no_canvas() {
    let mut breaches = Vec::new();
    for file in files() {
        let is_pure = PURE.iter().any(|pure| file.path.starts_with(pure));
        let forbidden = match file.folder() {
            _ if is_pure => PAGE,
            "panels" => CANVAS,
            _ => continue,
        };
        for line in file.code() {
            if let Some(found) = forbidden.iter().find(|word| line.contains(**word)) {
                breaches.push(format!("web/{}: {found}", file.path));
            }
        }
        for import in file.imports().iter().filter(|_| is_pure) {
            if !PURE.iter().any(|pure| import.starts_with(pure)) && !import.starts_with("api/") {
                breaches.push(format!("web/{} is pure and imports {import}", file.path));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

/// Comments end where their line ends: what the server empties is comment and nothing else.
#[test]
fn files_of_the_editor_are_short_and_open_with_their_purpose() {
    let mut breaches = Vec::new();
    for file in files() {
        let length = file.text.lines().count();
        if length > LONGEST_FILE {
            breaches.push(format!("web/{} has {length} lines, more than {LONGEST_FILE}", file.path));
        }
        if file.is_script() && !file.text.starts_with("/**") {
            breaches.push(format!("web/{} does not say what it is for", file.path));
        }
        let mut inside = false;
        for (i, line) in file.text.lines().enumerate() {
            let text = line.trim();
            if !inside && text.starts_with("/*") && !text.contains("*/") {
                inside = true;
            } else if inside && text.contains("*/") {
                if !text.ends_with("*/") {
                    breaches.push(format!("web/{}:{} goes on behind a comment", file.path, i + 1));
                }
                inside = false;
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}
