//! The commands: what `main` hands over to.

mod audit;
pub mod check;
pub mod cli;
pub mod demo;
mod health;
mod keys;
mod money;
pub mod scan;
pub mod serve;
pub mod signals;

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

use cli::{Cli, Command, ConfigArgs, ConfigCommand, ServeArgs};
use serve::Source;

use crate::config::{self, Flags, Loaded};
use crate::gateway::guards::Guards;

/// Exit code for a configuration or a command line that cannot be used.
const USAGE: u8 = 2;

/// Says the three ways to get a provider.
const NO_PROVIDER: &str = "\
no provider is configured, so there is nothing to send requests to. Three ways to get one:
  1. export OPENAI_API_KEY=... or ANTHROPIC_API_KEY=... and start again
  2. write a [[providers]] table into sentinel.toml (sentinel config init > sentinel.toml makes one)
  3. try it without any key: sentinel demo";

/// Runs the command.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    match cli.command {
        None => serve(cli.serve, env),
        Some(Command::Serve(args)) => serve(args, env),
        Some(Command::Check { config, json }) => check(&config, env, json),
        Some(Command::Config { config, command }) => configuration(&config, env, &command),
        Some(Command::Completions { shell }) => {
            let mut command = <Cli as clap::CommandFactory>::command();
            clap_complete::generate(shell, &mut command, "sentinel", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
        Some(Command::Demo { listen, exit }) => demo::run(&listen, exit),
        Some(Command::Mock { listen }) => mock(&listen),
        Some(Command::Scan { config }) => with_config(&config, env, Flags::default(), |loaded| {
            let guards = Guards::new(&loaded.config)?;
            let (input, output) = (std::io::stdin().lock(), BufWriter::new(std::io::stdout().lock()));
            scan::run(&guards, input, output).map(|()| true)
        }),
        Some(Command::Key { config, data_dir, command }) => {
            with_config(&config, env, Flags { listen: None, data_dir }, |loaded| {
                let text = actix_rt::System::new().block_on(keys::run(&loaded.config, command))?;
                say(&text);
                Ok(true)
            })
        }
        Some(Command::Audit { config, data_dir, command }) => {
            with_config(&config, env, Flags { listen: None, data_dir }, |loaded| {
                audit::run(&loaded.config, &command, BufWriter::new(std::io::stdout().lock()))
            })
        }
        Some(Command::Prices { config, command }) => with_config(&config, env, Flags::default(), |loaded| {
            let (text, is_well) = money::prices(&loaded.config, &command)?;
            say(&text);
            Ok(is_well)
        }),
        Some(Command::Usage { config, data_dir, command }) => {
            with_config(&config, env, Flags { listen: None, data_dir }, |loaded| {
                let now = sentinel_runtime::Clock::system().unix_ms();
                let text = actix_rt::System::new().block_on(money::usage(&loaded.config, &command, now))?;
                say(&text);
                Ok(true)
            })
        }
        Some(Command::Health { address, ready }) => match health::ask(&address, ready) {
            Ok(line) => {
                say(&format!("{line}\n"));
                ExitCode::SUCCESS
            }
            Err(error) => {
                complain(&error);
                ExitCode::FAILURE
            }
        },
    }
}

/// Runs a command that needs the configuration: 0 if it did what it should, 1 if not, 2 for a wrong configuration.
fn with_config(
    args: &ConfigArgs,
    env: BTreeMap<String, String>,
    flags: Flags,
    command: impl FnOnce(&Loaded) -> Result<bool, String>,
) -> ExitCode {
    let loaded = match load(args, env, flags) {
        Ok((_, loaded)) => loaded,
        Err(code) => return code,
    };
    match command(&loaded) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Writes a result to standard output. A closed pipe is not worth a panic.
pub(crate) fn say(text: &str) {
    let _closed = std::io::stdout().write_all(text.as_bytes());
}

/// Writes a complaint to standard error.
pub(crate) fn complain(text: &str) {
    let _closed = writeln!(std::io::stderr(), "sentinel: {text}");
}

fn load(
    args: &ConfigArgs,
    env: BTreeMap<String, String>,
    flags: Flags,
) -> Result<(Source, Loaded), ExitCode> {
    let source = Source { file: config::locate(args.config.as_deref(), &env), env, flags };
    match source.load() {
        Ok(loaded) => Ok((source, loaded)),
        Err(problems) => {
            let file =
                source.file.as_ref().map_or("the environment".to_owned(), |file| file.display().to_string());
            let count = problems.iter().count();
            let noun = if count == 1 { "problem" } else { "problems" };
            complain(&format!("{count} {noun} in {file}:\n{}", problems.to_string().trim_end()));
            Err(ExitCode::from(USAGE))
        }
    }
}

fn check(args: &ConfigArgs, env: BTreeMap<String, String>, json: bool) -> ExitCode {
    match load(args, env, Flags::default()) {
        Ok((_, loaded)) => {
            let text =
                if json { format!("{:#}\n", check::as_json(&loaded)) } else { check::as_text(&loaded, true) };
            say(&text);
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

fn configuration(args: &ConfigArgs, env: BTreeMap<String, String>, command: &ConfigCommand) -> ExitCode {
    match command {
        ConfigCommand::Init => say(include_str!("../../sentinel.example.toml")),
        ConfigCommand::Show => return check(args, env, false),
        ConfigCommand::Reference => {
            match config::from_text(Some(check::REFERENCE_EXAMPLE), &BTreeMap::new(), &Flags::default()) {
                Ok(loaded) => say(&check::reference(&loaded.settings)),
                Err(problems) => {
                    complain(&problems.to_string());
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    ExitCode::SUCCESS
}

fn serve(args: ServeArgs, env: BTreeMap<String, String>) -> ExitCode {
    let flags = Flags { listen: args.listen, data_dir: args.data_dir };
    let (source, loaded) = match load(&args.config, env, flags) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if loaded.config.providers.is_empty() {
        complain(NO_PROVIDER);
        return ExitCode::from(USAGE);
    }
    prepare(&loaded);
    actix_rt::System::new().block_on(async move {
        let signals = match signals::Signals::take() {
            Ok(signals) => signals,
            Err(error) => {
                complain(&format!("cannot take over signals: {error}"));
                return ExitCode::FAILURE;
            }
        };
        match serve::start(&loaded) {
            Ok(running) => {
                announce(&loaded, &running);
                serve::run_until_stopped(running, &source, signals).await
            }
            Err(error) => {
                complain(&error.to_string());
                ExitCode::from(error.exit_code())
            }
        }
    })
}

/// Sets up what is one per process: logs, panics, TLS, open files.
pub(crate) fn prepare(loaded: &Loaded) {
    crate::telemetry::logs::start(&loaded.config.telemetry);
    sentinel_runtime::panics::install();
    // Fails only if a provider is installed already, which is as good.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}

/// Says in a few lines what was started.
fn announce(loaded: &Loaded, running: &serve::Running) {
    let address = running.addresses.first().map_or(String::new(), |address| format!("http://{address}"));
    let operator = if loaded.config.server.admin_listen.is_some() {
        running.addresses.last().map_or(String::new(), |address| format!("http://{address}"))
    } else {
        address.clone()
    };
    let providers: Vec<_> = loaded.config.providers.iter().map(|spec| spec.name.as_ref()).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = address,
        dashboard = format!("{operator}/dashboard"),
        providers = providers.join(", "),
        store = ?loaded.config.store.backend,
        config = loaded.file.as_ref().map_or("environment".to_owned(), |file| file.display().to_string()),
        "ready"
    );
}

fn mock(listen: &str) -> ExitCode {
    let Ok(address) = listen.parse() else {
        complain(&format!("{listen:?} is no address; write one such as \"127.0.0.1:8900\""));
        return ExitCode::from(USAGE);
    };
    let config = sentinel_load::mock::MockConfig { listen: address, ..Default::default() };
    match sentinel_load::mock::Mock::start(config) {
        Ok(handle) => {
            say(&format!(
                "mock provider listens on http://{0} (base_url \"{1}\")\n",
                handle.addr(),
                handle.base_url()
            ));
            handle.wait();
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
