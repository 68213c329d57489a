//! Where the server listens: addresses, all addresses (`:8080`), or a name for addresses.
//!
//! Invariant: a name is looked up once, so that what was judged is what is listened on.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

/// `HOST:PORT`, as it was written.
#[derive(Debug, Clone)]
pub struct ListenAddress {
    host: Host,
    port: u16,
    /// What the name was found to be.
    found: OnceLock<Arc<[SocketAddr]>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    /// Every address of this machine.
    All,
    Address(IpAddr),
    Name(String),
}

impl ListenAddress {
    /// The port; 0: a free one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The addresses, of which the first that is free is taken.
    ///
    /// # Errors
    /// A name that nothing is known of.
    pub fn addresses(&self) -> io::Result<Arc<[SocketAddr]>> {
        if let Some(found) = self.found.get() {
            return Ok(found.clone());
        }
        let found: Arc<[SocketAddr]> = self.look_up()?.into();
        Ok(self.found.get_or_init(|| found).clone())
    }

    fn look_up(&self) -> io::Result<Vec<SocketAddr>> {
        let with_port = |ip: IpAddr| SocketAddr::new(ip, self.port);
        match &self.host {
            // On Linux the first is both; it is missing where IPv6 is turned off.
            Host::All => Ok([Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()].map(with_port).to_vec()),
            Host::Address(ip) => Ok(vec![with_port(*ip)]),
            Host::Name(name) if name.eq_ignore_ascii_case("localhost") => {
                Ok([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].map(with_port).to_vec())
            }
            Host::Name(name) => {
                let mut found: Vec<SocketAddr> = (name.as_str(), self.port).to_socket_addrs()?.collect();
                // Most clients try IPv4 if they were given an address.
                found.sort_by_key(SocketAddr::is_ipv6);
                if found.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
                }
                Ok(found)
            }
        }
    }

    /// Whether only this machine reaches it: every address that it may turn out to be. A name that is not known is judged as
    /// one that others reach.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.addresses().is_ok_and(|all| all.iter().all(|address| address.ip().to_canonical().is_loopback()))
    }

    /// Listen.
    ///
    /// # Errors
    /// A name that nothing is known of, or no address that is free.
    pub fn bind(&self) -> io::Result<TcpListener> {
        TcpListener::bind(&*self.addresses()?)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::All => write!(f, ":{}", self.port),
            Host::Address(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not an address with a port, such as 127.0.0.1:8080, localhost:8080 or :8080");
        let (host, port) = if let Ok(address) = text.parse::<SocketAddr>() {
            (Host::Address(address.ip()), address.port())
        } else {
            let (name, port) = text.rsplit_once(':').ok_or_else(wrong)?;
            let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
            // What is made of digits alone is a mistyped address.
            let is_number = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let host = match name {
                "" => Host::All,
                name if is_name && !is_number => Host::Name(name.to_owned()),
                _ => return Err(wrong()),
            };
            (host, port.parse().map_err(|_| wrong())?)
        };
        Ok(Self { host, port, found: OnceLock::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<String> {
        text.parse::<ListenAddress>().unwrap().addresses().unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_and_names_are_read_as_people_write_them() {
        assert_eq!(addresses("127.0.0.1:80"), ["127.0.0.1:80"]);
        assert_eq!(addresses("[::1]:80"), ["[::1]:80"]);
        assert_eq!(addresses(":80"), ["[::]:80", "0.0.0.0:80"]);
        assert_eq!(addresses("localhost:80"), ["127.0.0.1:80", "[::1]:80"]);
        for wrong in ["localhost", "80", "", "::1:80", "127.0.0:80", "a b:80", "a/b:80", "localhost:http", "a:70000"] {
            let said = wrong.parse::<ListenAddress>().unwrap_err();
            assert!(said.contains("127.0.0.1:8080"), "{wrong}: {said}");
        }
    }

    #[test]
    fn loopback_is_judged_over_all_addresses() {
        for (text, wanted) in [
            ("127.9.9.9:80", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("localhost:80", true),
            (":80", false),
            ("0.0.0.0:80", false),
            ("192.168.1.2:80", false),
            ("no-such-name.invalid:80", false),
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().is_loopback(), wanted, "{text}");
        }
        let mixed = ListenAddress {
            host: Host::Name("both".to_owned()),
            port: 80,
            found: OnceLock::from(Arc::from(["127.0.0.1:80".parse().unwrap(), "192.0.2.1:80".parse().unwrap()])),
        };
        assert!(!mixed.is_loopback());
    }
}
