//! Messages as bytes, of a version that both ends know.
//!
//! Pure. Invariant: what another version sent is read as far as it means the same here, and is left out otherwise.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::broker::events::JobEvent;

/// Messages of jobs with a higher one are left to workers that know it.
const VERSION: u32 = 1;

/// Says that a job may be queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireWork {
    v: u32,
    pub job: Uuid,
    pub images: u32,
    /// The number of the job's last event so far.
    pub event: u64,
}

impl WireWork {
    pub(super) fn new(job: Uuid, images: u32, event: u64) -> Self {
        Self { v: VERSION, job, images, event }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// `None`: this version does not know it.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let work: Self = serde_json::from_slice(bytes).ok()?;
        (work.v <= VERSION).then_some(work)
    }
}

/// An event as it is sent: its head in JSON; after a line feed the image, if it is a preview.
#[derive(Serialize, Deserialize)]
struct Head {
    number: u64,
    #[serde(flatten)]
    kind: HeadKind,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum HeadKind {
    Queued {
        position: usize,
        eta_ms: u64,
    },
    Progress {
        stage: String,
        step: usize,
        steps: usize,
        percent: f32,
        eta_ms: u64,
    },
    Preview {
        index: usize,
        step: usize,
    },
    /// The job is in the store.
    Ended,
    #[serde(other)]
    Unknown,
}

/// What was received.
#[derive(Debug)]
pub(super) enum WireEvent {
    Event(JobEvent),
    /// The end of the job, which is to be read from the store.
    Ended,
}

pub(super) fn encode(number: u64, event: &JobEvent) -> Vec<u8> {
    let kind = match event {
        JobEvent::Queued { position, eta_ms } => HeadKind::Queued { position: *position, eta_ms: *eta_ms },
        JobEvent::Progress { stage, step, steps, percent, eta_ms } => HeadKind::Progress {
            stage: (*stage).to_owned(),
            step: *step,
            steps: *steps,
            percent: *percent,
            eta_ms: *eta_ms,
        },
        JobEvent::Preview { index, step, .. } => HeadKind::Preview { index: *index, step: *step },
        JobEvent::Ended { .. } => HeadKind::Ended,
    };
    let mut bytes = serde_json::to_vec(&Head { number, kind }).unwrap_or_default();
    if let JobEvent::Preview { png, .. } = event {
        bytes.push(b'\n');
        bytes.extend_from_slice(png);
    }
    bytes
}

/// An event and its number. `None`: this version does not know it.
pub(super) fn decode(bytes: &[u8]) -> Option<(u64, WireEvent)> {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let Head { number, kind } = serde_json::from_slice(&bytes[..end]).ok()?;
    let event = match kind {
        HeadKind::Queued { position, eta_ms } => JobEvent::Queued { position, eta_ms },
        HeadKind::Progress { stage, step, steps, percent, eta_ms } => {
            JobEvent::Progress { stage: stage_name(&stage), step, steps, percent, eta_ms }
        }
        HeadKind::Preview { index, step } => {
            let png = Arc::new(bytes.get(end + 1..).unwrap_or_default().to_vec());
            JobEvent::Preview { index, step, png }
        }
        HeadKind::Ended => return Some((number, WireEvent::Ended)),
        HeadKind::Unknown => return None,
    };
    Some((number, WireEvent::Event(event)))
}

/// Most names of stages that are kept.
const MOST_STAGES: usize = 64;

/// The name of a stage, which lives as long as the process: there are a handful of them.
fn stage_name(name: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock();
    if let Some(known) = known.get(name) {
        return known;
    }
    if known.len() >= MOST_STAGES {
        return "other";
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    known.insert(name);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_arrive_as_they_were_sent() {
        let png = Arc::new(b"\x89PNG\r\n\x1a\n\n\n".to_vec());
        let events = [
            JobEvent::Queued { position: 3, eta_ms: 40 },
            JobEvent::Progress { stage: "decoder", step: 1, steps: 9, percent: 12.5, eta_ms: 7 },
            JobEvent::Preview { index: 1, step: 2, png },
        ];
        for (number, event) in (u64::MAX - 3..).zip(events) {
            let (received, WireEvent::Event(read)) = decode(&encode(number, &event)).unwrap() else {
                panic!("its end")
            };
            assert_eq!((received, format!("{read:?}")), (number, format!("{event:?}")));
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        assert!(decode(br#"{"number": 1, "kind": "paused", "until": 3}"#).is_none());
        assert!(decode(b"").is_none() && decode(b"\n").is_none());
        let work = WireWork::new(Uuid::from_u128(1), 2, 3);
        assert_eq!(WireWork::decode(&work.encode()), Some(work.clone()));
        let later = serde_json::to_string(&work).unwrap().replace("\"v\":1", "\"v\":2,\"new\":true");
        assert_eq!(WireWork::decode(later.as_bytes()), None);
        let extended = serde_json::to_string(&work).unwrap().replace("\"v\":1", "\"v\":1,\"new\":true");
        assert_eq!(WireWork::decode(extended.as_bytes()), Some(work));
    }
}
