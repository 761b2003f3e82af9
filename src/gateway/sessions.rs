//! Logins of the dashboard: a random token in a cookie, kept here only as a hash and for a day.

use std::collections::HashMap;

use parking_lot::Mutex;
use rand::RngCore;
use sha2::{Digest, Sha256};

/// How long a login is good, milliseconds.
pub const LIFETIME_MS: u64 = 24 * 3600 * 1000;
/// Logins at once; a further one ends the oldest.
const MOST_SESSIONS: usize = 256;

/// Remembers logins.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<[u8; 32], u64>>);

impl Sessions {
    /// Starts a login and returns its token for the cookie.
    #[must_use]
    pub fn start(&self, now_unix_ms: u64) -> String {
        let mut token = [0u8; 32];
        rand::rng().fill_bytes(&mut token);
        let token = hex::encode(token);
        let mut sessions = self.0.lock();
        sessions.retain(|_, until| *until > now_unix_ms);
        if sessions.len() >= MOST_SESSIONS
            && let Some(oldest) = sessions.iter().min_by_key(|(_, until)| **until).map(|(hash, _)| *hash)
        {
            sessions.remove(&oldest);
        }
        sessions.insert(Self::hash(&token), now_unix_ms.saturating_add(LIFETIME_MS));
        token
    }

    /// Says whether a token belongs to a login that has not ended.
    #[must_use]
    pub fn is_valid(&self, token: &str, now_unix_ms: u64) -> bool {
        // The look-up is by hash, so its timing tells nothing about the token.
        self.0.lock().get(&Self::hash(token)).is_some_and(|until| *until > now_unix_ms)
    }

    /// Ends a login.
    pub fn end(&self, token: &str) {
        self.0.lock().remove(&Self::hash(token));
    }

    fn hash(token: &str) -> [u8; 32] {
        Sha256::digest(token.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_good_until_it_ends() {
        let sessions = Sessions::default();
        let token = sessions.start(1_000);
        assert!(sessions.is_valid(&token, 1_001) && !sessions.is_valid("other", 1_001));
        assert!(!sessions.is_valid(&token, 1_000 + LIFETIME_MS));
        sessions.end(&token);
        assert!(!sessions.is_valid(&token, 1_001));
    }

    #[test]
    fn logins_are_bounded() {
        let sessions = Sessions::default();
        let tokens: Vec<_> = (0..MOST_SESSIONS as u64 + 10).map(|now| sessions.start(now)).collect();
        assert_eq!(sessions.0.lock().len(), MOST_SESSIONS);
        assert!(sessions.is_valid(tokens.last().unwrap(), 1_000));
    }
}
