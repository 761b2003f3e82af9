//! Identities that travel through the whole gateway.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names one request in headers, logs, audit and errors.
///
/// Either the caller's own `x-request-id`, if it is 1-128 characters of `A-Za-z0-9._-`, or a fresh UUIDv7.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Longest accepted caller-supplied id, in bytes.
    pub const MAX_LEN: usize = 128;

    /// Makes a fresh, time-ordered id.
    #[must_use]
    pub fn fresh() -> Self {
        let mut buffer = Uuid::encode_buffer();
        Self(Arc::from(&*Uuid::now_v7().hyphenated().encode_lower(&mut buffer)))
    }

    /// Accepts a caller's id, or `None` if it is empty, too long or has a character outside `A-Za-z0-9._-`.
    #[must_use]
    pub fn from_caller(text: &str) -> Option<Self> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        fits.then(|| Self(Arc::from(text)))
    }

    /// Borrows the id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says who is charged and limited: a virtual key, or a client address when there are no keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Caller {
    /// A virtual key, by its configured or stored name.
    Key(Arc<str>),
    /// A client without a key, by its address (no port).
    Address(std::net::IpAddr),
}

impl Caller {
    /// Returns a stable text for store keys: `key:NAME` or `ip:ADDRESS`.
    #[must_use]
    pub fn store_id(&self) -> String {
        match self {
            Self::Key(name) => format!("key:{name}"),
            Self::Address(address) => format!("ip:{address}"),
        }
    }

    /// Returns the key's name, if the caller has one.
    #[must_use]
    pub fn key_name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Key(name) => Some(name),
            Self::Address(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caller_ids_are_taken_only_if_harmless() {
        for (text, accepted) in [
            ("abc-DEF_1.2", true),
            ("", false),
            ("a b", false),
            ("a\r\nset-cookie: x", false),
            ("ä", false),
            (&"x".repeat(128), true),
            (&"x".repeat(129), false),
        ] {
            assert_eq!(RequestId::from_caller(text).is_some(), accepted, "{text:?}");
        }
    }

    #[test]
    fn fresh_ids_are_distinct_and_ordered() {
        let ids: Vec<_> = (0..100).map(|_| RequestId::fresh()).collect();
        let mut sorted = ids.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), 100);
        assert!(RequestId::from_caller(ids[0].as_str()).is_some());
    }
}
