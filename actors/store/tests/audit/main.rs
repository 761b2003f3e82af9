//! The audit trail from outside: slots, order, expiry, failures, tampering, kills, and a verifier in another language.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, helpers included")]
#![expect(clippy::print_stdout, reason = "a skipped test says why")]

mod expiry;
mod faults;
mod kill;
mod paging;
mod python;
mod slots;
mod stream;
mod support;
mod tamper;
