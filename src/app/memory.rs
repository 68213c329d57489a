//! How much memory the server may take, and what of it goes to what.
//!
//! Invariant: what requests and jobs hold together, within these bounds, fits into the memory that is left beside the model,
//! with room for what is not counted one by one; what the operator sets goes before what is derived.

use std::fs;
use std::path::Path;

use crate::config::Config;

const MIB: u64 = 1 << 20;
/// Of the memory that is left beside the model: what the bounds are derived from, in hundredths. The rest is for connections, for
/// what the allocator keeps, and for the activations of a step.
const BOUND: u64 = 60;
/// Of what bodies may take, what is reserved for small ones, on top.
const SMALL_BODIES: u64 = 8;

/// Of the memory that is left, what the heads of requests may take that are not read yet, in hundredths; and the most of one.
const HEADS: u64 = 8;
const HEAD: u64 = 64 << 10;
/// Connections that there may be with however little memory.
const LEAST_CONNECTIONS: u64 = 64;

/// What takes memory: its part in hundredths, and the most that it gets by itself.
struct Part {
    hundredths: u64,
    most: u64,
}

const BODIES: Part = Part { hundredths: 12, most: 128 * MIB };
const RESPONSES: Part = Part { hundredths: 8, most: 128 * MIB };
const DECODED: Part = Part { hundredths: 34, most: 384 * MIB };
const INPUTS: Part = Part { hundredths: 17, most: 256 * MIB };
const WORKING: Part = Part { hundredths: 27, most: 448 * MIB };

impl Part {
    /// What is configured, or this part of the room.
    fn bytes(&self, configured: usize, room: Option<u64>) -> u64 {
        match configured as u64 {
            0 => room.map_or(self.most, |room| (room / 100).saturating_mul(self.hundredths).clamp(MIB, self.most)),
            bytes => bytes,
        }
    }
}

/// Bounds in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MemoryBounds {
    /// Of request bodies.
    pub(super) bodies: u64,
    /// Of responses that are not sent.
    pub(super) responses: u64,
    /// Of images while they are decoded.
    pub(super) decoded: u64,
    /// Of images that are held for jobs.
    pub(super) inputs: u64,
    /// Of jobs while they are executed.
    pub(super) working: u64,
    /// Most connections.
    pub(super) connections: usize,
}

impl MemoryBounds {
    /// The bounds as configured, and otherwise as they fit into this process's memory, of which the model already has its part.
    pub(super) fn find(config: &Config) -> Self {
        let left = memory_left(config.server.max_memory as u64);
        let bounds = Self::of(config, left);
        let mib = |bytes: u64| bytes / MIB;
        tracing::info!(
            memory.left_mib = left.map(mib),
            server.max_body_bytes_in_flight_mib = mib(bounds.bodies),
            server.max_response_bytes_in_flight_mib = mib(bounds.responses),
            server.max_decoded_bytes_in_flight_mib = mib(bounds.decoded),
            queue.max_input_bytes_mib = mib(bounds.inputs),
            queue.max_working_bytes_mib = mib(bounds.working),
            server.max_connections = bounds.connections,
            "memory"
        );
        if left.is_some_and(|left| bounds.sum() > left) {
            tracing::warn!(
                "requests may take more memory than is left beside the model: lower the bounds, or give it more"
            );
        }
        bounds
    }

    /// The bounds where so much is left beside the model, if that is known.
    fn of(config: &Config, left: Option<u64>) -> Self {
        let (server, queue) = (&config.server, &config.queue);
        let room = left.map(|left| left / 100 * BOUND);
        let heads = left.map_or(u64::MAX, |left| (left / 100 * HEADS / HEAD).max(LEAST_CONNECTIONS));
        Self {
            bodies: BODIES.bytes(server.max_body_bytes_in_flight, room),
            responses: RESPONSES.bytes(server.max_response_bytes_in_flight, room),
            decoded: DECODED.bytes(server.max_decoded_bytes_in_flight, room),
            inputs: INPUTS.bytes(queue.max_input_bytes, room),
            working: WORKING.bytes(queue.max_working_bytes, room),
            connections: server.max_connections.min(usize::try_from(heads).unwrap_or(usize::MAX)),
        }
    }

    fn sum(&self) -> u64 {
        let bodies = self.bodies.saturating_add(self.bodies / SMALL_BODIES);
        [self.responses, self.decoded, self.inputs, self.working].into_iter().fold(bodies, u64::saturating_add)
    }
}

/// What the process may take beside what it has: of `configured` bytes, or else of what the container and the machine have.
/// `None`: the system does not tell.
fn memory_left(configured: u64) -> Option<u64> {
    let resident = number_in("/proc/self/status", "VmRSS:")?;
    let least = |limit: u64| limit.saturating_sub(resident);
    if configured > 0 {
        return Some(least(configured));
    }
    let machine = number_in("/proc/meminfo", "MemAvailable:")?;
    Some(container_limit().map_or(machine, |limit| machine.min(least(limit))))
}

/// A number of a file of /proc, which has it in kB, in bytes.
fn number_in(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The least limit of the control groups that the process is in, bytes.
fn container_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let limit = |line: &str| {
        // Number, controllers, path; the one hierarchy of version 2 names no controllers.
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        match controllers.split(',').find(|name| ["", "memory"].contains(name))? {
            "" => least_limit(Path::new("/sys/fs/cgroup"), path, "memory.max"),
            _ => least_limit(Path::new("/sys/fs/cgroup/memory"), path, "memory.limit_in_bytes"),
        }
    };
    groups.lines().filter_map(limit).min()
}

/// The least limit of a group and of those around it. Within a container the path may be the machine's, of which only the root
/// is seen.
fn least_limit(root: &Path, path: &str, file: &str) -> Option<u64> {
    let folders = Path::new(path.trim_start_matches('/')).ancestors();
    let limit = |folder: &Path| fs::read_to_string(root.join(folder).join(file)).ok()?.trim().parse().ok();
    folders.filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    fn config(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        fs::write(&file, text).unwrap();
        Config::from_layers(Some(&file), Vec::new(), &Overrides::default()).unwrap()
    }

    #[test]
    fn bounds_fit_into_what_is_left_and_what_is_set_goes_before() {
        let usual = config("");
        let all = MemoryBounds::of(&usual, None);
        assert_eq!(MemoryBounds::of(&usual, Some(64 << 30)), all, "a large machine has no more than is of use");
        for left in [300 * MIB, 1200 * MIB, 2000 * MIB] {
            let bounds = MemoryBounds::of(&usual, Some(left));
            assert!(bounds.sum() <= left / 10 * 6, "{bounds:?} of {left}");
        }
        let set = config("[server]\nmax_decoded_bytes_in_flight = 1073741824");
        let bounds = MemoryBounds::of(&set, Some(1200 * MIB));
        assert!(bounds.decoded == 1 << 30 && (1000..2000).contains(&bounds.connections), "{bounds:?}");
    }

    #[test]
    fn the_least_limit_counts_and_no_limit_is_none() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        assert_eq!(least_limit(root.path(), "/a/b", "memory.max"), None);
        fs::write(root.path().join("a/memory.max"), "1000\n").unwrap();
        assert_eq!(least_limit(root.path(), "/a/b", "memory.max"), Some(1000));
        fs::write(root.path().join("memory.max"), "900\n").unwrap();
        assert_eq!(least_limit(root.path(), "/of/the/machine", "memory.max"), Some(900));
    }
}
