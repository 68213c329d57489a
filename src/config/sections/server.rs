//! How the server listens, and who may call it.

use std::path::PathBuf;

use secrecy::SecretString;
use strum::{EnumString, VariantNames};

use crate::config::listen::ListenAddress;
use crate::config::readers;
use crate::config::rules::{self, DAY_S, GIB, KIB, Rule};
use crate::config::section::section;
use crate::domain::Network;

section! {
    /// How the server listens, and what it lets one client take.
    struct Server in "server" {
        /// Address or name and port to listen on; ":8080" is all addresses. Port 0 takes a free one; the log line "ready" names
        /// it. (--listen)
        listen: ListenAddress = "127.0.0.1:8080", Rule::Text(rules::parses::<ListenAddress>);
        /// The server's address as clients know it, for links in responses, with the path below which a proxy shows it, if any:
        /// https://images.example.org/kandinsky. Empty: as the request says (and webhooks carry addresses relative to the
        /// server).
        public_url: String as readers::base_url = "", Rule::Text(rules::public_url);
        /// How much memory the server is to keep to, bytes. From what the model leaves of it come the bounds below and those of
        /// the queue that are 0; the log has them ("memory"). 0: what the container, or the machine, has.
        max_memory: usize = 0, Rule::Whole(0..=1024 * GIB);
        /// Maximum size of a request body, bytes.
        max_body_bytes: usize = 33_554_432, Rule::Whole(KIB..=4 * GIB);
        /// Maximum memory for all request bodies together, bytes, from their first byte until nothing of them is needed. A
        /// body takes twice its size: as it comes, and as it is read. One client (key, or address where there are no keys)
        /// may have half of it. An eighth more is kept for bodies up to 16 KiB. 0: up to 128 MiB, by max_memory.
        max_body_bytes_in_flight: usize = 0, Rule::Whole(0..=1024 * GIB);
        /// Maximum memory for images of requests while they are decoded, bytes. One image takes 3 to 16 bytes a pixel, by its
        /// kind; a request whose images take more than this is refused, and others wait. 0: up to 384 MiB, by max_memory.
        max_decoded_bytes_in_flight: usize = 0, Rule::Whole(0..=1024 * GIB);
        /// Maximum size of all responses that are made and not yet sent, bytes. One client may have half of it. 0: up to 128 MiB,
        /// by max_memory.
        max_response_bytes_in_flight: usize = 0, Rule::Whole(0..=1024 * GIB);
        /// Maximum number of streams of events that one client (key, or address where there are no keys) has open.
        max_streams_per_client: usize = 256, Rule::Whole(1..=1_000_000);
        /// Maximum number of connections, as far as memory (64 KiB each, of a twelfth of what is left beside the model) and the
        /// limit of descriptors allow, which is raised at start. For further ones, idle connections make room; where none is
        /// idle, only /healthz and /readyz are answered.
        max_connections: usize = 4096, Rule::Whole(1..=1_000_000);
        /// Maximum number of connections of one IP address. 0: three quarters of all.
        max_connections_per_address: usize = 0, Rule::Whole(0..=1_000_000);
        /// A second address and port, on which only /healthz and /readyz are answered: for an orchestrator. Empty: none.
        health_listen: Option<ListenAddress> as readers::optional = "", Rule::Text(rules::optional_listen);
        /// Timeout of a request's head, s.
        header_timeout_s: u64 = 10, Rule::Whole(1..=3600);
        /// How long a connection is kept open between two requests, s. Longer than that of any proxy in front, which would
        /// otherwise send requests into connections that are just being closed.
        idle_timeout_s: u64 = 75, Rule::Whole(1..=DAY_S);
        /// A client that reads nothing of its response for this long is disconnected, s.
        write_timeout_s: u64 = 30, Rule::Whole(1..=3600);
        /// Maximum pause between two parts of a request's body, s.
        body_timeout_s: u64 = 30, Rule::Whole(1..=3600);
        /// Maximum time for a request's body, s.
        body_total_timeout_s: u64 = 600, Rule::Whole(1..=DAY_S);
        /// Least rate of a request's body, bytes per second, averaged over all but the first body_timeout_s. 0: none.
        min_body_rate: usize = 1024, Rule::Whole(0..=GIB);
        /// How long everything is still served after the server was asked to stop, s, while /readyz already says no: for
        /// balancers that hear of it later, as in Kubernetes. Asked a second time, the server does not wait.
        shutdown_delay_s: u64 = 0, Rule::Whole(0..=3600);
        /// How long running jobs may continue after the server was asked to stop, s. Unfinished jobs are requeued.
        drain_grace_s: u64 = 30, Rule::Whole(0..=DAY_S);
        /// Folder of the database, the images and the keys that the server generates for itself. (--data)
        data: PathBuf = "./data", Rule::Text(rules::not_empty);
        /// Addresses or networks of proxies that tell the address clients asked for (Forwarded; X-Forwarded-Proto with
        /// X-Forwarded-Host; X-Forwarded-Prefix). From others these headers are ignored.
        trusted_proxies: Vec<Network> as readers::list = vec!["127.0.0.0/8", "::1"], Rule::List(rules::parses::<Network>);
        /// Host names under which a server without keys answers, beside addresses, localhost and the name in public_url: those
        /// of containers, for example. Any other could be a web site's that leads here (DNS rebinding). "*" is any.
        allowed_hosts: Vec<String> as readers::list = vec!["host.docker.internal", "host.containers.internal"],
            Rule::List(rules::host_name);
        /// Origins of pages that may call the API from a browser, such as "https://app.example.org", each in full; "*" is any.
        cors_origins: Vec<String> as readers::list = Vec::<String>::new(), Rule::List(rules::origin);
    }
}

section! {
    /// Who may call.
    struct Auth in "auth" {
        /// Whether requests need an API key (`kandinsky keys create`): "auto" (unless server.listen is a loopback address
        /// such as 127.0.0.1), "always" (also on loopback: for a server behind a proxy on the same machine) or "never".
        required: KeysRequired = "auto", Rule::OneOf(KeysRequired::VARIANTS);
        /// Let all who reach the server use it without a key, even if server.listen is not a loopback address.
        /// (--allow-anonymous)
        allow_anonymous: bool = false, Rule::Flag;
        /// A file with keys that are good beside those of `kandinsky keys`, such as a mounted secret: one a line, at least 32
        /// random characters, after which name=NAME and scopes=SCOPE,SCOPE may follow. Taken out of the file, a key ends with
        /// the next start. Empty: none.
        keys_file: Option<PathBuf> as readers::optional_path = "", Rule::Text(rules::any);
        /// The secret that signs addresses of images and events if keys are on, so that pages can load them: at least 32
        /// characters, the same for all servers behind one address. Empty: generated at the first start and kept in
        /// server.data.
        url_secret: SecretString as readers::secret = "", Rule::Secret(rules::url_secret);
        /// How long such an address is valid, s.
        url_ttl_s: u64 = 3600, Rule::Whole(1..=365 * DAY_S);
    }
}

section! {
    /// The editor at `/`.
    struct Web in "web" {
        /// A folder whose files are served in place of the editor's own, read anew for every request: a changed copy of web/ in
        /// the sources. Empty: the files in the binary.
        dir: Option<PathBuf> as readers::optional_path = "", Rule::Text(rules::any);
    }
}

/// Whether requests need a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum KeysRequired {
    /// Unless the server listens on a loopback address.
    Auto,
    Always,
    Never,
}
