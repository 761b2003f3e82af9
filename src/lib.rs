//! Sentinel: an LLM gateway daemon.

pub mod config;
pub mod telemetry;
