//! Who sends a request, and what they may do.
//!
//! Invariant: what a key may not see does not exist for it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::Extensions;

use crate::domain::Priority;
use crate::http::client::ClientId;
use crate::http::context::AppState;
use crate::http::error::problem::Problem;
use crate::jobs::Allowance;
use crate::modes::Mode;
use crate::records::{ApiKey, Job, Scope};

/// Who sends a request.
#[derive(Debug, Clone, Default)]
pub(crate) enum Caller {
    /// Keys are off: all callers are the same.
    #[default]
    Anyone,
    Key(Arc<ApiKey>),
    /// The bearer of the signed URL of the one image that is asked for.
    SignedUrl,
}

impl Caller {
    /// The owner of the jobs it makes; empty for anyone.
    pub(crate) fn owner(&self) -> &str {
        self.key().map_or("", |key| &key.id)
    }

    fn key(&self) -> Option<&ApiKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Anyone | Self::SignedUrl => None,
        }
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.key().is_some_and(ApiKey::is_admin)
    }

    /// The name of the moderation policy of its prompts and images; None: the default one.
    pub(crate) fn moderation_policy(&self) -> Option<&str> {
        self.key().and_then(|key| key.moderation_policy.as_deref())
    }

    /// Whose jobs are listed and listened to; None: those of all keys.
    pub(crate) fn listed_owner(&self) -> Option<&str> {
        if self.is_admin() { None } else { Some(self.owner()) }
    }

    pub(crate) fn may_see(&self, job: &Job) -> bool {
        match self {
            Self::Anyone => job.owner.is_empty(),
            Self::Key(key) => key.may_see(job),
            Self::SignedUrl => true,
        }
    }

    /// Count a request as `more` further ones against the key's rate: later ones wait the longer.
    pub(crate) fn charge_requests(&self, state: &AppState, more: u32) {
        if let (Self::Key(key), Some(auth)) = (self, &state.auth) {
            auth.keys.charge(key, more);
        }
    }

    /// Whether the caller would still be authenticated now.
    pub(crate) async fn is_still_valid(&self, state: &AppState) -> bool {
        match (self, &state.auth) {
            (Self::Key(key), Some(auth)) => auth.keys.is_still_valid(&key.id).await,
            _ => true,
        }
    }

    /// Require some scope to generate: to be checked before a request costs anything. [`Caller::check_mode`] follows once
    /// its mode is known.
    pub(crate) fn check_any_mode(&self) -> Result<(), Problem> {
        let allowed = self.key().is_none_or(ApiKey::may_make_any);
        if allowed { Ok(()) } else { Err(Problem::missing_scope("`generate` (or a mode's name)")) }
    }

    pub(crate) fn check_mode(&self, mode: Mode) -> Result<(), Problem> {
        let allowed = self.key().is_none_or(|key| key.may_make(mode));
        if allowed { Ok(()) } else { Err(Problem::missing_scope(&format!("`generate` or `{}`", mode.name()))) }
    }

    pub(crate) fn check_metrics(&self) -> Result<(), Problem> {
        let allowed = self.key().is_none_or(ApiKey::may_measure);
        if allowed { Ok(()) } else { Err(Problem::missing_scope(&format!("`{}`", Scope::Metrics.name()))) }
    }

    /// The priority of a job for which this one was asked, or none.
    pub(crate) fn priority(&self, asked: Option<Priority>) -> Result<Priority, Problem> {
        let highest = self.key().map_or(Priority::High, |key| key.limits.max_priority);
        match asked {
            Some(asked) if asked > highest => Err(Problem::priority_not_allowed(highest.name(), asked.name())),
            asked => Ok(asked.unwrap_or(Priority::default().min(highest))),
        }
    }

    /// The bounds of its own jobs.
    pub(crate) fn allowance(&self) -> Allowance {
        self.key().map_or_else(Allowance::default, |key| Allowance {
            jobs: key.limits.concurrency,
            daily_images: key.limits.daily_images,
        })
    }
}
/// The client that a request came from.
pub(crate) fn client_of(extensions: &Extensions) -> ClientId {
    let owner = extensions.get::<Caller>().map(Caller::owner).filter(|owner| !owner.is_empty());
    owner.map_or_else(
        || {
            let peer = extensions.get::<ConnectInfo<SocketAddr>>();
            peer.map_or(ClientId::Unknown, |peer| ClientId::of_address(peer.0.ip()))
        },
        |owner| ClientId::Key(owner.into()),
    )
}
