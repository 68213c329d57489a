//! Links one after the other, and the policy that says which of their findings refuse a prompt.
//!
//! Invariant: the first link whose findings refuse ends the review; what refuses depends on the policy alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use super::moderator::{Moderator, Unavailable};
use crate::domain::Finding;

/// Never allowed, whatever a policy says.
const NEVER_ALLOWED: &str = "sexual/minors";

/// Findings of a lower score are not even noted, unless they refuse.
const NOTED: f32 = 0.25;

/// Which findings refuse.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Findings of a lower score are only noted.
    pub threshold: f32,
    /// Categories whose findings are only noted.
    pub allow: BTreeSet<String>,
}

impl Default for Policy {
    fn default() -> Self {
        const THRESHOLD: f32 = 0.5;
        Self { threshold: THRESHOLD, allow: BTreeSet::new() }
    }
}

impl Policy {
    /// Whether a finding refuses.
    #[must_use]
    pub fn refuses(&self, finding: &Finding) -> bool {
        let allowed = finding.category != NEVER_ALLOWED && self.allow.contains(&finding.category);
        !allowed && finding.score >= self.threshold
    }

    /// Whether a finding is reported.
    #[must_use]
    pub fn notes(&self, finding: &Finding) -> bool {
        finding.score >= self.threshold.min(NOTED)
    }
}

/// Policies by the names that keys have for them.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    usual: Policy,
    named: BTreeMap<String, Policy>,
}

impl Policies {
    /// `usual` is for keys that have no other; `file` is TOML: `[name] threshold = 0.5, allow = ["category"]`.
    pub fn new(usual: Policy, file: &str) -> Result<Self, String> {
        let named: BTreeMap<String, Policy> = toml::from_str(file).map_err(|error| error.to_string())?;
        for (name, policy) in &named {
            if !(0.0..=1.0).contains(&policy.threshold) {
                return Err(format!("{name}: threshold must be 0 to 1"));
            }
            if policy.allow.contains(NEVER_ALLOWED) {
                return Err(format!("{name}: {NEVER_ALLOWED} cannot be allowed"));
            }
        }
        Ok(Self { usual, named })
    }

    /// The policy of this name. An unknown one is the usual one: a key must not get around it by a name that is gone.
    #[must_use]
    pub fn get(&self, name: Option<&str>) -> &Policy {
        name.and_then(|name| self.named.get(name)).unwrap_or(&self.usual)
    }
}

/// What came of a review.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PromptDecision {
    /// Everything that was found, by number of the text.
    pub findings: Vec<(usize, Finding)>,
    pub refused: bool,
}

impl PromptDecision {
    /// The categories of what was found.
    #[must_use]
    pub fn categories(&self) -> BTreeSet<String> {
        self.findings.iter().map(|(_, finding)| finding.category.clone()).collect()
    }

    /// The findings alone.
    #[must_use]
    pub fn into_findings(self) -> Vec<Finding> {
        self.findings.into_iter().map(|(_, finding)| finding).collect()
    }
}

/// Links, and the policies that their findings are held against.
///
/// ```
/// use std::sync::Arc;
///
/// use kandinsky::moderation::{Lexicon, LexiconFiles, Policies, PromptModeration};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let terms = [("violence".to_owned(), vec!["pipe bomb".to_owned()])].into_iter().collect();
/// let lexicon = LexiconFiles::from(Lexicon::new(&[terms]).unwrap());
/// let moderation = PromptModeration::new(vec![Arc::new(lexicon)], Policies::default());
/// let decision = moderation.review(&["a cat", "no PIPE-BOMB"], None).await.unwrap();
/// assert!(decision.refused);
/// assert_eq!(decision.categories().into_iter().collect::<Vec<_>>(), ["violence"]);
/// # });
/// ```
#[derive(Clone, Default)]
pub struct PromptModeration {
    links: Vec<Arc<dyn Moderator>>,
    policies: Policies,
}

impl PromptModeration {
    /// A chain of these links; without any, everything passes.
    #[must_use]
    pub fn new(links: Vec<Arc<dyn Moderator>>, policies: Policies) -> Self {
        Self { links, policies }
    }

    /// Review texts that belong together, by the policy of this name.
    pub async fn review(&self, texts: &[&str], policy: Option<&str>) -> Result<PromptDecision, Unavailable> {
        let policy = self.policies.get(policy);
        let mut decision = PromptDecision::default();
        for link in &self.links {
            let mut findings = link.review(texts).await?;
            findings.retain(|(_, finding)| policy.notes(finding));
            decision.refused = findings.iter().any(|(_, finding)| policy.refuses(finding));
            decision.findings.extend(findings);
            if decision.refused {
                break;
            }
        }
        Ok(decision)
    }

    /// All categories that there are.
    #[must_use]
    pub fn categories(&self) -> BTreeSet<String> {
        self.links.iter().flat_map(|link| link.categories()).collect()
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    /// Finds its category in every text, or does not answer.
    struct Fixed(&'static str, f32, bool);

    #[async_trait]
    impl Moderator for Fixed {
        fn name(&self) -> &'static str {
            "fixed"
        }

        async fn review(&self, texts: &[&str]) -> Result<Vec<(usize, Finding)>, Unavailable> {
            if !self.2 {
                return Err(Unavailable { link: "fixed", why: "it is off".to_owned() });
            }
            let finding = Finding { category: self.0.to_owned(), score: self.1, rule: "fixed".to_owned() };
            Ok((0..texts.len()).map(|i| (i, finding.clone())).collect())
        }

        fn categories(&self) -> Vec<String> {
            vec![self.0.to_owned()]
        }
    }

    fn chain(links: Vec<Fixed>) -> PromptModeration {
        let links = links.into_iter().map(|link| Arc::new(link) as Arc<dyn Moderator>).collect();
        let file = "[adults]\nallow = [\"sexual\"]\n[strict]\nthreshold = 0.1\n";
        PromptModeration::new(links, Policies::new(Policy::default(), file).unwrap())
    }

    #[tokio::test]
    async fn policies_say_what_refuses() {
        let chain = chain(vec![Fixed("sexual", 0.9, true)]);
        for (policy, refused) in [(None, true), (Some("adults"), false), (Some("gone"), true)] {
            let decision = chain.review(&["x"], policy).await.unwrap();
            assert_eq!((decision.refused, decision.categories().len()), (refused, 1), "{policy:?}");
        }
        for (score, policy, refused, noted) in [
            (0.3, None, false, 1),
            (0.3, Some("strict"), true, 1),
            (0.15, None, false, 0),
            (0.15, Some("strict"), true, 1),
            (0.05, Some("strict"), false, 0),
        ] {
            let decision = super::tests::chain(vec![Fixed("hate", score, true)]).review(&["x"], policy).await.unwrap();
            assert_eq!((decision.refused, decision.findings.len()), (refused, noted), "{score} {policy:?}");
        }
    }

    #[tokio::test]
    async fn a_refusal_ends_the_review_and_a_silent_link_lets_nothing_pass() {
        let refused = chain(vec![Fixed("hate", 1.0, true), Fixed("hate", 1.0, false)]);
        assert!(refused.review(&["x"], None).await.unwrap().refused);
        let silent = chain(vec![Fixed("hate", 0.1, true), Fixed("hate", 1.0, false)]);
        assert!(silent.review(&["x"], None).await.is_err());
    }

    #[test]
    fn some_things_cannot_be_allowed() {
        assert!(Policies::new(Policy::default(), "[x]\nallow = [\"sexual/minors\"]").is_err());
        assert!(Policies::new(Policy::default(), "[x]\nalow = []").is_err());
    }
}
