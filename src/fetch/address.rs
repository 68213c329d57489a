//! Which addresses may be dialled.
//!
//! Invariant: what is not known to be public is not public. The tables are IANA's special-purpose address registries
//! (RFC 6890 and its successors) and the metadata services of clouds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::policy::FetchPolicy;

/// Who can be behind an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Any host on the internet.
    Public,
    /// This machine, or one of the operator's network.
    Private,
    /// Ranges without public servers: groups, the link itself, documentation, tunnels, metadata services.
    Closed,
}

/// A block of IPv4 addresses: network and length of its prefix.
type Block4 = ([u8; 4], u32);
/// A block of IPv6 addresses.
type Block6 = ([u16; 8], u32);

const PRIVATE_4: [Block4; 5] = [
    ([10, 0, 0, 0], 8),
    // Carrier-grade NAT.
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([172, 16, 0, 0], 12),
    ([192, 168, 0, 0], 16),
];

const CLOSED_4: [Block4; 12] = [
    // "This network"; on Linux 0.0.0.0 is this machine.
    ([0, 0, 0, 0], 8),
    // Metadata of Alibaba's cloud, inside carrier-grade NAT.
    ([100, 100, 100, 200], 32),
    // Azure's, inside a public block.
    ([168, 63, 129, 16], 32),
    // Link-local, and the metadata of most clouds.
    ([169, 254, 0, 0], 16),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    // Relays of 6to4.
    ([192, 88, 99, 0], 24),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // Multicast.
    ([224, 0, 0, 0], 4),
    // Reserved, and the broadcast address.
    ([240, 0, 0, 0], 4),
];

/// All of global unicast; the exceptions are below.
const PUBLIC_6: Block6 = ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
const LOOPBACK_6: Block6 = ([0, 0, 0, 0, 0, 0, 0, 1], 128);
const UNIQUE_LOCAL_6: Block6 = ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7);
/// NAT64's well-known prefix: the last 32 bits are the IPv4 address that answers.
const NAT64: Block6 = ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

const CLOSED_6: [Block6; 6] = [
    // Protocol assignments: Teredo, benchmarking, ORCHID.
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    // 6to4: hides an IPv4 address, and has been dead since 2015.
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    // Documentation.
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
    // Metadata of Amazon's cloud, inside the unique local addresses.
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32),
    // Metadata of Google's.
    ([0xfd20, 0xce, 0, 0, 0, 0, 0, 0], 32),
];

/// Whether a connection to this address may be opened.
pub(super) fn may_dial(address: IpAddr, policy: &FetchPolicy) -> bool {
    let reach = match address {
        IpAddr::V4(address) => reach_4(address),
        IpAddr::V6(address) => reach_6(address),
    };
    reach == Reach::Public || reach == Reach::Private && policy.allow_private
}

fn reach_4(address: Ipv4Addr) -> Reach {
    let inside = |&(network, prefix): &Block4| {
        let difference = address.to_bits() ^ u32::from_be_bytes(network);
        difference.leading_zeros() >= prefix
    };
    if CLOSED_4.iter().any(inside) {
        Reach::Closed
    } else if PRIVATE_4.iter().any(inside) {
        Reach::Private
    } else {
        Reach::Public
    }
}

fn reach_6(address: Ipv6Addr) -> Reach {
    let inside = |&(network, prefix): &Block6| {
        let difference = address.to_bits() ^ Ipv6Addr::from(network).to_bits();
        difference.leading_zeros() >= prefix
    };
    if CLOSED_6.iter().any(inside) {
        Reach::Closed
    } else if inside(&LOOPBACK_6) || inside(&UNIQUE_LOCAL_6) {
        Reach::Private
    } else if inside(&NAT64) {
        let [.., a, b, c, d] = address.octets();
        // A private network is not reached through a translator, whatever the policy.
        if reach_4(Ipv4Addr::new(a, b, c, d)) == Reach::Public { Reach::Public } else { Reach::Closed }
    } else if inside(&PUBLIC_6) {
        Reach::Public
    } else {
        // Unspecified, link-local, site-local, multicast, mapped and compatible IPv4, discard, and unassigned ranges.
        Reach::Closed
    }
}
