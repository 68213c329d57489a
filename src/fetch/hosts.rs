//! How many fetches there are at once.
//!
//! Invariant: no host gets more than a few requests at a time from here, however many clients name it and however they get
//! there: every hop of a redirect counts at its own host. Owners take turns, and none has all places.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::fair::{FairPermit, FairRoom};

/// Requests at once: to one host, and in all.
const PER_HOST: u64 = 4;
const ALL: u64 = 32;
/// Hosts that are remembered before those are forgotten to which there is no request.
const REMEMBERED: usize = 256;

type Places = FairRoom<Arc<str>>;
type Place = FairPermit<Arc<str>>;

/// The hosts that are being fetched from.
#[derive(Debug)]
pub(super) struct Hosts {
    all: Places,
    by_name: Mutex<HashMap<String, Weak<Places>>>,
}

/// A place at a host.
pub(super) struct HostPermit {
    _all: Option<Place>,
    _own: Option<Place>,
    _host: Arc<Places>,
}

impl Hosts {
    pub(super) fn new() -> Self {
        Self { all: FairRoom::new(ALL), by_name: Mutex::default() }
    }

    /// A place at this host, as soon as it is this owner's turn.
    pub(super) async fn enter(&self, host: &str, owner: &Arc<str>) -> HostPermit {
        let own = self.places(host);
        // Requests that wait for a slow host keep no others waiting.
        let permit = own.take(owner, 1).await;
        HostPermit { _all: self.all.take(owner, 1).await, _own: permit, _host: own }
    }

    fn places(&self, host: &str) -> Arc<Places> {
        let mut by_name = self.by_name.lock();
        if let Some(places) = by_name.get(host).and_then(Weak::upgrade) {
            return places;
        }
        if by_name.len() >= REMEMBERED {
            by_name.retain(|_, places| places.strong_count() > 0);
        }
        let places = Arc::new(FairRoom::new(PER_HOST));
        by_name.insert(host.to_owned(), Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_host_gets_a_few_requests_at_once_and_other_hosts_and_owners_go_on() {
        let hosts = Hosts::new();
        let [flood, you] = ["flood", "you"].map(Arc::from);
        let mut held = Vec::new();
        loop {
            let next = tokio::time::timeout(Duration::from_millis(50), hosts.enter("slow.example.org", &flood));
            let Ok(permit) = next.await else { break };
            held.push(permit);
        }
        assert!((1..PER_HOST).contains(&(held.len() as u64)), "{}", held.len());
        drop(hosts.enter("other.example.org", &flood).await);
        drop(hosts.enter("slow.example.org", &you).await);
        held.pop();
        drop(hosts.enter("slow.example.org", &flood).await);
        drop(held);
        for i in 0..2 * REMEMBERED {
            hosts.enter(&i.to_string(), &you).await;
        }
        assert!(hosts.by_name.lock().len() <= REMEMBERED);
    }

    #[tokio::test]
    async fn one_owners_many_slow_hosts_leave_places_for_others() {
        let hosts = Hosts::new();
        let [flood, you] = ["flood", "you"].map(Arc::from);
        let names: Vec<String> = (0..2 * ALL).map(|i| format!("{i}.example.org")).collect();
        let mut flooding: Vec<_> = names.iter().map(|name| Box::pin(hosts.enter(name, &flood))).collect();
        let mut held = Vec::new();
        for entering in &mut flooding {
            if let std::task::Poll::Ready(permit) = futures_util::poll!(entering) {
                held.push(permit);
            }
        }
        assert!((ALL / 2..ALL).contains(&(held.len() as u64)), "{}", held.len());
        let at_once = tokio::time::timeout(Duration::from_secs(5), hosts.enter("good.example.org", &you));
        assert!(at_once.await.is_ok());
    }
}
