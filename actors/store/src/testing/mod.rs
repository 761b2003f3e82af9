//! A real redis-server for tests: started on a free port, killed, stopped, restarted and asked behind our back.
//!
//! Behind the `testing` feature, so that the daemon's tests use the same one. It panics with a clear message when
//! `redis-server` is not installed: a test that cannot run must not look as if it had passed.

#![expect(clippy::expect_used, clippy::panic, reason = "a test harness fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// One server of its own, killed when dropped.
pub struct RedisServer {
    port: u16,
    directory: TempDir,
    options: Vec<String>,
    process: Option<Child>,
}

impl RedisServer {
    /// Starts a server and waits until it accepts connections.
    ///
    /// # Panics
    /// If `redis-server` is missing or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with further options, such as `--requirepass`.
    ///
    /// # Panics
    /// If `redis-server` is missing or does not start.
    #[must_use]
    pub fn start_with(options: &[&str]) -> Self {
        let mut server = Self::absent();
        server.options = options.iter().map(|&option| option.to_owned()).collect();
        server.restart();
        server
    }

    /// Reserves an address at which no server runs yet; [`RedisServer::restart`] starts it.
    ///
    /// # Panics
    /// If there is no free port or no temporary directory.
    #[must_use]
    pub fn absent() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { port: free_port(), directory, options: Vec::new(), process: None }
    }

    /// Returns the address for the configuration.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server as `kill -9` does. Its data is gone.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // SIGKILL reaches a stopped process as well.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again at the same address, empty, killing it first if it runs.
    ///
    /// # Panics
    /// If `redis-server` is missing or does not start.
    pub fn restart(&mut self) {
        self.kill();
        for _ in 0..20 {
            if let Some(process) = spawn(self.port, &self.directory, &self.options) {
                self.process = Some(process);
                return;
            }
        }
        panic!("redis-server does not start on port {}", self.port);
    }

    /// Hangs the server: its connections stay open and nothing answers.
    pub fn hang(&self) {
        self.signal("-STOP");
    }

    /// Lets a hanging server go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("a running server");
        let status = Command::new("kill").args([signal, &process.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {signal} failed");
    }

    /// Runs one command on a connection of its own, beside the code under test, and returns the answer as text.
    ///
    /// # Panics
    /// If the server cannot be reached.
    pub fn command(&self, words: &[&str]) -> String {
        let client = redis::Client::open(self.url()).expect("a valid address");
        let mut connection = client.get_connection().expect("a running server");
        let (name, args) = words.split_first().expect("a command");
        match redis::cmd(name).arg(args).query::<redis::Value>(&mut connection) {
            Ok(value) => text(&value),
            Err(error) => format!("error: {error}"),
        }
    }

    /// Returns every key that it holds.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self
            .command(&["KEYS", "*"])
            .split(' ')
            .filter(|key| !key.is_empty())
            .map(str::to_owned)
            .collect();
        keys.sort();
        keys
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A cluster of three masters, killed when dropped.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts three masters and gives them the slots.
    ///
    /// # Panics
    /// If `redis-server` or `redis-cli` is missing, or the cluster does not form.
    #[must_use]
    pub fn start() -> Self {
        let nodes: Vec<_> = (0..3)
            .map(|_| RedisServer::start_with(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]))
            .collect();
        let addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port));
        let output = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .stdin(Stdio::null())
            .output()
            .expect("redis-cli must be installed (apt-get install redis-server)");
        assert!(output.status.success(), "no cluster: {}", String::from_utf8_lossy(&output.stdout));
        let cluster = Self { nodes };
        cluster.wait_until_formed();
        cluster
    }

    /// The tool is done when one node knows its slots; the others learn of it by gossip.
    fn wait_until_formed(&self) {
        for _ in 0..500 {
            let is_formed = self.nodes.iter().all(|node| {
                let info = node.command(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            });
            if is_formed {
                return;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
        panic!("the cluster does not form");
    }

    /// Returns the address for the configuration, naming every node.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis-cluster://{}", hosts.join(","))
    }

    /// Returns the masters.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }
}

fn free_port() -> u16 {
    // A cluster's bus takes the port 10,000 above, so the port must leave room for that.
    for _ in 0..1000 {
        let port = rand::random_range(15_000..32_000);
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
    panic!("no free port");
}

fn spawn(port: u16, directory: &TempDir, options: &[String]) -> Option<Child> {
    let mut process = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(directory.path())
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server must be installed (apt-get install redis-server)");
    let ready = process.stdout.take().and_then(|output| {
        let mut lines = BufReader::new(output).lines();
        let is_ready =
            lines.by_ref().map_while(Result::ok).any(|line| line.contains("Ready to accept connections"));
        is_ready.then_some(lines)
    });
    match ready {
        Some(lines) => {
            // It goes on writing; a full pipe would stop it.
            std::thread::spawn(move || lines.for_each(drop));
            Some(process)
        }
        None => {
            let _ = process.kill();
            let _ = process.wait();
            None
        }
    }
}

fn text(value: &redis::Value) -> String {
    match value {
        redis::Value::Nil => String::new(),
        redis::Value::Int(number) => number.to_string(),
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        redis::Value::SimpleString(text) => text.clone(),
        redis::Value::VerbatimString { text, .. } => text.clone(),
        redis::Value::Okay => "OK".to_owned(),
        redis::Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(" "),
        other => format!("{other:?}"),
    }
}
