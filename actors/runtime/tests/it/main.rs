//! Behaviour of the runtime from outside, in one binary.

mod accounting;
mod containment;
mod failing;
mod kills;
mod ledger;
mod stuck;
mod supervision;
mod tree;
