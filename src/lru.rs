//! A cache bounded by bytes that evicts what was used least recently.
//!
//! Invariant: what it holds never counts for more than its limit; a value that alone is larger is not kept.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// The cache.
#[derive(Debug)]
pub struct Lru<K, V> {
    limit: usize,
    bytes: usize,
    entries: HashMap<K, Entry<V>>,
    /// Keys by the time of their last use.
    by_use: BTreeMap<u64, K>,
    now: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
    used: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> Lru<K, V> {
    /// An empty cache of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, entries: HashMap::new(), by_use: BTreeMap::new(), now: 0 }
    }

    /// The value of `key`, which counts as a use.
    pub fn get(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        self.now += 1;
        self.by_use.remove(&entry.used);
        entry.used = self.now;
        self.by_use.insert(self.now, key.clone());
        Some(entry.value.clone())
    }

    /// Keep `value`, which counts for `bytes`, and forget what must make room for it.
    pub fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.remove(&key);
        if bytes > self.limit {
            return;
        }
        while self.bytes + bytes > self.limit {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.bytes -= entry.bytes;
            }
        }
        self.now += 1;
        self.bytes += bytes;
        self.by_use.insert(self.now, key.clone());
        self.entries.insert(key, Entry { value, bytes, used: self.now });
    }

    /// Bytes that what it holds counts for.
    #[cfg(test)]
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_least_recently_makes_room() {
        let mut cache = Lru::new(10);
        cache.insert("a", 1, 4);
        cache.insert("b", 2, 4);
        assert_eq!(cache.get(&"a"), Some(1));
        cache.insert("c", 3, 4);
        assert_eq!((cache.get(&"a"), cache.get(&"b"), cache.get(&"c")), (Some(1), None, Some(3)));
        assert_eq!(cache.bytes(), 8);
    }

    #[test]
    fn an_oversized_value_evicts_nothing() {
        let mut cache = Lru::new(10);
        cache.insert("a", 1, 4);
        cache.insert("huge", 2, 11);
        assert_eq!((cache.get(&"a"), cache.get(&"huge")), (Some(1), None));
    }

    #[test]
    fn a_new_value_replaces_the_old_one() {
        let mut cache = Lru::new(10);
        cache.insert("a", 1, 4);
        cache.insert("a", 2, 9);
        assert_eq!((cache.get(&"a"), cache.bytes()), (Some(2), 9));
    }
}
