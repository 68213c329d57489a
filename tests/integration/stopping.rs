//! Processes that are asked to stop: at any moment, from their first word on.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Start a server and send it this signal as soon as a line of its log has these words; its exit code, and its log.
fn stopped_at(words: &str, signal: &str) -> (Option<i32>, String) {
    let folder = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kandinsky"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path());
    command.env("KANDINSKY__LOG__LEVEL", "debug");
    let mut server = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap());
    let mut log = String::new();
    let mut at = 0;
    while !log[at..].contains(words) || log.is_empty() {
        at = log.len();
        assert!(lines.read_line(&mut log).unwrap() > 0, "{words:?} is not said:\n{log}");
    }
    assert!(Command::new("kill").args([signal, &server.id().to_string()]).status().unwrap().success());
    lines.read_to_string(&mut log).unwrap();
    (server.wait().unwrap().code(), log)
}

#[test]
fn a_server_that_is_asked_to_stop_while_it_starts_ends_in_order() {
    for signal in ["-TERM", "-INT"] {
        for words in ["", "loading", "model resident", "ready on"] {
            let (code, log) = stopped_at(words, signal);
            assert_eq!(code, Some(0), "{signal} at {words:?}:\n{log}");
            assert!(log.contains("stopped"), "{signal} at {words:?}:\n{log}");
        }
    }
}
