//! Scripted mock provider in both wire formats, and load probes.
//!
//! Owns everything that pretends to be a neighbour of the gateway: [`mock`] is the provider behind it (tests,
//! `sentinel demo`, `sentinel mock` and the benchmarks use the same one), [`probe`] is the client in front of it.
//! It must not know the gateway: no type of the other crates appears here, so that a mistake in the gateway's
//! own code cannot be repeated by the tools that judge it.

pub mod clock;
pub mod mock;
pub mod probe;
