//! Which jobs are accepted, how long they are kept, and how their ends are announced.

use secrecy::SecretString;

use crate::config::readers;
use crate::config::rules::{self, DAY_S, GIB, KIB, Rule};
use crate::config::section::section;

section! {
    /// Which jobs are accepted.
    struct Queue in "queue" {
        /// Maximum number of jobs that are queued or running.
        max_jobs: usize = 1000, Rule::Whole(1..=10_000_000);
        /// Maximum work that is accepted and not done, in images x steps x pixels. 0: 4096 images of 512 x 512 at 50 steps.
        max_cost: u64 = 0, Rule::Whole(0..=i64::MAX);
        /// Maximum size of the decoded images that are held for jobs, bytes. 0: up to 256 MiB, by server.max_memory.
        max_input_bytes: usize = 0, Rule::Whole(0..=1024 * GIB);
        /// Maximum memory of all jobs that are executed at a time, bytes; others wait. Beside its images, a job takes 3 to 4
        /// bytes for each pixel of a result, once for each result and once more, and 8 for each pixel that is repainted; one
        /// that takes more than this is refused. 0: up to 448 MiB, by server.max_memory.
        max_working_bytes: usize = 0, Rule::Whole(0..=1024 * GIB);
        /// What part of the queue one key may hold, of that which the jobs of others leave. Its first job is always accepted.
        owner_share: f64 = 0.5, Rule::Number(0.001..=1.0);
        /// A job fails once the server died this often in a row at the same step of it, while it executed this job alone. What
        /// else kills the server (no memory, an eviction, kill -9) costs jobs time, and no more.
        most_losses: u32 = 3, Rule::Whole(1..=1000);
        /// A job whose worker has sent no heartbeat for this long is requeued, s.
        lease_s: u64 = 30, Rule::Whole(2..=DAY_S);
    }
}

impl Queue {
    /// 4096 images of 512 x 512 px at 50 steps.
    pub const DEFAULT_COST: u64 = 4096 * 50 * 512 * 512;

    /// Maximum work that is accepted and not done, in the unit of `Generation::cost`.
    #[must_use]
    pub fn cost_limit(&self) -> u64 {
        if self.max_cost == 0 { Self::DEFAULT_COST } else { self.max_cost }
    }
}

section! {
    /// How long jobs are kept.
    struct Jobs in "jobs" {
        /// How long images of finished jobs are kept, s. After that the job answers 410.
        ttl_s: u64 = 86_400, Rule::Whole(1..=36_500 * DAY_S);
        /// How long after that the job answers 410 rather than 404, s.
        forget_after_s: u64 = 604_800, Rule::Whole(0..=36_500 * DAY_S);
        /// How many jobs are kept for one key (or, where keys are off, in all). Beyond that, those that have ended are deleted
        /// before their time: those without images first, then the oldest.
        max_kept: usize = 50_000, Rule::Whole(1..=1_000_000_000);
        /// How many bytes the requests of the jobs may have that are kept for one key.
        max_kept_bytes: usize = 268_435_456, Rule::Whole(KIB..=1024 * GIB);
        /// Interval of the retention sweep, which deletes expired jobs, s.
        clean_interval_s: u64 = 60, Rule::Whole(1..=DAY_S);
    }
}

section! {
    /// How ends of jobs are announced.
    struct Webhooks in "webhooks" {
        /// Notify the addresses that jobs name when they end.
        enabled: bool = true, Rule::Flag;
        /// Key of the signatures (Standard Webhooks): whsec_ and base64 of 24 to 64 bytes. Empty: generated at the first
        /// start and kept in server.data.
        secret: SecretString as readers::secret = "", Rule::Secret(rules::webhook_secret);
        /// Timeout of one delivery, s.
        timeout_s: u64 = 10, Rule::Whole(1..=3600);
        /// Maximum number of attempts at one delivery.
        max_attempts: u32 = 8, Rule::Whole(1..=100);
        /// Deliver to addresses in private networks, too, and over http.
        allow_private: bool = false, Rule::Flag;
    }
}
