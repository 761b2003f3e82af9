//! The scripted mock provider: OpenAI Chat Completions and Anthropic Messages on one plain HTTP listener.
//!
//! It writes raw bytes to raw sockets, because most faults worth injecting (resets, wrong lengths, half heads,
//! broken chunks) cannot be produced through an HTTP library. Each answer is built as a value, changed by the
//! faults that the model name asks for (`gpt-4o!reset`, `gpt-4o!hang-after=3!split=1`) and played by the
//! connection. See [`faults`] for the table of all faults.
//!
//! A [`Mock`] runs on a thread of its own with a single-threaded runtime, so that it works the same inside a test,
//! inside an actix system and from the command line, and never takes time from the runtime under test.

mod answer;
mod anthropic;
mod ask;
mod board;
mod compose;
mod connection;
mod failure;
mod fault;
mod openai;
mod prebuilt;
mod request;
mod route;
mod schema;
mod server;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;

pub use board::{Counters, LastRequest};
pub use fault::{FaultInfo, faults, parse_duration};

use board::Board;
use prebuilt::Prebuilt;

/// How the mock answers when nothing in the request asks for something else.
#[derive(Debug, Clone)]
pub struct MockConfig {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Wait before the head of every answer.
    pub latency: Duration,
    /// Wait between two chunks of a stream.
    pub chunk_delay: Duration,
    /// Pieces of text in an answer, one a chunk (about 1.4 tokens each).
    pub chunks: usize,
    /// Answers with the text of the last user message instead of its own words.
    pub echo: bool,
    /// Refuses requests without this key (`Authorization: Bearer` or `x-api-key`) with 401; `None` accepts all.
    pub api_key: Option<String>,
    /// The only models that exist; empty accepts every name except those that begin with `no-such-`.
    pub models: Vec<String>,
    /// Builds one answer for each model and kind of answer and repeats its bytes, whatever the prompt. For
    /// benchmarks, in which the mock must cost as little as possible; faults of the model name work, those that
    /// count calls (`flaky`) and checks of the body do not.
    pub prebuilt: bool,
    /// Seed of ids, padding and of `flaky=0.5`.
    pub seed: u64,
}

impl Default for MockConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            latency: Duration::ZERO,
            chunk_delay: Duration::ZERO,
            chunks: 24,
            echo: false,
            api_key: None,
            models: Vec::new(),
            prebuilt: false,
            seed: 1,
        }
    }
}

/// What the mock does with new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// Serves them.
    Open,
    /// Nothing listens: connections are refused, and those that exist are closed.
    Refuse,
    /// Accepts and resets at once.
    ResetOnAccept,
    /// Accepts and never reads.
    HangOnAccept,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Listen(Listening),
    Stop,
}

/// Why a mock does not start or change.
#[derive(Debug, Error)]
pub enum MockError {
    /// The address cannot be listened on, or the thread cannot start.
    #[error("mock cannot listen on {addr}: {source}")]
    Start {
        /// The address that was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A fault's name or argument is not in the table.
    #[error("unknown fault {0:?}; see the table of faults")]
    UnknownFault(String),
}

/// State that connections, the control routes and the handle share.
#[derive(Debug)]
struct Shared {
    config: MockConfig,
    board: Board,
    prebuilt: Prebuilt,
    commands: watch::Sender<Command>,
}

/// The scripted provider; only a name for [`Mock::start`].
#[derive(Debug)]
pub struct Mock;

impl Mock {
    /// Starts a mock on its own thread and returns once it listens.
    ///
    /// # Errors
    /// [`MockError::Start`] when the address is taken or not allowed.
    pub fn start(config: MockConfig) -> Result<MockHandle, MockError> {
        let asked = config.listen;
        let start_error = |source| MockError::Start { addr: asked, source };
        let listener = TcpListener::bind(asked).map_err(start_error)?;
        listener.set_nonblocking(true).map_err(start_error)?;
        let addr = listener.local_addr().map_err(start_error)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(start_error)?;
        let (commands, orders) = watch::channel(Command::Listen(Listening::Open));
        let board = Board::new(config.seed);
        let shared = Arc::new(Shared { config, board, prebuilt: Prebuilt::default(), commands });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("mock-provider".to_owned())
            .spawn(move || runtime.block_on(server::run(listener, addr, for_thread, orders)))
            .map_err(start_error)?;
        Ok(MockHandle { addr, shared, thread: Some(thread) })
    }
}

/// Controls a running mock; dropping it stops the mock.
#[derive(Debug)]
pub struct MockHandle {
    addr: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl MockHandle {
    /// Returns the address that the mock listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the base URL for a provider of kind `openai` or `anthropic`: `http://ADDR/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Returns a copy of the counters.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.board.counters()
    }

    /// Returns the last request for a model name as it was sent, fault suffix included.
    #[must_use]
    pub fn last_request(&self, model: &str) -> Option<LastRequest> {
        self.shared.board.last(Some(model))
    }

    /// Returns the last inference request of any model.
    #[must_use]
    pub fn last_any(&self) -> Option<LastRequest> {
        self.shared.board.last(None)
    }

    /// Sets the standing fault of a model (`*`: of every model), as if each of its names had that suffix; an
    /// empty fault clears it. The model is named without a fault suffix.
    ///
    /// # Errors
    /// [`MockError::UnknownFault`] for a name or argument that is not in the table; nothing changes then.
    pub fn set_fault(&self, model: &str, fault: &str) -> Result<(), MockError> {
        fault::check(fault)?;
        self.shared.board.set_fault(model, fault);
        Ok(())
    }

    /// Scripts the coming calls of a model (`*`: of any), one fault each; `ok` is a call without fault. After the
    /// script the standing fault, if any, holds again.
    ///
    /// # Errors
    /// [`MockError::UnknownFault`] for a name or argument that is not in the table; nothing is scripted then.
    pub fn script(&self, model: &str, calls: &[&str]) -> Result<(), MockError> {
        for call in calls {
            fault::check(call)?;
        }
        self.shared.board.push_script(model, calls.iter().map(|call| (*call).to_owned()));
        Ok(())
    }

    /// Changes what happens to new connections.
    pub fn listen(&self, mode: Listening) {
        self.shared.commands.send_replace(Command::Listen(mode));
    }

    /// Forgets counters, requests, scripts and standing faults.
    pub fn reset(&self) {
        self.shared.board.reset(self.shared.config.seed);
    }

    /// Blocks until the mock ends, which it does only when it is stopped or its thread fails.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    /// Stops the mock, closes its connections and waits for its thread.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for MockHandle {
    fn drop(&mut self) {
        self.shared.commands.send_replace(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
