//! Jobs and keys as rows and back: the one place that knows how both databases hold them.
//!
//! Invariant: what is written here is read back the same; a row that cannot be read names its job, or key, and says why.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};
use uuid::Uuid;

use crate::domain::{Failure, ImageMeta, JobState, Outcome, Timings};
use crate::modes::Mode;
use crate::records::{ApiKey, Job, KeyDigest, KeyLimits, Scope, Suspicion};
use crate::store::error::StoreError;
use crate::store::jobs::QueuedJob;
use crate::store::upkeep::Delivery;

/// Rows whose columns have the names of their fields. (A derive would do the same, but builds both drivers a second time,
/// for the compiler.)
macro_rules! rows {
    ($($(#[$attribute:meta])* $row:ident { $($visibility:vis $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$attribute])*
            #[derive(Debug)]
            pub(super) struct $row {
                $($visibility $field: $type,)*
            }

            impl<'r, R> FromRow<'r, R> for $row
            where
                R: Row,
                &'static str: ColumnIndex<R>,
                bool: Decode<'r, R::Database> + Type<R::Database>,
                i64: Decode<'r, R::Database> + Type<R::Database>,
                String: Decode<'r, R::Database> + Type<R::Database>,
            {
                fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
                    Ok(Self { $($field: row.try_get(stringify!($field))?),* })
                }
            }
        )*
    };
}

rows! {
    /// A row of `jobs`, without the columns that only statements look at.
    JobRow {
        pub id: String,
        pub owner: String,
        pub state: String,
        mode: String,
        model: String,
        pub durable: bool,
        cost: i64,
        yields: bool,
        spec: String,
        pub epoch: i64,
        pub losses: i64,
        suspicion: Option<String>,
        cancel_requested: bool,
        pub created_at: i64,
        started_at: Option<i64>,
        finished_at: Option<i64>,
        expires_at: Option<i64>,
        images: String,
        timings: Option<String>,
        failure: Option<String>,
        pub fingerprint: Option<String>,
    }

    /// What lease extensions, cancellations and purging read of a job.
    StateRow {
        pub id: String,
        pub state: String,
        pub cancel_requested: bool,
    }

    QueuedRow {
        id: String,
        priority: i64,
        yields: bool,
        cost: i64,
        created_at: i64,
    }

    DeliveryRow {
        pub id: String,
        job: String,
        url: String,
        payload: String,
        host: String,
        owner: String,
        attempts: i64,
        pub created_at: i64,
    }

    /// What a death is counted against.
    SuspicionRow {
        suspicion: Option<String>,
    }

    IdRow {
        pub id: String,
    }

    ClaimRow {
        pub id: String,
        pub epoch: i64,
    }

    KeptRow {
        pub owner: String,
        pub jobs: i64,
        pub bytes: i64,
    }

    BacklogRow {
        pub queued: i64,
        pub queued_cost: i64,
        pub running: i64,
        pub running_cost: i64,
    }

    HeldRow {
        pub jobs: i64,
        pub cost: i64,
    }

    NowRow {
        pub now: i64,
    }

    BytesRow {
        pub id: String,
        pub bytes: i64,
    }

    /// `api_keys`.
    KeyRow {
        id: String,
        name: String,
        digest: String,
        scopes: String,
        rate: Option<i64>,
        concurrency: Option<i64>,
        daily_pictures: Option<i64>,
        max_priority: String,
        moderation_policy: Option<String>,
        created_at: i64,
        expires_at: Option<i64>,
        last_used_at: Option<i64>,
        revoked_at: Option<i64>,
    }

    /// Usage of a quota.
    UsageRow {
        pub pictures: i64,
    }

    /// What a bucket gave; `wait` in ns.
    GrantRow {
        pub granted: i64,
        pub wait: i64,
    }
}

impl JobRow {
    /// Whether it is canceled, or is about to be: its key is free.
    pub fn is_given_up(&self) -> bool {
        self.state == JobState::Canceled.name() || self.cancel_requested && self.finished_at.is_none()
    }

    /// The job in it.
    pub fn job(self) -> Result<Job, StoreError> {
        let damaged =
            |what: &str, why: String| StoreError::Failed(format!("{what} of job {} is damaged: {why}", self.id));
        let mode = Mode::ALL.into_iter().find(|mode| mode.name() == self.mode);
        Ok(Job {
            id: id(&self.id)?,
            state: self.state.parse().map_err(|why| damaged("the state", why))?,
            mode: mode.ok_or_else(|| damaged("the mode", self.mode.clone()))?,
            cost: u64::try_from(self.cost).map_err(|why| damaged("the cost", why.to_string()))?,
            yields: self.yields,
            spec: super::spec::read(&self.spec).map_err(|why| damaged("the request", why))?,
            images: read(&self.images).map_err(|why| damaged("the list of images", why))?,
            timings: read_maybe(self.timings.as_deref()).map_err(|why| damaged("the timings", why))?,
            failure: read_maybe(self.failure.as_deref()).map_err(|why| damaged("the failure", why))?,
            owner: self.owner,
            model: self.model,
            durable: self.durable,
            epoch: self.epoch,
            losses: self.losses,
            suspicion: read_maybe(self.suspicion.as_deref()).map_err(|why| damaged("the suspicion", why))?,
            cancel_requested: self.cancel_requested,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            expires_at: self.expires_at,
        })
    }
}

impl StateRow {
    pub fn state(&self) -> Result<JobState, StoreError> {
        self.state.parse().map_err(StoreError::Failed)
    }
}

impl QueuedRow {
    pub fn job(&self) -> Result<QueuedJob, StoreError> {
        Ok(QueuedJob {
            id: id(&self.id)?,
            priority: u8::try_from(self.priority).unwrap_or(0),
            yields: self.yields,
            cost: u64::try_from(self.cost).unwrap_or(0),
            created_at: self.created_at,
        })
    }
}

impl DeliveryRow {
    /// As it was before the attempt that leasing it counted.
    pub fn delivery(self) -> Result<Delivery, StoreError> {
        Ok(Delivery {
            job: id(&self.job)?,
            id: self.id,
            url: self.url,
            payload: self.payload,
            host: self.host,
            owner: self.owner,
            attempts: u32::try_from(self.attempts - 1).unwrap_or(0),
        })
    }
}

impl KeyRow {
    pub fn key(self) -> Result<(ApiKey, KeyDigest), StoreError> {
        let damaged = |what: &str| StoreError::Failed(format!("{what} of key {} cannot be read", self.id));
        let bound = |bound: Option<i64>| bound.map(u32::try_from).transpose();
        let limits = KeyLimits {
            rate: bound(self.rate).map_err(|_| damaged("the rate"))?,
            concurrency: bound(self.concurrency).map_err(|_| damaged("the concurrency"))?,
            daily_images: bound(self.daily_pictures).map_err(|_| damaged("the quota"))?,
            max_priority: self.max_priority.parse().map_err(|_| damaged("the priority"))?,
        };
        // A scope that only a newer program knows is ignored.
        let scopes = self.scopes.split(' ').filter_map(|name| name.parse::<Scope>().ok()).collect();
        let digest = read_digest(&self.digest).ok_or_else(|| damaged("the digest"))?;
        let key = ApiKey {
            id: self.id,
            name: self.name,
            scopes,
            limits,
            moderation_policy: self.moderation_policy,
            created_at: self.created_at,
            expires_at: self.expires_at,
            last_used_at: self.last_used_at,
            revoked_at: self.revoked_at,
        };
        Ok((key, digest))
    }
}

impl SuspicionRow {
    pub fn suspicion(&self) -> Result<Option<Suspicion>, StoreError> {
        read_maybe(self.suspicion.as_deref()).map_err(StoreError::Failed)
    }
}

/// In base64.
pub(super) fn write_digest(digest: &KeyDigest) -> String {
    STANDARD.encode(digest.0)
}

fn read_digest(text: &str) -> Option<KeyDigest> {
    Some(KeyDigest(STANDARD.decode(text).ok()?.try_into().ok()?))
}

/// How a job ended, as columns.
#[derive(Debug)]
pub(super) struct OutcomeColumns {
    pub state: &'static str,
    pub images: String,
    pub timings: Option<String>,
    pub failure: Option<String>,
}

impl OutcomeColumns {
    pub fn of(outcome: &Outcome) -> Result<Self, StoreError> {
        let (images, timings, failure): (&[ImageMeta], Option<&Timings>, Option<&Failure>) = match outcome {
            Outcome::Succeeded { images, timings } => (images, Some(timings), None),
            Outcome::Failed(failure) => (&[], None, Some(failure)),
            Outcome::Canceled => (&[], None, None),
        };
        Ok(Self {
            state: outcome.state().name(),
            images: write(images)?,
            timings: timings.map(write).transpose()?,
            failure: failure.map(write).transpose()?,
        })
    }
}

/// An id as it is kept.
pub(super) fn id(text: &str) -> Result<Uuid, StoreError> {
    Uuid::try_parse(text).map_err(|why| StoreError::Failed(format!("{text:?} is not a job id: {why}")))
}

/// JSON text. (It escapes U+0000, which PostgreSQL does not take in text.)
pub(super) fn write<T: Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|why| StoreError::Failed(why.to_string()))
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|why| why.to_string())
}

fn read_maybe<T: DeserializeOwned>(text: Option<&str>) -> Result<Option<T>, String> {
    text.map(read).transpose()
}
