//! Sentinel: an LLM gateway daemon.
//!
//! The rooms, from the ground up: [`config`] and [`telemetry`], [`gateway`] (state and actors), [`pipeline`] (one
//! request from admission to settlement), [`dashboard`] (what a browser shows), [`http`] (routes and statuses), [`app`]
//! (commands, start and end).

pub mod app;
pub mod config;
pub mod dashboard;
pub mod gateway;
pub mod http;
pub mod pipeline;
pub mod telemetry;
