//! Where jobs and images are kept.

use std::path::PathBuf;

use secrecy::SecretString;

use crate::config::readers;
use crate::config::rules::{self, Rule};
use crate::config::section::section;

section! {
    /// The database of jobs.
    struct Store in "store" {
        /// postgres://user:password@host/name (in a build with --features postgres), or empty for SQLite in server.data.
        url: SecretString as readers::secret = "", Rule::Secret(rules::store_url);
        /// Maximum number of connections to the database.
        max_connections: u32 = 8, Rule::Whole(1..=1000);
    }
}

section! {
    /// How several machines share the work (docs/fleet.md).
    struct Broker in "broker" {
        /// nats://user:password@host:4222, or tls://...; several, of one cluster, are separated by commas (in a build with
        /// --features fleet). Needs store.url and pictures.url. Empty: the work stays in this process.
        url: SecretString as readers::secret = "", Rule::Secret(rules::broker_url);
        /// A file with the credentials of NATS (.creds). Empty: none.
        credentials: Option<PathBuf> as readers::optional_path = "", Rule::Text(rules::any);
        /// On how many NATS servers each job is kept: 3 in a cluster of three or more.
        replicas: usize = 1, Rule::Whole(1..=5);
        /// Put before the names of what is kept on the NATS servers, so that several fleets can share them.
        prefix: String = "kandinsky", Rule::Text(rules::plain_name);
    }
}

section! {
    /// Where images are kept.
    struct Pictures in "pictures" {
        /// s3://bucket/prefix (in a build with --features s3), or empty for a folder in server.data.
        url: String = "", Rule::Text(rules::pictures_url);
        /// Address of an S3 service other than Amazon's: http://minio:9000.
        endpoint: String = "", Rule::Text(rules::optional_http_url);
        /// Region of the bucket.
        region: String = "us-east-1", Rule::Text(rules::any);
        /// Access to the bucket. Empty, together with secret_access_key: the machine's role.
        access_key_id: String = "", Rule::Text(rules::any);
        /// The secret of access_key_id.
        secret_access_key: SecretString as readers::secret = "", Rule::Secret(rules::any);
        /// Speak to the endpoint without TLS.
        allow_http: bool = false, Rule::Flag;
    }
}
