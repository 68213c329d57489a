//! What a database keeps, as one object.

use super::jobs::JobStore;
use super::keys::KeyStore;

/// Jobs and keys in one database.
pub trait Database: JobStore + KeyStore {}

impl<S: JobStore + KeyStore> Database for S {}
