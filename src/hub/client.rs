//! The client: pulls families into the cache, and finds those that it holds.
//!
//! Invariant: offline, no code path can reach the network.

use std::path::PathBuf;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::cache::{Absence, RepoCache};
use super::config::HubConfig;
use super::download::Download;
use super::error::HubError;
use super::family::{Family, Pulled};
use super::listing::{Content, Plan};
use super::progress::Progress;
use super::repo_id::{FamilyId, RepoId};
use super::report::Report;
use super::transport::Transport;
use crate::tensor::weight_files::Precision;

/// A client of one hub and one cache folder.
#[derive(Debug)]
pub struct Hub {
    config: HubConfig,
    /// Absent when offline, so that no code path can reach the network then.
    transport: Option<Transport>,
}

impl Hub {
    /// Sets the client up. Sends nothing, and reads nothing of the cache.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up (no usable TLS roots, a token that is no header value).
    pub fn new(config: HubConfig) -> Result<Self, HubError> {
        let transport = if config.offline { None } else { Some(Transport::new(&config)?) };
        Ok(Self { config, transport })
    }

    /// The family that the cache holds completely, found without the network. `None` when the decoder's repository is
    /// missing or incomplete; the prior and the inpainting repository are `None` inside for the same reason.
    #[must_use]
    pub fn cached(&self, id: &str) -> Option<Family> {
        let id = FamilyId::parse(id).ok()?;
        self.cached_family(&id).ok()
    }

    /// Brings the family into the cache and says where it is. `id` may name any of its three repositories.
    ///
    /// Dropping the future is safe at any time: what was received stays as a partial file, and the next call goes on
    /// from there.
    ///
    /// # Errors
    /// When the prior or the decoder is not on the hub (or, offline, not in the cache), access is refused, the network
    /// stays broken through all retries, or a file is not what the hub says it is. A missing inpainting repository is
    /// only a warning.
    pub async fn pull(&self, id: &str, precision: Precision, progress: &dyn Progress) -> Result<Pulled, HubError> {
        let id = FamilyId::parse(id)?;
        let Some(transport) = &self.transport else {
            return self.pull_offline(&id);
        };
        let mut report = Report::default();

        // Everything is listed before anything is fetched: a wrong name should not cost gigabytes first.
        let mut plans = vec![
            Plan::make(transport, id.prior(), Content::Pipeline, precision).await?,
            Plan::make(transport, id.main(), Content::Pipeline, precision).await?,
        ];
        match Plan::make(transport, id.inpaint(), Content::Pipeline, precision).await {
            Ok(plan) => plans.push(plan),
            Err(error) if error.means_missing() => {
                report.warnings.push(format!("no inpainting: {error}"));
            }
            Err(error) => return Err(error),
        }
        for plan in &plans {
            self.fetch(transport, plan, progress, &mut report).await?;
        }
        Ok(Pulled { family: self.cached_family(&id)?, report })
    }

    /// The translation model of this id, where the cache holds it completely, found without the network.
    #[must_use]
    pub fn cached_translator(&self, id: &str) -> Option<PathBuf> {
        self.repo(&RepoId::parse(id).ok()?).translator().ok()
    }

    /// Brings a translation model into the cache, and says what it took; as [`Self::pull`] does with families.
    ///
    /// # Errors
    /// As those of [`Self::pull`], and that the repository is no such model.
    pub async fn pull_translator(
        &self,
        id: &str,
        precision: Precision,
        progress: &dyn Progress,
    ) -> Result<Report, HubError> {
        let repo = RepoId::parse(id)?;
        let mut report = Report::default();
        if let Some(transport) = &self.transport {
            let plan = Plan::make(transport, &repo, Content::Translator, precision).await?;
            self.fetch(transport, &plan, progress, &mut report).await?;
        }
        self.repo(&repo).translator().map_err(|absence| self.explain(&repo, absence))?;
        Ok(report)
    }

    async fn fetch(
        &self,
        transport: &Transport,
        plan: &Plan,
        progress: &dyn Progress,
        report: &mut Report,
    ) -> Result<(), HubError> {
        let cache = self.repo(&plan.repo);
        let download =
            |file| Download { transport, cache: &cache, repo: &plan.repo, commit: &plan.commit, file, progress };
        // Collected first: for a stream that makes them on the way, the compiler cannot tell that this future is `Send`.
        let downloads: Vec<_> = plan.files.iter().map(|file| download(file).run()).collect();
        let mut outcomes = stream::iter(downloads).buffer_unordered(self.config.parallel.max(1));
        while let Some(outcome) = outcomes.try_next().await? {
            report.add(outcome);
        }
        // Last, so that a reader who finds the ref finds every file of the snapshot.
        cache.write_ref(&plan.commit)
    }

    fn pull_offline(&self, id: &FamilyId) -> Result<Pulled, HubError> {
        let family = self.cached_family(id)?;
        if family.prior.is_none() {
            self.snapshot(id.prior())?;
        }
        let mut report = Report::default();
        if let Err(error) = self.snapshot(id.inpaint()) {
            report.warnings.push(format!("no inpainting: {error}"));
        }
        Ok(Pulled { family, report })
    }

    fn cached_family(&self, id: &FamilyId) -> Result<Family, HubError> {
        Ok(Family {
            prior: self.snapshot(id.prior()).ok(),
            main: self.snapshot(id.main())?,
            inpaint: self.snapshot(id.inpaint()).ok(),
        })
    }

    fn snapshot(&self, repo: &RepoId) -> Result<PathBuf, HubError> {
        self.repo(repo).snapshot().map_err(|absence| self.explain(repo, absence))
    }

    fn explain(&self, repo: &RepoId, absence: Absence) -> HubError {
        let (repo, offline) = (repo.to_string(), self.config.offline);
        match absence {
            Absence::NotCached => HubError::NotCached { repo, cache: self.config.cache.clone(), offline },
            Absence::Incomplete(missing) => HubError::Incomplete { repo, missing, offline },
        }
    }

    fn repo(&self, repo: &RepoId) -> RepoCache {
        RepoCache::new(&self.config.cache, repo)
    }
}
