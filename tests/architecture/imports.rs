//! Which modules a file names: paths that start at `crate`, `super` or `self`, braces written out, and child modules.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::{Source, by_module, code};

/// For each module with a file, the other modules that it names; a parent names its children.
pub fn imports(sources: &[Source]) -> BTreeMap<&str, BTreeSet<&str>> {
    let modules = by_module(sources);
    let used = |source: &Source| {
        let paths = paths(&source.text);
        paths.iter().filter_map(|path| module_of(&source.module, path, &modules)).collect()
    };
    sources
        .iter()
        .map(|source| {
            let mut used: BTreeSet<&str> = used(source);
            used.remove(source.module.as_str());
            (source.module.as_str(), used)
        })
        .collect()
}

/// What is left of a graph when everything that leads to no circle is taken away: the circles, and what leads to them.
pub fn circles<'a>(mut graph: BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    while let Some(leaf) = graph.iter().find(|(_, used)| used.is_empty()).map(|(module, _)| *module) {
        graph.remove(leaf);
        for used in graph.values_mut() {
            used.remove(leaf);
        }
    }
    graph
}

/// All paths of a text's code that start at a crate of the project, `super` or `self`, and its child modules. Unit tests aside.
fn paths(text: &str) -> Vec<String> {
    let code: String = code(text).collect::<Vec<_>>().join(" ");
    let children = code.match_indices("mod ").filter_map(|(at, _)| code[at + 4..].split_once(';'));
    let mut paths: Vec<String> = children.map(|(child, _)| format!("self::{child}")).collect();
    for start in ["crate::", "kandinsky_tensor::", "super::", "self::"] {
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
        // Nothing follows the last comma of a list.
        if !path.ends_with("::") {
            paths.push(path);
        }
        return rest;
    }
    while let Some(inner) = rest.strip_prefix(['{', ',']) {
        rest = write_out(&path, inner.trim_start(), paths).trim_start();
        // `as` and its name.
        rest = &rest[rest.find([',', '}']).unwrap_or(rest.len())..];
    }
    rest.strip_prefix('}').unwrap_or(rest)
}

/// The module with a file that a path leads to.
fn module_of<'a>(module: &str, path: &str, modules: &BTreeMap<&'a str, &Source>) -> Option<&'a str> {
    let mut parts: Vec<&str> = module.split("::").collect();
    for part in path.split("::").filter(|part| !part.is_empty()) {
        match part {
            // `tensor` is a crate of its own.
            "crate" => parts.truncate(usize::from(parts.first() == Some(&"tensor"))),
            "kandinsky_tensor" => parts = vec!["tensor"],
            "super" => drop(parts.pop()),
            "self" => {}
            part => parts.push(part),
        }
    }
    (1..=parts.len())
        .rev()
        .find_map(|n| modules.get_key_value(parts[..n].join("::").as_str()))
        .map(|(module, _)| *module)
}

#[test]
fn paths_are_found_in_every_spelling() {
    let text = "use crate::{\n    engine::Engine,\n    store::{self, keys::KeyRow as Row},\n};\nmod child;\n\
                fn f() { super::super::jobs::run(); }\npub(in crate::http) struct A;\n// crate::comment\n\
                use self::inner::B;\n\n#[cfg(test)]\nmod tests { use crate::only_in_tests; }\n";
    let found: BTreeSet<String> = paths(text).into_iter().collect();
    let expected = [
        "crate::engine::Engine",
        "crate::store::keys::KeyRow",
        "crate::store::self",
        "self::child",
        "self::inner::B",
        "super::super::jobs::run",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
}

#[test]
fn circles_are_found() {
    let graph = |edges: &[(&'static str, &'static str)]| {
        let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (from, to) in edges {
            graph.entry(from).or_default().insert(to);
            graph.entry(to).or_default();
        }
        graph
    };
    assert!(circles(graph(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    let left = circles(graph(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]));
    assert_eq!(left.keys().copied().collect::<Vec<_>>(), ["a", "b", "c"]);
}
