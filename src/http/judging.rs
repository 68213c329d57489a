//! How much text, and how many images, are judged and read at once.
//!
//! Invariant: a place is held for as long as the work on it takes, also when its client is gone, and clients take turns.

use super::client::ClientId;
use super::error::problem::Problem;
use crate::fair::{FairPermit, FairRoom};

/// Texts of a request from this length on, bytes, take long to read and some megabytes meanwhile.
const LONG_TEXTS: usize = 2000;

/// Places for requests whose texts or images are judged.
#[derive(Debug, Clone)]
pub struct JudgePlaces(FairRoom<ClientId>);

/// A place, given back when dropped.
#[derive(Debug)]
pub(crate) struct JudgePermit(#[expect(dead_code, reason = "it is held")] FairPermit<ClientId>);

impl JudgePlaces {
    /// For so many requests at once.
    #[must_use]
    pub fn new(places: u64) -> Self {
        Self(FairRoom::new(places))
    }

    /// A place, as soon as it is this client's turn.
    pub(crate) async fn enter(&self, client: &ClientId) -> Result<JudgePermit, Problem> {
        self.0.take(client, 1).await.map(JudgePermit).ok_or_else(Problem::internal)
    }

    /// A place for texts of so many bytes together; short ones need none.
    pub(crate) async fn enter_with_texts(
        &self,
        client: &ClientId,
        bytes: usize,
    ) -> Result<Option<JudgePermit>, Problem> {
        if bytes < LONG_TEXTS {
            return Ok(None);
        }
        self.enter(client).await.map(Some)
    }
}
