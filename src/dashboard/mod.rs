//! The built-in dashboard: its files, and the feed that a browser follows.
//!
//! `assets` holds the page as it was embedded at build time. `hub` computes everything once a second, however many
//! browsers look, and sends them what has changed. `sections` says what the gateway's parts look like, `history` keeps
//! the last minutes for charts, `watch` turns changes of counters and states into events. Statuses, cookies and
//! headers belong to `http`.

pub mod assets;
mod history;
mod hub;
mod sections;
mod watch;

pub use hub::{Full, Hub, Viewer};
