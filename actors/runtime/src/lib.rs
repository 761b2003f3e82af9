//! What actix lacks: bounded handles, panic-proof supervision, durable envelopes, clock, drain.
