//! Embedded (redb) and Redis stores: limits, cache, budgets, usage, keys, audit.
//!
//! [`Stores`] is opened once per process; [`Stores::worker`] gives each worker its handles. With the embedded backend
//! the truth is in shared cells of this process and in one file; with Redis it is in scripts, and the cells take
//! over while Redis is out.

pub mod audit;
pub mod budget;
pub mod cache;
pub mod embedded;
pub mod error;
pub mod health;
pub mod keys;
pub mod limits;
pub mod redis;
pub mod stores;
pub mod usage;

pub use error::StoreError;
pub use health::{OnOutage, StoreHealth};
pub use stores::{Backend, StoreSettings, Stores, WorkerStores, open_keys};

#[cfg(test)]
mod contract;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
