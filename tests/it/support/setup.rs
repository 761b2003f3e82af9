//! A configuration, two scripted providers and the daemon in front of them.

use std::fmt::Write as _;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use sentinel_load::mock::{Mock, MockConfig, MockHandle};
use tempfile::TempDir;
use toml::{Table, Value};

use super::daemon::{ADMIN, Daemon};

/// Fast enough for tests, and nothing that hides a call behind an earlier one.
const BASE: &str = r#"
[server]
listen = "127.0.0.1:0"
workers = 2
lame_duck = "0s"
drain_timeout = "5s"
[cache]
enabled = false
[guard.pii]
mode = "off"
response_mode = "off"
[guard.injection]
mode = "off"
"#;

/// Credentials of the two providers, planted so that a leak shows.
pub const OPENAI_KEY: &str = "sk-upstream-openai-3f9c2d71b8";
/// The other one.
pub const ANTHROPIC_KEY: &str = "sk-ant-upstream-5d1e8a40c7";

/// A configuration under construction.
pub struct Setup {
    table: Table,
    openai: MockHandle,
    anthropic: MockHandle,
    directory: TempDir,
}

/// A daemon with its providers. The daemon is stopped first.
pub struct World {
    /// The daemon.
    pub daemon: Daemon,
    /// The provider that speaks OpenAI's format.
    pub openai: MockHandle,
    /// The provider that speaks Anthropic's format.
    pub anthropic: MockHandle,
    /// Holds the configuration and the data.
    pub directory: TempDir,
}

fn mock(key: &str) -> MockHandle {
    Mock::start(MockConfig { api_key: Some(key.to_owned()), ..MockConfig::default() }).expect("a mock")
}

fn parse(text: &str) -> Table {
    text.parse().unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn merge(into: &mut Table, from: Table) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(Value::Table(known)), Value::Table(more)) => merge(known, more),
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

impl Setup {
    /// Begins with the providers `openai` and `anthropic`, no key and no guard.
    pub fn new() -> Self {
        let (openai, anthropic) = (mock(OPENAI_KEY), mock(ANTHROPIC_KEY));
        let mut text = BASE.to_owned();
        for (name, handle, key) in [("openai", &openai, OPENAI_KEY), ("anthropic", &anthropic, ANTHROPIC_KEY)]
        {
            let url = handle.base_url();
            let _ = write!(
                text,
                "[[providers]]\nname = \"{name}\"\nkind = \"{name}\"\nbase_url = \"{url}\"\napi_keys = [\"{key}\"]\n\
                 [providers.retry]\nbase_delay = \"5ms\"\nbudget = 10.0\n"
            );
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut setup = Self { table: parse(&text), openai, anthropic, directory };
        let data = setup.directory.path().join("data");
        setup = setup.toml(&format!("[store]\npath = \"{}\"", data.display()));
        setup
    }

    /// Lays further settings over those that are there; arrays are replaced.
    pub fn toml(mut self, text: &str) -> Self {
        merge(&mut self.table, parse(text));
        self
    }

    /// Lays settings over those of one provider.
    pub fn provider(mut self, name: &str, text: &str) -> Self {
        let more = parse(text);
        let providers = self.table.get_mut("providers").and_then(Value::as_array_mut).expect("providers");
        let found = providers
            .iter_mut()
            .filter_map(Value::as_table_mut)
            .find(|provider| provider.get("name").and_then(Value::as_str) == Some(name));
        merge(found.expect("a provider of that name"), more);
        self
    }

    /// Adds a provider or a route: a table of the array `name`.
    pub fn add(mut self, name: &str, text: &str) -> Self {
        let list = self.table.entry(name).or_insert_with(|| Value::Array(Vec::new()));
        list.as_array_mut().expect("an array").push(Value::Table(parse(text)));
        self
    }

    /// Adds a route that tries `openai` first and then `anthropic`.
    pub fn failover(self, model: &str, openai: &str) -> Self {
        self.add(
            "routes",
            &format!(
                "model = \"{model}\"\ntargets = [{{ provider = \"openai\", model = \"{openai}\" }}, \
                 {{ provider = \"anthropic\", model = \"claude-sonnet-4-5\" }}]"
            ),
        )
    }

    /// Closes the operator's routes with [`ADMIN`].
    pub fn with_admin(self) -> Self {
        self.toml(&format!("[auth]\nadmin_token = \"{ADMIN}\""))
    }

    /// Demands keys; each is `(name, secret, further settings)`.
    pub fn with_keys(self, keys: &[(&str, &str, &str)]) -> Self {
        let mut text = format!("[auth]\nmode = \"keys\"\nadmin_token = \"{ADMIN}\"\n");
        for (name, secret, more) in keys {
            let hash = super::daemon::sha256(secret);
            let _ = write!(text, "[[auth.keys]]\nname = \"{name}\"\nsha256 = \"{hash}\"\n{more}\n");
        }
        self.toml(&text)
    }

    /// Returns the directory of configuration and data.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes the file without starting anything.
    pub fn write(&self) -> PathBuf {
        let path = self.directory.path().join("sentinel.toml");
        std::fs::write(&path, self.table.to_string()).expect("a writable directory");
        path
    }

    /// Starts the daemon.
    pub fn start(self) -> World {
        let daemon = Daemon::start(&self.write());
        let Self { openai, anthropic, directory, .. } = self;
        World { daemon, openai, anthropic, directory }
    }
}

impl World {
    /// Starts a daemon with the usual settings.
    pub fn start() -> Self {
        Setup::new().start()
    }

    /// Returns the configuration file.
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("sentinel.toml")
    }

    /// Returns the data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Replaces the daemon with a new one on the same files; the old one is killed if it still runs.
    pub fn restart(&mut self) {
        self.daemon.kill();
        self.daemon = Daemon::start(&self.config());
    }

    /// Returns how many calls reached the providers.
    pub fn upstream_calls(&self) -> u64 {
        self.openai.counters().requests + self.anthropic.counters().requests
    }

    /// Returns how many calls to the providers are under way.
    pub fn upstream_in_flight(&self) -> u64 {
        self.openai.counters().in_flight + self.anthropic.counters().in_flight
    }
}

impl Deref for World {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Daemon {
        &mut self.daemon
    }
}
