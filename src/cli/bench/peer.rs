//! A program beside this one that runs the reference's networks when it is told to.
//!
//! Invariant: it computes only while a call waits for it, so that two programs never compute at once.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context as _;
use serde::Deserialize;

/// What the reference is, as Python.
const PROGRAM: &str = include_str!("reference.py");

/// A running reference.
pub(super) struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What it computes with.
    pub(super) version: String,
}

/// What the reference is to run.
pub(super) struct PeerSetup<'a> {
    /// The interpreter, which has PyTorch, diffusers and transformers.
    pub(super) python: &'a Path,
    /// The checkpoint's folder.
    pub(super) folder: &'a str,
    /// Of latents: height and width.
    pub(super) latents: (usize, usize),
    pub(super) threads: usize,
    pub(super) precision: &'a str,
}

/// What one run took, s.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Taken {
    pub(super) seconds: f64,
    pub(super) processor_seconds: f64,
}

#[derive(Deserialize)]
struct Ready {
    version: String,
}

impl Peer {
    /// Start it, and wait until it has loaded the checkpoint.
    pub(super) fn start(setup: &PeerSetup<'_>) -> anyhow::Result<Self> {
        let PeerSetup { python, folder, latents: (height, width), threads, precision } = setup;
        let mut command = Command::new(python);
        command.args(["-c", PROGRAM, folder]).args([height, width, threads].map(ToString::to_string)).arg(precision);
        command.env("HF_HUB_OFFLINE", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {}", python.display()))?;
        let (input, output) = child.stdin.take().zip(child.stdout.take()).context("no pipes to the reference")?;
        let mut peer = Self { child, input, output: BufReader::new(output), version: String::new() };
        peer.version = serde_json::from_str::<Ready>(&peer.line()?)?.version;
        Ok(peer)
    }

    /// Run one of its networks once.
    pub(super) fn run(&mut self, stage: &str) -> anyhow::Result<Taken> {
        writeln!(self.input, "{stage}").context("the reference has ended")?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        anyhow::ensure!(!line.is_empty(), "the reference has ended; what it said is above");
        Ok(line)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
