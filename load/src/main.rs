//! The tools of this crate from the command line: `sentinel-load mock` runs the mock provider alone.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use sentinel_load::mock::{self, Mock, MockConfig};

#[derive(Debug, Parser)]
#[command(name = "sentinel-load", version, about = "Mock provider and load probes for an LLM gateway")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the scripted mock provider, OpenAI and Anthropic wire format on one listener.
    Mock(MockArgs),
}

#[derive(Debug, clap::Args)]
struct MockArgs {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:9100")]
    listen: SocketAddr,
    /// Wait before the head of every answer (`50ms`, `2s`, `250us`).
    #[arg(long, default_value = "0ms", value_parser = duration)]
    latency: Duration,
    /// Wait between two chunks of a stream.
    #[arg(long, default_value = "0ms", value_parser = duration)]
    chunk_delay: Duration,
    /// Pieces of text in an answer, one a chunk.
    #[arg(long, default_value_t = 24)]
    chunks: usize,
    /// Answers with the last user text.
    #[arg(long)]
    echo: bool,
    /// Refuses requests that do not carry this key.
    #[arg(long)]
    api_key: Option<String>,
    /// Seed of ids and of random faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prints the table of faults and ends.
    #[arg(long)]
    list_faults: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    mock::parse_duration(text).ok_or_else(|| format!("{text:?} is no duration such as 50ms, 2s or 250us"))
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Mock(args) => run_mock(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when stderr is gone as well.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_mock(args: &MockArgs) -> Result<(), Box<dyn std::error::Error>> {
    let mut out = io::stdout().lock();
    if args.list_faults {
        for info in mock::faults() {
            writeln!(out, "{:<18} {:<34} {:<12} {}", info.name, info.argument, info.rows, info.does)?;
        }
        return Ok(());
    }
    let handle = Mock::start(MockConfig {
        listen: args.listen,
        latency: args.latency,
        chunk_delay: args.chunk_delay,
        chunks: args.chunks,
        echo: args.echo,
        api_key: args.api_key.clone(),
        models: Vec::new(),
        seed: args.seed,
    })?;
    writeln!(out, "mock provider listens on http://{}", handle.addr())?;
    out.flush()?;
    drop(out);
    handle.wait();
    Ok(())
}
