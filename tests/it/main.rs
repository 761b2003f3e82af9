//! The real binary as a black box: over sockets, with scripted providers behind it and a real Redis beside it.
//!
//! Each test says in its doc comment which rows of the fault list it shows (`Rows: U01, U02.`); [`faults`] writes
//! `ops/faults.md` from these words and checks that the page is current.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and nothing outside uses its helpers"
)]

mod support;

mod actors;
mod answers;
mod cache;
mod clients;
mod commands;
mod errors;
mod faults;
mod guards;
mod input;
mod keys;
mod operator;
mod process;
mod redis;
mod strange;
mod streams;
mod upstream;
