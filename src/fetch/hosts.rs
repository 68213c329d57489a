//! How many fetches there are at once.
//!
//! Invariant: no host gets more than a few requests at a time from here, however many clients name it and however they get
//! there: every hop of a redirect counts at its own host.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests at once: to one host, and in all.
const PER_HOST: usize = 4;
const ALL: usize = 32;
/// Hosts that are remembered before those are forgotten to which there is no request.
const REMEMBERED: usize = 256;

/// The hosts that are being fetched from.
#[derive(Debug)]
pub(super) struct Hosts {
    all: Arc<Semaphore>,
    by_name: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A place at a host.
pub(super) struct HostPermit {
    _all: Option<OwnedSemaphorePermit>,
    _own: Option<OwnedSemaphorePermit>,
    _host: Arc<Semaphore>,
}

impl Hosts {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), by_name: Mutex::default() }
    }

    /// A place at this host, as soon as there is one.
    pub(super) async fn enter(&self, host: &str) -> HostPermit {
        let own = self.places(host);
        // Requests that wait for a slow host keep no others waiting.
        let permit = own.clone().acquire_owned().await.ok();
        HostPermit { _all: self.all.clone().acquire_owned().await.ok(), _own: permit, _host: own }
    }

    fn places(&self, host: &str) -> Arc<Semaphore> {
        let mut by_name = self.by_name.lock();
        if let Some(places) = by_name.get(host).and_then(Weak::upgrade) {
            return places;
        }
        if by_name.len() >= REMEMBERED {
            by_name.retain(|_, places| places.strong_count() > 0);
        }
        let places = Arc::new(Semaphore::new(PER_HOST));
        by_name.insert(host.to_owned(), Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_host_gets_a_few_requests_at_once_and_others_go_on() {
        let hosts = Hosts::new();
        let mut held = Vec::new();
        for _ in 0..PER_HOST {
            held.push(hosts.enter("slow.example.org").await);
        }
        let fifth = tokio::time::timeout(Duration::from_millis(50), hosts.enter("slow.example.org"));
        assert!(fifth.await.is_err());
        hosts.enter("other.example.org").await;
        held.pop();
        hosts.enter("slow.example.org").await;
        drop(held);
        for i in 0..2 * REMEMBERED {
            hosts.enter(&i.to_string()).await;
        }
        assert!(hosts.by_name.lock().len() <= REMEMBERED);
    }
}
