//! What `--help` says, command by command: a snapshot, so that a change of the command line is seen in review.
//!
//! To accept a change: `INSTA_UPDATE=always cargo test --release --test integration help`.

use std::process::{Command, Stdio};

const COMMANDS: [&str; 23] = [
    "",
    "serve",
    "api",
    "worker",
    "fleet",
    "generate",
    "pull",
    "bench",
    "bench step",
    "bench acceleration",
    "bench compare",
    "bench fleet",
    "bot",
    "keys",
    "keys create",
    "keys list",
    "keys revoke",
    "moderation",
    "moderation learn",
    "migrate",
    "health",
    "config",
    "openapi",
];

fn help(command: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_kandinsky"))
        .args(command.split_whitespace())
        .arg("--help")
        // Without a terminal, lines are as long as this says.
        .env("COLUMNS", "100")
        .env_remove("KANDINSKY_KEY")
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn help_says_what_it_said() {
    for command in COMMANDS {
        let name = format!("kandinsky {command}").trim_end().replace(' ', "_");
        insta::assert_snapshot!(name, help(command));
    }
}

/// `kandinsky openapi | head -1`: the pipe closes long before all is written.
#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    for command in [&["openapi"][..], &["config"], &["config", "--reference"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kandinsky"))
            .args(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{command:?}: {output:?}");
    }
}

#[test]
fn every_command_has_a_snapshot() {
    for (group, text) in [("", help("")), ("keys ", help("keys")), ("moderation ", help("moderation"))] {
        let commands = text.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        // Descriptions are indented further than names.
        for line in commands.filter(|line| !line.starts_with("   ")) {
            let name = line.split_whitespace().next().unwrap();
            assert!(name == "help" || COMMANDS.contains(&format!("{group}{name}").as_str()), "{group}{name}");
        }
    }
}
