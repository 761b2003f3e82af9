//! The real binary as a child process: started, asked, signalled, watched and, whatever happens, killed.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Conn, Reply, request};
use super::{find, find_within};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_sentinel");
/// The admin token of the daemons that have one.
pub const ADMIN: &str = "admin-token-of-the-tests";

/// A running daemon.
pub struct Daemon {
    child: Child,
    address: Option<SocketAddr>,
    log: Arc<Mutex<String>>,
}

/// How a process ended that did not stay.
pub struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// Makes the command with nothing of this process' environment that could change what it does.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs a command to its end.
pub fn run(arguments: &[&str], stdin: &str) -> Ended {
    let mut command = command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    if let Some(mut pipe) = child.stdin.take() {
        // A command that does not read its input closes the pipe, which is no failure.
        let _ = std::io::Write::write_all(&mut pipe, stdin.as_bytes());
    }
    let output = child.wait_with_output().expect("the binary ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

impl Daemon {
    /// Starts `sentinel serve` with a configuration file and waits until it is ready.
    ///
    /// # Panics
    /// If it ends instead.
    pub fn start(config: &Path) -> Self {
        let mut daemon = Self::spawn(command(&["serve", "--config", &config.display().to_string()]));
        daemon.await_ready();
        daemon
    }

    /// Waits until it says that it is ready, and at which address.
    ///
    /// # Panics
    /// If it ends instead.
    pub fn await_ready(&mut self) {
        let address = find("the daemon is ready", || {
            if let Some(status) = self.ended() {
                panic!("the daemon ended with {status}: {}", self.log());
            }
            self.announced()
        });
        self.address = Some(address);
    }

    /// Starts a command that stays, without waiting for anything.
    pub fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (written, pipe) = (Arc::clone(&log), child.stderr.take().expect("a pipe"));
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let mut log = written.lock().unwrap();
                log.push_str(&String::from_utf8_lossy(&line));
                log.push('\n');
            }
        });
        Self { child, address: None, log }
    }

    fn announced(&self) -> Option<SocketAddr> {
        let log = self.locked();
        let line = log.lines().find(|line| line.contains("ready") && line.contains("listen="))?;
        line.split("http://").nth(1)?.split(['"', ' ', '/']).next()?.parse().ok()
    }

    fn locked(&self) -> MutexGuard<'_, String> {
        self.log.lock().unwrap()
    }

    /// Returns the address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("a daemon that is ready")
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns everything written to standard error so far.
    pub fn log(&self) -> String {
        self.locked().clone()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{name} failed");
    }

    /// Returns how it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of this process")
    }

    /// Waits for its end and returns the exit code.
    ///
    /// # Panics
    /// If it does not end in time.
    #[track_caller]
    pub fn exit_code(&mut self, within: Duration) -> Option<i32> {
        find_within(within, "the daemon ends", || self.ended()).code()
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Connects.
    pub fn connect(&self) -> Conn {
        Conn::open(self.address())
    }

    /// Sends raw bytes on a connection of its own and reads one answer.
    #[track_caller]
    pub fn raw(&self, bytes: impl AsRef<[u8]>) -> Reply {
        self.connect().send(bytes).reply()
    }

    /// Asks for a path, with headers.
    #[track_caller]
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.raw(request("GET", path, headers, None))
    }

    /// Asks for a path.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[])
    }

    /// Asks for a path as the operator.
    #[track_caller]
    pub fn admin(&self, path: &str) -> Reply {
        self.get_with(path, &[("authorization", &format!("Bearer {ADMIN}"))])
    }

    /// Sends a chat request with these bytes as its body.
    #[track_caller]
    pub fn post(&self, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
        self.raw(chat_bytes(headers, body.as_ref()))
    }

    /// Sends a chat request.
    #[track_caller]
    pub fn chat(&self, body: &Value) -> Reply {
        self.post(&[], body.to_string())
    }

    /// Sends a chat request with headers.
    #[track_caller]
    pub fn chat_with(&self, headers: &[(&str, &str)], body: &Value) -> Reply {
        self.post(headers, body.to_string())
    }

    /// Asks a model one question.
    #[track_caller]
    pub fn ask(&self, model: &str, text: &str) -> Reply {
        self.chat(&question(model, text))
    }

    /// Asks a model one question and reads the stream to its end.
    #[track_caller]
    pub fn stream(&self, model: &str, text: &str) -> Reply {
        self.chat(&streamed(model, text))
    }

    /// Sends a chat request and returns the connection without reading.
    pub fn begin(&self, body: &Value) -> Conn {
        let mut conn = self.connect();
        conn.send(chat_bytes(&[], body.to_string().as_bytes()));
        conn
    }

    /// Waits for the audit record of a request.
    #[track_caller]
    pub fn record(&self, request_id: &str) -> Value {
        let path = format!("/v1/audit/{request_id}");
        find(&format!("there is a record of {request_id}"), || {
            let reply = self.admin(&path);
            (reply.status == 200).then(|| reply.json())
        })
    }

    /// Waits for the audit record of an answer.
    #[track_caller]
    pub fn record_of(&self, reply: &Reply) -> Value {
        self.record(reply.header("x-request-id"))
    }

    /// Returns one sample of the Prometheus page, 0 if it is not there. Labels in alphabetical order.
    #[track_caller]
    pub fn metric(&self, sample: &str) -> f64 {
        let text = self.admin("/metrics/prometheus").text();
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Returns the state of a target's circuit breaker: 0 closed, 1 half open, 2 open.
    #[track_caller]
    pub fn breaker(&self, provider: &str, model: &str) -> f64 {
        self.metric(&format!("sentinel_circuit_breaker_state{{model=\"{model}\",provider=\"{provider}\"}}"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(60).collect();
            println!("last lines of the daemon's log:");
            for line in tail.iter().rev() {
                println!("  {line}");
            }
        }
    }
}

/// Writes a chat request.
pub fn chat_bytes(headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        all.push(("content-type", "application/json"));
    }
    all.extend_from_slice(headers);
    request("POST", "/v1/chat/completions", &all, Some(body))
}

/// Makes the body of one question.
pub fn question(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

/// Makes the body of one question whose answer is streamed, usage included.
pub fn streamed(model: &str, text: &str) -> Value {
    json!({"model": model, "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": text}]})
}

/// Returns the SHA-256 of a text, hex, as key files hold it.
pub fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(text.as_bytes()))
}

/// Returns every file below a directory.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
