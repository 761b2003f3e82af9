//! What this process holds in Redis for a time: in-flight slots and budget holds.
//!
//! Each lives there under a lease that is renewed while this process lives, so that a killed process gives
//! everything back by itself within [`LEASE`].

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::Redis;
use super::script::{LuaScript, Run};

/// How long a slot or hold outlives its process.
pub(crate) const LEASE: Duration = Duration::from_secs(30);
/// How often leases are renewed; two renewals may fail before one runs out.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(8);
/// Leases renewed by one script run, so that no run takes long.
const RENEW_AT_ONCE: usize = 200;

static RENEW_SLOTS: LuaScript = LuaScript::new(include_str!("renew_slots.lua"));
static RENEW_HOLDS: LuaScript = LuaScript::new(include_str!("renew_holds.lua"));

/// Which structure a lease lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LeaseKind {
    /// An in-flight slot of a caller.
    Slot,
    /// A hold on a budget.
    Hold,
}

type Leases = HashMap<(LeaseKind, String), HashMap<String, i64>>;

/// All leases of this process, by the key that they live in.
#[derive(Debug, Default)]
pub(crate) struct LeaseBook(Mutex<Leases>);

impl LeaseBook {
    pub(crate) fn add(&self, kind: LeaseKind, key: &str, id: &str, amount: i64) {
        self.0.lock().entry((kind, key.to_owned())).or_default().insert(id.to_owned(), amount);
    }

    pub(crate) fn remove(&self, kind: LeaseKind, key: &str, id: &str) {
        let mut leases = self.0.lock();
        let place = (kind, key.to_owned());
        if let Some(ids) = leases.get_mut(&place) {
            ids.remove(id);
            if ids.is_empty() {
                leases.remove(&place);
            }
        }
    }

    fn snapshot(&self) -> Leases {
        self.0.lock().clone()
    }
}

impl Redis {
    /// Renews every lease of this process. Only one worker needs to succeed; renewing twice is harmless.
    pub(crate) async fn renew_leases(&self) {
        for ((kind, key), ids) in self.shared().leases.snapshot() {
            let ids: Vec<_> = ids.into_iter().collect();
            for chunk in ids.chunks(RENEW_AT_ONCE) {
                let mut run = Run::default().key(key.clone()).arg(LEASE.as_millis() as u64);
                for (id, amount) in chunk {
                    run = run.arg(id.as_str()).arg(*amount);
                }
                let script = match kind {
                    LeaseKind::Slot => &RENEW_SLOTS,
                    LeaseKind::Hold => &RENEW_HOLDS,
                };
                if self.script::<redis::Value>(script, &run).await.is_err() {
                    return;
                }
            }
        }
    }
}
