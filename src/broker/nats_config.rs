//! How a process takes part in a fleet.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// Which NATS servers there are, and who this process is to the others.
#[derive(Debug, Clone)]
pub struct NatsConfig {
    /// `nats://user:password@host:4222` or `tls://...`; several, of one cluster, are separated by commas.
    pub url: SecretString,
    /// A file with the credentials of NATS (`.creds`).
    pub credentials: Option<PathBuf>,
    /// Put before all names, so that several fleets can share the servers.
    pub prefix: String,
    /// On how many servers each job is kept.
    pub replicas: usize,
    /// The model that this process serves: workers take jobs of theirs alone.
    pub model: String,
    /// This process's name, unique in the fleet.
    pub process: String,
    /// The name of this machine, for people.
    pub host: String,
    /// Once a worker has been silent for this long, its jobs are given to others.
    pub lease: Duration,
    /// Whether this process accepts requests, and so wants to know how long they will take.
    pub accepts: bool,
}
