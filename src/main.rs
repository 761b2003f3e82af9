//! Entry point of the `sentinel` binary.

use std::process::ExitCode;

use clap::Parser;
use sentinel::app::{self, cli::Cli};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    app::run(Cli::parse())
}
