//! Entry point of the `sentinel` binary.

fn main() {}
