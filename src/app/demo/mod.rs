//! `sentinel demo`: the real gateway in front of two mock providers, and a tour of what it does.
//!
//! Needs no key, no Redis, no network. Every step checks what it shows, so `--exit` can serve as a smoke test.

mod client;
mod steps;
mod voice;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use sentinel_load::mock::{Mock, MockConfig, MockHandle};

use super::serve::{self, Running, Source};
use super::signals::Signals;
use crate::config::{self, Flags, Loaded};
use client::Client;
use voice::Voice;

/// Pause between two requests of the gentle traffic after the tour.
const TRAFFIC_EVERY: Duration = Duration::from_millis(700);

/// Runs the demo.
#[must_use]
pub fn run(listen: &str, exit: bool) -> ExitCode {
    let directory = match tempfile::Builder::new().prefix("sentinel-demo-").tempdir() {
        Ok(directory) => directory,
        Err(error) => {
            super::complain(&format!("cannot make a temporary directory: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let mocks = match (start_mock(false), start_mock(true)) {
        (Ok(openai), Ok(anthropic)) => Mocks { openai, anthropic },
        (Err(error), _) | (_, Err(error)) => {
            super::complain(&error);
            return ExitCode::FAILURE;
        }
    };
    let text = configuration(&mocks);
    // A tour that is to end by itself must not fail because something else listens on the usual port.
    let listen = if exit && listen == "127.0.0.1:8000" { "127.0.0.1:0" } else { listen };
    let flags = Flags {
        listen: Some(listen.to_owned()),
        data_dir: Some(directory.path().to_string_lossy().into_owned()),
    };
    let loaded = match config::from_text(Some(&text), &BTreeMap::new(), &flags) {
        Ok(loaded) => loaded,
        Err(problems) => {
            super::complain(&format!("the demo's own configuration is wrong:\n{problems}"));
            return ExitCode::FAILURE;
        }
    };
    super::prepare(&loaded);
    actix_rt::System::new().block_on(tour(&loaded, &mocks, exit))
}

/// The two providers behind the gateway.
struct Mocks {
    openai: MockHandle,
    anthropic: MockHandle,
}

fn start_mock(echo: bool) -> Result<MockHandle, String> {
    let config = MockConfig {
        latency: Duration::from_millis(30),
        chunk_delay: Duration::from_millis(15),
        echo,
        ..MockConfig::default()
    };
    Mock::start(config).map_err(|error| error.to_string())
}

fn configuration(mocks: &Mocks) -> String {
    let (openai, anthropic) = (mocks.openai.base_url(), mocks.anthropic.base_url());
    let limited = steps::LIMITED_KEY_SHA256;
    format!(
        r#"
[auth]
mode = "none"
[[auth.keys]]
name = "demo-limited"
sha256 = "{limited}"
rpm = 2
[[providers]]
name = "openai"
kind = "openai"
base_url = "{openai}"
api_keys = ["sk-demo"]
[providers.retry]
base_delay = "20ms"
[providers.breaker]
open_for = "2s"
[[providers]]
name = "anthropic"
kind = "anthropic"
base_url = "{anthropic}"
api_keys = ["sk-ant-demo"]
[[routes]]
model = "assistant"
targets = [ {{ provider = "openai", model = "gpt-4o-mini" }}, {{ provider = "anthropic", model = "claude-sonnet-4-5" }} ]
[telemetry]
log_level = "error"
"#
    )
}

async fn tour(loaded: &Loaded, mocks: &Mocks, exit: bool) -> ExitCode {
    let running = match serve::start(loaded) {
        Ok(running) => running,
        Err(error) => {
            super::complain(&error.to_string());
            return ExitCode::from(error.exit_code());
        }
    };
    let signals = match Signals::take() {
        Ok(signals) => signals,
        Err(error) => {
            super::complain(&format!("cannot take over signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let Some(address) = running.addresses.first().copied() else { return ExitCode::FAILURE };
    let client = Client::new(address);
    let mut voice = Voice::new();
    voice.title(&format!("Sentinel {} demo", env!("CARGO_PKG_VERSION")));
    voice.note(&format!("gateway    http://{address}"));
    voice.note(&format!("dashboard  http://{address}/dashboard"));
    voice.note(&format!(
        "providers  mock OpenAI {}, mock Anthropic {}",
        mocks.openai.addr(),
        mocks.anthropic.addr()
    ));
    let failed = steps::walk(&client, mocks, &mut voice).await;
    voice.verdict(failed);
    if exit {
        let stored = serve::shut_down(running).await;
        return if failed == 0 && stored { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    voice.note(&format!("the gateway stays up with gentle traffic: http://{address}/dashboard"));
    voice.note("Ctrl-C ends it");
    stay(running, client, loaded, signals).await
}

/// Keeps a little traffic going, so that the dashboard has something to show.
async fn stay(running: Running, client: Client, loaded: &Loaded, signals: Signals) -> ExitCode {
    let traffic = actix_rt::spawn(async move {
        for turn in 0_u64.. {
            client.traffic(turn).await;
            tokio::time::sleep(TRAFFIC_EVERY).await;
        }
    });
    let source = Source { file: loaded.file.clone(), env: BTreeMap::new(), flags: Flags::default() };
    let code = serve::run_until_stopped(running, &source, signals).await;
    traffic.abort();
    code
}
