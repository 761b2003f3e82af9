//! The tools of this crate from the command line: `sentinel-load mock` runs the mock provider alone,
//! `sentinel-load probe` puts load on anything that speaks its API and prints what it measured as JSON.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use sentinel_load::mock::{self, Mock, MockConfig};
use sentinel_load::probe::{self, Chat, Plan, Until, Watched};

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
    /// Puts load on an HTTP address and prints what it measured as JSON.
    Probe(ProbeArgs),
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
    /// Repeats one answer for each model, whatever the prompt; for benchmarks.
    #[arg(long)]
    prebuilt: bool,
    /// Seed of ids and of random faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prints the table of faults and ends.
    #[arg(long)]
    list_faults: bool,
}

#[derive(Debug, clap::Args)]
struct ProbeArgs {
    /// Address to connect to.
    #[arg(long, default_value = "127.0.0.1:8000")]
    addr: SocketAddr,
    /// Path of the requests.
    #[arg(long, default_value = "/v1/chat/completions")]
    path: String,
    /// Header line to add, `name: value`; may be repeated.
    #[arg(long = "header")]
    headers: Vec<String>,
    /// Sends GET requests without body.
    #[arg(long)]
    get: bool,
    /// File with the body to post; `{{number}}` in it becomes the number of the request.
    #[arg(long, conflicts_with = "get")]
    body: Option<PathBuf>,
    /// Model of the generated chat request.
    #[arg(long, default_value = "gpt-4o-mini")]
    model: String,
    /// Bytes of its prompt.
    #[arg(long, default_value_t = 200)]
    prompt_bytes: usize,
    /// Asks for a stream.
    #[arg(long)]
    stream: bool,
    /// Sends the same prompt every time, so that a cache can answer.
    #[arg(long)]
    same: bool,
    /// Connections, each with one request at a time.
    #[arg(short, long, default_value_t = 1)]
    connections: usize,
    /// Requests in all; without it the run ends by time.
    #[arg(short = 'n', long)]
    requests: Option<u64>,
    /// Time of the measured run.
    #[arg(short, long, default_value = "5s", value_parser = duration)]
    duration: Duration,
    /// Requests a second over all connections; without it as fast as answers come.
    #[arg(long)]
    rate: Option<f64>,
    /// Load before anything is measured.
    #[arg(long, default_value = "0ms", value_parser = duration)]
    warm_up: Duration,
    /// The longest wait for one answer.
    #[arg(long, default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// Additional connections that send a request and never read.
    #[arg(long, default_value_t = 0)]
    never_read: usize,
    /// Additional clients that leave after the first bytes of their answer.
    #[arg(long, default_value_t = 0)]
    leave: usize,
    /// Processes to measure, `LABEL=PID[,PID]`; may be repeated.
    #[arg(long = "watch", value_parser = Watched::parse)]
    watched: Vec<Watched>,
}

fn duration(text: &str) -> Result<Duration, String> {
    mock::parse_duration(text).ok_or_else(|| format!("{text:?} is no duration such as 50ms, 2s or 250us"))
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Mock(args) => run_mock(&args),
        Command::Probe(args) => run_probe(args),
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
        prebuilt: args.prebuilt,
        seed: args.seed,
    })?;
    writeln!(out, "mock provider listens on http://{}", handle.addr())?;
    out.flush()?;
    drop(out);
    handle.wait();
    Ok(())
}

fn run_probe(args: ProbeArgs) -> Result<(), Box<dyn std::error::Error>> {
    let body = match (&args.body, args.get) {
        (_, true) => None,
        (Some(file), _) => Some(std::fs::read_to_string(file)?),
        (None, _) => {
            let chat = Chat {
                model: args.model,
                prompt_bytes: args.prompt_bytes,
                stream: args.stream,
                unique: !args.same,
            };
            Some(chat.body())
        }
    };
    let report = probe::run(&Plan {
        addr: args.addr,
        path: args.path,
        headers: args.headers,
        body,
        connections: args.connections,
        rate: args.rate,
        until: args.requests.map_or(Until::Elapsed(args.duration), Until::Requests),
        warm_up: args.warm_up,
        timeout: args.timeout,
        never_read: args.never_read,
        leave: args.leave,
        watched: args.watched,
    })?;
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &report)?;
    writeln!(out)?;
    Ok(())
}
