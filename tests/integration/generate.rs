//! `kandinsky generate` and the files that it writes.

use std::path::Path;
use std::process::{Command, Output};

fn generate(folder: &Path, out: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kandinsky"))
        .args([
            "generate",
            "text-to-image",
            "--prompt",
            "red heart",
            "--steps",
            "2",
            "--prior-steps",
            "1",
            "--out",
            out,
        ])
        .current_dir(folder)
        .output()
        .unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn where_no_file_can_be_written_nothing_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("folder.png")).unwrap();
    for (out, said) in [
        ("missing/x.png", "missing/x.png: there is no folder missing"),
        ("folder.png", "folder.png: is a folder"),
        ("folder.png/missing/x.png", "there is no folder folder.png/missing"),
    ] {
        let output = generate(folder.path(), out);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{out}: {error}");
        assert!(error.contains(said), "{out}: {error}");
    }
    assert_eq!(names(folder.path()), ["folder.png"]);
}

#[test]
fn a_file_takes_the_place_of_another_and_nothing_is_left_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.png"), b"old").unwrap();
    let output = generate(folder.path(), "x.png");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(std::fs::read(folder.path().join("x.png")).unwrap().starts_with(b"\x89PNG"));
    assert_eq!(names(folder.path()), ["x.png"]);
}
