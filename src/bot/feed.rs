//! What is known of jobs under way: one stream of the server's events, told to those who wait for each job.
//!
//! Invariant: an end is never missed: after each (re)connection every job that is waited for is read once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::watch;
use uuid::Uuid;

use super::error::ServerError;
use super::server::{Job, Server};
use super::sse::{ServerEvent, SseReader};

/// Pause before the stream is opened again.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest that the server may take to open it.
const OPENING: Duration = Duration::from_secs(30);
/// The server sends comments more often than this: a stream that is silent for longer is dead.
const SILENCE: Duration = Duration::from_secs(90);

/// What is known of a job.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Jobs ahead of it; `None`: it runs.
    pub position: Option<usize>,
    pub percent: Option<u32>,
    /// The latest preview, a PNG, and its number.
    pub preview: Option<(u32, Arc<Vec<u8>>)>,
    pub has_ended: bool,
}

/// Who waits for which job.
#[derive(Debug, Default)]
pub(super) struct Feed {
    jobs: Mutex<HashMap<Uuid, watch::Sender<Seen>>>,
}

#[derive(Deserialize)]
struct JobField {
    job: Uuid,
}

#[derive(Deserialize)]
struct Queued {
    position: usize,
}

#[derive(Deserialize)]
struct Progress {
    percent: f32,
}

#[derive(Deserialize)]
struct Preview {
    step: u32,
    b64_json: String,
}

impl Feed {
    /// Wait for a job. The first value is empty: read the job once to know where it is.
    pub fn watch(&self, job: Uuid) -> watch::Receiver<Seen> {
        self.jobs.lock().entry(job).or_insert_with(|| watch::Sender::new(Seen::default())).subscribe()
    }

    /// The job has no listener any more.
    pub fn forget(&self, job: Uuid) {
        self.jobs.lock().remove(&job);
    }

    fn tell(&self, job: Uuid, change: impl FnOnce(&mut Seen)) {
        if let Some(sender) = self.jobs.lock().get(&job) {
            sender.send_modify(change);
        }
    }

    /// Note what was read of a job.
    pub fn note(&self, job: &Job) {
        if job.has_ended() {
            self.tell(job.id, |seen| seen.has_ended = true);
        }
    }

    /// Follow the stream for as long as the process lives.
    pub async fn follow(&self, server: &Server) {
        let mut last = None;
        loop {
            if let Err(error) = self.follow_once(server, &mut last).await {
                tracing::debug!(%error, "the stream of events ended");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn follow_once(&self, server: &Server, last: &mut Option<String>) -> Result<(), ServerError> {
        let opened = tokio::time::timeout(OPENING, server.events(last.as_deref())).await;
        let mut stream = opened.map_err(|_| ServerError::Unreachable("timeout".to_owned()))??;
        // The stream is open: what ended before is read, what ends from now on is heard.
        let waited: Vec<Uuid> = self.jobs.lock().keys().copied().collect();
        for id in waited {
            match server.job(id).await {
                Ok(job) => self.note(&job),
                Err(ServerError::Gone) => self.tell(id, |seen| seen.has_ended = true),
                Err(error) => return Err(error),
            }
        }
        let mut reader = SseReader::default();
        let broken = |_| ServerError::Unreachable("the stream broke".to_owned());
        while let Ok(chunk) = tokio::time::timeout(SILENCE, stream.chunk()).await {
            let Some(chunk) = chunk.map_err(broken)? else { break };
            for event in reader.read(&chunk) {
                self.hear(&event);
                if let Some(id) = event.id {
                    *last = Some(id);
                }
            }
        }
        Ok(())
    }

    fn hear(&self, event: &ServerEvent) {
        let data = event.data.as_str();
        let job = serde_json::from_str::<JobField>(data).map(|field| field.job);
        match (event.name.as_str(), job) {
            ("queued", Ok(job)) => {
                if let Ok(Queued { position }) = serde_json::from_str(data) {
                    self.tell(job, |seen| seen.position = Some(position));
                }
            }
            ("progress", Ok(job)) => {
                if let Ok(Progress { percent }) = serde_json::from_str(data) {
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
                    let percent = percent.clamp(0.0, 100.0) as u32;
                    self.tell(job, |seen| (seen.position, seen.percent) = (None, Some(percent)));
                }
            }
            ("preview", Ok(job)) => {
                let preview = serde_json::from_str::<Preview>(data).ok();
                let png = preview.and_then(|preview| Some((preview.step, STANDARD.decode(preview.b64_json).ok()?)));
                if let Some((step, png)) = png {
                    self.tell(job, |seen| seen.preview = Some((step, Arc::new(png))));
                }
            }
            ("completed" | "failed", _) => {
                if let Ok(job) = serde_json::from_str::<Job>(data) {
                    self.note(&job);
                }
            }
            _ => {}
        }
    }
}
