//! Sentinel: an LLM gateway daemon.
