//! API keys: what their holders may do, and how much of it.
//!
//! Invariant: nothing here can be used to call the server: a key's secret is known to its holder alone, and its digest stays
//! between the store and the check of keys.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::job::Job;
use crate::domain::Priority;
use crate::modes::Mode;

/// One thing that a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everything, and the jobs of all keys.
    Admin,
    /// Make images in all modes.
    Generate,
    /// Make images in one mode.
    Mode(Mode),
    /// Read the metrics.
    Metrics,
}

impl Scope {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Admin, Self::Generate, Self::Metrics].into_iter().chain(Mode::ALL.map(Self::Mode))
    }

    /// The name on the command line and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Generate => "generate",
            Self::Mode(mode) => mode.name(),
            Self::Metrics => "metrics",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::all().map(Self::name).collect::<Vec<_>>().join(", ");
        Self::all().find(|scope| scope.name() == text).ok_or_else(|| format!("must be one of {}", names()))
    }
}

/// How much a key may do. None: no bound of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLimits {
    /// Requests a minute, of any kind; so many may come at once.
    pub rate: Option<u32>,
    /// Jobs waiting or running at once.
    pub concurrency: Option<u32>,
    /// Images of one day (UTC).
    pub daily_images: Option<u32>,
    pub max_priority: Priority,
}

impl Default for KeyLimits {
    fn default() -> Self {
        Self { rate: None, concurrency: None, daily_images: None, max_priority: Priority::High }
    }
}

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Public: it names the owner of jobs, in the store and in logs.
    pub id: String,
    /// For people.
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    pub limits: KeyLimits,
    /// The name of the policy that its prompts and images are judged by; None: the server's usual one.
    pub moderation_policy: Option<String>,
    /// ms since 1970, like all its times.
    pub created_at: i64,
    pub expires_at: Option<i64>,
    /// Roughly: it is not noted at each use.
    pub last_used_at: Option<i64>,
    pub revoked_at: Option<i64>,
}

impl ApiKey {
    /// Whether it may do everything.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.scopes.contains(&Scope::Admin)
    }

    /// Whether it may make images in this mode.
    #[must_use]
    pub fn may_make(&self, mode: Mode) -> bool {
        self.is_admin() || self.scopes.contains(&Scope::Generate) || self.scopes.contains(&Scope::Mode(mode))
    }

    /// Whether it may make images in some mode.
    #[must_use]
    pub fn may_make_any(&self) -> bool {
        Mode::ALL.into_iter().any(|mode| self.may_make(mode))
    }

    /// Whether it may read the metrics.
    #[must_use]
    pub fn may_measure(&self) -> bool {
        self.is_admin() || self.scopes.contains(&Scope::Metrics)
    }

    /// Whether a job is its own, or it may see those of all keys.
    #[must_use]
    pub fn may_see(&self, job: &Job) -> bool {
        self.is_admin() || job.owner == self.id
    }

    /// Whether it is good at `now` (ms since 1970).
    #[must_use]
    pub fn is_good(&self, now: i64) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// SHA-256 of a key's secret: all that is kept of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyDigest(pub [u8; 32]);

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(scopes: &[Scope]) -> ApiKey {
        ApiKey {
            id: "id".to_owned(),
            name: String::new(),
            scopes: scopes.iter().copied().collect(),
            limits: KeyLimits::default(),
            moderation_policy: None,
            created_at: 0,
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn scopes_open_what_they_name_and_nothing_else() {
        let inpainting = key(&[Scope::Mode(Mode::Inpainting)]);
        assert!(inpainting.may_make(Mode::Inpainting) && inpainting.may_make_any());
        assert!(!inpainting.may_make(Mode::Outpainting) && !inpainting.may_measure() && !inpainting.is_admin());
        let generate = key(&[Scope::Generate]);
        assert!(Mode::ALL.into_iter().all(|mode| generate.may_make(mode)) && !generate.may_measure());
        let metrics = key(&[Scope::Metrics]);
        assert!(metrics.may_measure() && !metrics.may_make_any());
        let admin = key(&[Scope::Admin]);
        assert!(admin.may_measure() && admin.may_make(Mode::TextToImage));
    }

    #[test]
    fn names_are_read_back() {
        assert!(Scope::all().all(|scope| scope.name().parse() == Ok(scope)));
        assert!("everything".parse::<Scope>().unwrap_err().contains("generate"));
    }

    #[test]
    fn a_key_is_good_until_it_expires_or_is_revoked() {
        let mut key = key(&[]);
        key.expires_at = Some(10);
        assert!(key.is_good(9) && !key.is_good(10));
        key.revoked_at = Some(5);
        assert!(!key.is_good(9));
    }
}
