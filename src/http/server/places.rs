//! How many connections there may be, in all and from one address.
//!
//! Invariant: an idle connection never keeps another out. Where there is no place, a connection gets one of a reserve, in
//! which only health is answered, and in which the newest always finds room. The newest is the one that was accepted last,
//! whichever is looked at first.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::watch::Watch;
use crate::http::budget::{Budget, BudgetPermit};
use crate::http::client::ClientId;
use crate::metrics;

/// Connections in the reserve; a new one takes the place of the oldest.
const RESERVE: usize = 64;
/// How long a connection waits for the place of one that was idle.
const HANDOVER: Duration = Duration::from_secs(1);

/// The places of connections.
pub(super) struct Places {
    room: Arc<Budget>,
    taken: Mutex<HashMap<u64, Taken>>,
    /// By the numbers of the connections.
    reserve: Mutex<BTreeMap<u64, CancellationToken>>,
    is_reserve_only: bool,
}

struct Taken {
    client: ClientId,
    watch: Arc<Watch>,
}

/// Where a connection goes.
pub(super) enum Admission {
    Place(PlaceGuard),
    Reserve(CancellationToken),
    /// The client did not wait for it.
    Gone,
}

/// A connection's place, free again when this is dropped.
pub(super) struct PlaceGuard {
    places: Arc<Places>,
    number: u64,
    client: ClientId,
    _permit: BudgetPermit,
    _open: metrics::GaugeGuard,
}

impl Drop for PlaceGuard {
    fn drop(&mut self) {
        self.places.taken.lock().remove(&self.number);
    }
}

impl PlaceGuard {
    /// Let the connection be asked to make room while it is idle.
    pub(super) fn watch(&self, watch: Arc<Watch>) {
        self.places.taken.lock().insert(self.number, Taken { client: self.client.clone(), watch });
    }
}

impl Places {
    /// `all` places, of which one address may have `share`.
    pub(super) fn new(all: usize, share: usize) -> Arc<Self> {
        Arc::new(Self {
            room: Budget::new(all as u64, share as u64),
            taken: Mutex::default(),
            reserve: Mutex::default(),
            is_reserve_only: all == 0,
        })
    }

    /// A place for a connection from this address. Connections are numbered in the order in which they were accepted.
    pub(super) async fn admit(self: &Arc<Self>, number: u64, address: IpAddr, stream: &TcpStream) -> Admission {
        if self.is_reserve_only {
            return Admission::Reserve(self.reserve(number));
        }
        let client = ClientId::of_address(address);
        let permit = self.room.permit(client.clone());
        if permit.try_grow(1) || self.evict_idle(&client) && self.take_over(&permit, stream).await {
            return Admission::Place(self.place(number, client, permit));
        }
        if is_closed(stream) {
            return Admission::Gone;
        }
        metrics::CONNECTIONS_REFUSED.add(1, ["limit"]);
        Admission::Reserve(self.reserve(number))
    }

    fn place(self: &Arc<Self>, number: u64, client: ClientId, permit: BudgetPermit) -> PlaceGuard {
        let open = metrics::CONNECTIONS_OPEN.hold(1, []);
        PlaceGuard { places: self.clone(), number, client, _permit: permit, _open: open }
    }

    async fn take_over(&self, permit: &BudgetPermit, stream: &TcpStream) -> bool {
        tokio::time::timeout(HANDOVER, permit.grow(1)).await.is_ok() && !is_closed(stream)
    }

    /// Close the connection that has been idle longest, one of the same client if that is what there is too much of.
    fn evict_idle(&self, client: &ClientId) -> bool {
        let taken = self.taken.lock();
        let idle = |own: bool| {
            let candidates = taken.values().filter(|taken| !own || taken.client == *client);
            candidates.filter_map(|taken| Some((taken.watch.idle_since()?, taken))).min_by_key(|(since, _)| *since)
        };
        let found = if self.room.is_full() { idle(false) } else { idle(true) };
        let Some((_, taken)) = found else { return false };
        metrics::CONNECTIONS_REFUSED.add(1, ["idle"]);
        taken.watch.evict();
        true
    }

    fn reserve(&self, number: u64) -> CancellationToken {
        let token = CancellationToken::new();
        let mut reserve = self.reserve.lock();
        reserve.insert(number, token.clone());
        if reserve.len() > RESERVE
            && let Some((_, oldest)) = reserve.pop_first()
        {
            oldest.cancel();
        }
        token
    }
}

fn is_closed(stream: &TcpStream) -> bool {
    !matches!(stream.take_error(), Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_keeps_those_accepted_last_in_whatever_order_they_are_admitted() {
        let places = Places::new(0, 0);
        let newest = places.reserve(1000);
        let others: Vec<_> = (0..200).rev().map(|number| (number, places.reserve(number))).collect();
        assert!(!newest.is_cancelled());
        for (number, token) in others {
            assert_eq!(token.is_cancelled(), number <= 200 - RESERVE as u64, "{number}");
        }
    }
}
