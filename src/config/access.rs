//! `[auth]` and `[limits]`: who may call, and how much.

use std::time::Duration;

use sentinel_domain::Secret;
use sentinel_domain::policy::{BudgetLimits, CallerLimits};

use super::guards::GuardMode;
use super::section::{Notes, Section};
use super::tree::Node;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Anybody who can connect.
    None,
    /// Holders of a virtual key.
    Keys,
}

/// A virtual key from the file.
#[derive(Debug, Clone)]
pub struct FileKey {
    /// Its name in records and metrics.
    pub name: String,
    /// SHA-256 of the key.
    pub sha256: [u8; 32],
    /// Its limits.
    pub limits: CallerLimits,
    /// Its spending limits.
    pub budget: BudgetLimits,
    /// Globs of models that it may use.
    pub models: Vec<String>,
    /// Switches the injection guard for this key alone.
    pub injection: Option<GuardMode>,
}

/// `[auth]`
#[derive(Debug, Clone)]
pub struct Auth {
    /// Who may call.
    pub mode: AuthMode,
    /// Lets mode `none` listen beyond loopback.
    pub allow_open: bool,
    /// Protects everything outside `/v1` inference and `/health`.
    pub admin_token: Option<Secret>,
    /// Virtual keys.
    pub keys: Vec<FileKey>,
}

/// `[limits]`
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Limits of each caller without its own.
    pub caller: CallerLimits,
    /// Length of the window that `rpm` and `tpm` count in.
    pub window: Duration,
}

fn caller_limits(s: &mut Section<'_>) -> CallerLimits {
    const MOST: u64 = 1_000_000_000_000;
    CallerLimits {
        rpm: s.whole("rpm", 0, 0..=MOST, "Requests per window; 0: no limit."),
        tpm: s.whole("tpm", 0, 0..=MOST, "Tokens per window; 0: no limit."),
        max_in_flight: s.whole("max_in_flight", 0, 0..=1_000_000, "Requests in flight at once; 0: no limit."),
    }
}

/// Reads `[limits]`.
pub fn limits(path: String, node: Node, notes: &mut Notes) -> Limits {
    let mut s = Section::new(path, node, notes);
    let limits = Limits {
        caller: caller_limits(&mut s),
        window: s.duration(
            "window",
            60 * SECOND,
            SECOND..=DAY,
            "Length of the window that rpm and tpm count in.",
        ),
    };
    s.finish();
    limits
}

/// Reads `[auth]`.
pub fn auth(path: String, node: Node, notes: &mut Notes) -> Auth {
    let mut s = Section::new(path, node, notes);
    let mode = s.choice(
        "mode",
        &[("none", AuthMode::None), ("keys", AuthMode::Keys)],
        "Who may call: anybody who can connect, or holders of a virtual key.",
    );
    let allow_open =
        s.flag("allow_open", false, "Lets mode \"none\", or a missing admin token, listen beyond loopback.");
    let admin_token = s.secret(
        "admin_token",
        "Protects everything outside /v1 inference and /health; optional on loopback.",
    );
    let tables = s.tables("keys");
    let mut keys = Vec::new();
    for (path, node) in tables {
        keys.extend(file_key(path, node, s.notes()));
    }
    let mut names = std::collections::HashSet::new();
    for (index, key) in keys.iter().enumerate() {
        if !names.insert(key.name.as_str()) {
            let message = format!("the name {:?} is taken by another key", key.name);
            s.problem(&format!("keys[{index}].name"), &super::tree::Origin::Default, message);
        }
    }
    s.finish();
    Auth { mode, allow_open, admin_token, keys }
}

fn file_key(path: String, node: Node, notes: &mut Notes) -> Option<FileKey> {
    let origin = node.origin.clone();
    let mut s = Section::new(path, node, notes);
    let name = s.text("name", "", "Name in records, metrics and usage.");
    let hash = s.text("sha256", "", "Hex SHA-256 of the key.");
    let limits = caller_limits(&mut s);
    let budget = BudgetLimits {
        day: s.money("budget_usd_day", "Most USD spent per UTC day."),
        month: s.money("budget_usd_month", "Most USD spent per UTC month."),
    };
    let models = s.texts("models", &["*"], "Globs of models that it may use.");
    let injection = s.choice(
        "injection",
        &[
            ("", None),
            ("off", Some(GuardMode::Off)),
            ("detect", Some(GuardMode::Detect)),
            ("block", Some(GuardMode::Block)),
        ],
        "Replaces guard.injection.mode for this key; empty: no change.",
    );
    let fine_name = !name.is_empty() && name.len() <= 64 && !name.chars().any(char::is_control);
    if !fine_name {
        s.problem("name", &origin, "expected a name of 1 to 64 characters");
    }
    let mut sha256 = [0; 32];
    let decoded = hex::decode_to_slice(hash.trim(), &mut sha256).is_ok();
    if !decoded {
        s.problem(
            "sha256",
            &origin,
            "expected 64 hex digits, the SHA-256 of the key; `sentinel key create` prints one",
        );
    }
    s.finish();
    (fine_name && decoded).then_some(FileKey { name, sha256, limits, budget, models, injection })
}
