//! The names of a fleet on the NATS servers.
//!
//! Pure. Invariant: whatever owners and models are called, each is one token of a subject.
//!
//! ```text
//! stream PREFIX_jobs     PREFIX.jobs.MODEL.CLASS.GROUP.JOB      a message for each job that has not ended
//! consumers              MODEL-CLASS-GROUP                     CLASS is a priority, with `_yielding` where others go first
//! stream PREFIX_events   PREFIX.events.OWNER.JOB.state          what a job does: the last event of each is kept for a while
//! stream PREFIX_workers  PREFIX.workers.PROCESS                 how a process that works gets on: likewise
//! no stream              PREFIX.events.OWNER.JOB.preview        previews of its images
//!                        PREFIX.cancel                          the id of a job whose cancellation is requested
//! ```

use uuid::Uuid;

use crate::broker::pull_order::QueueName;
use crate::domain::Priority;

fn class_token(queue: QueueName) -> &'static str {
    match (queue.priority, queue.yields) {
        (Priority::High, false) => "high",
        (Priority::High, true) => "high_yielding",
        (Priority::Normal, false) => "normal",
        (Priority::Normal, true) => "normal_yielding",
        (Priority::Low, false) => "low",
        (Priority::Low, true) => "low_yielding",
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
    model: String,
}

impl Names {
    pub(super) fn new(prefix: &str, model: &str) -> Self {
        Self { prefix: token(prefix), model: token(model) }
    }

    pub(super) fn jobs_stream(&self) -> String {
        format!("{}_jobs", self.prefix)
    }

    /// All jobs of all models.
    pub(super) fn all_jobs(&self) -> String {
        format!("{}.jobs.>", self.prefix)
    }

    pub(super) fn job(&self, queue: QueueName, job: Uuid) -> String {
        format!("{}.jobs.{}.{}.g{}.{job}", self.prefix, self.model, class_token(queue), queue.group)
    }

    /// All jobs of a queue.
    pub(super) fn queue(&self, queue: QueueName) -> String {
        format!("{}.jobs.{}.{}.g{}.*", self.prefix, self.model, class_token(queue), queue.group)
    }

    pub(super) fn consumer(&self, queue: QueueName) -> String {
        format!("{}-{}-g{}", self.model, class_token(queue), queue.group)
    }

    /// Where a job's events go.
    pub(super) fn events(&self, owner: &str, job: Uuid, kind: EventKind) -> String {
        format!("{}.events.{}.{job}.{}", self.prefix, token(owner), kind.token())
    }

    /// A job's events, of any owner. Of all kinds, so that their order is kept.
    pub(super) fn job_events(&self, job: Uuid) -> String {
        format!("{}.events.*.{job}.*", self.prefix)
    }

    /// What is kept of a job's events, of any owner.
    pub(super) fn job_states(&self, job: Uuid) -> String {
        format!("{}.events.*.{job}.{}", self.prefix, EventKind::State.token())
    }

    /// The events of all jobs of an owner (`None`: of all).
    pub(super) fn owner_events(&self, owner: Option<&str>) -> String {
        let owner = owner.map_or_else(|| "*".to_owned(), token);
        format!("{}.events.{owner}.*.*", self.prefix)
    }

    /// What is kept of those.
    pub(super) fn owner_states(&self, owner: Option<&str>) -> String {
        let owner = owner.map_or_else(|| "*".to_owned(), token);
        format!("{}.events.{owner}.*.{}", self.prefix, EventKind::State.token())
    }

    pub(super) fn events_stream(&self) -> String {
        format!("{}_events", self.prefix)
    }

    pub(super) fn workers_stream(&self) -> String {
        format!("{}_workers", self.prefix)
    }

    /// Where a process that works tells of itself.
    pub(super) fn worker(&self, process: &str) -> String {
        format!("{}.workers.{}", self.prefix, token(process))
    }

    pub(super) fn all_workers(&self) -> String {
        format!("{}.workers.*", self.prefix)
    }

    pub(super) fn cancel(&self) -> String {
        format!("{}.cancel", self.prefix)
    }
}

/// Which events there are, by what becomes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventKind {
    /// The last one is kept for listeners who come later.
    State,
    /// For those who listen now.
    Preview,
}

impl EventKind {
    fn token(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Preview => "preview",
        }
    }
}

/// The job that a subject of events names.
pub(super) fn job_of(subject: &str) -> Option<Uuid> {
    subject.rsplit('.').nth(1)?.parse().ok()
}

/// A queue by the name of its consumer: the model's token, and the queue.
pub(super) fn queue_of(consumer: &str) -> Option<(&str, QueueName)> {
    let (rest, group) = consumer.rsplit_once("-g")?;
    let (model, class) = rest.rsplit_once('-')?;
    let group: usize = group.parse().ok()?;
    let queue = QueueName::all().find(|queue| queue.group == group && class_token(*queue) == class)?;
    Some((model, queue))
}

/// The text of a token.
pub(super) fn text_of(token: &str) -> String {
    if token == "=" {
        return String::new();
    }
    let mut parts = token.split('=');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        bytes.extend(u8::from_str_radix(code, 16));
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text as one token: letters, digits, `-` and `_` as they are, and the rest as hexadecimal numbers.
fn token(text: &str) -> String {
    use std::fmt::Write as _;

    if text.is_empty() {
        return "=".to_owned();
    }
    let mut token = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            token.push(char::from(byte));
        } else {
            let _ = write!(token, "={byte:02x}");
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Size;

    #[test]
    fn every_name_is_one_token_and_no_two_are_the_same() {
        let texts = ["", "a", "A", "=", "a.b", "a*", "a>", "a b", "кот", "a=2eb", "kandinsky-2-1"];
        let tokens: std::collections::BTreeSet<String> = texts.iter().map(|text| token(text)).collect();
        assert_eq!(tokens.len(), texts.len());
        for text in texts {
            assert_eq!(text_of(&token(text)), text);
        }
        for token in tokens {
            assert!(!token.is_empty() && !token.contains(['.', '*', '>', ' ']) && token.is_ascii(), "{token}");
        }
    }

    #[test]
    fn a_job_is_in_the_queue_of_its_priority_and_size() {
        let names = Names::new("kd", "mini");
        let job = Uuid::from_u128(7);
        let size = |width, height| Some(Size { width, height });
        for (priority, yields, size) in [
            (Priority::High, false, size(512, 512)),
            (Priority::Low, false, size(768, 512)),
            (Priority::Low, true, size(768, 512)),
            (Priority::Low, false, None),
        ] {
            let queue = QueueName::of(priority, yields, size);
            let (subject, filter) = (names.job(queue, job), names.queue(queue));
            assert_eq!(subject, filter.replace('*', &job.to_string()));
            assert_eq!(queue_of(&names.consumer(queue)), Some(("mini", queue)));
            assert!(QueueName::all().any(|other| other == queue));
        }
        assert_eq!(job_of(&names.events("", job, EventKind::State)), Some(job));
        let consumers: std::collections::BTreeSet<String> =
            QueueName::all().map(|queue| names.consumer(queue)).collect();
        assert_eq!(consumers.len(), QueueName::all().count());
    }
}
