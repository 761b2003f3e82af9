//! `sentinel serve`: start, run, reload, drain, end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use sentinel_runtime::{Phase, Supervisor};

use super::signals::{Signals, Wish};
use crate::config::{self, Config, Flags, Loaded};
use crate::dashboard::Hub;
use crate::gateway::events::Level;
use crate::gateway::{Gateway, Worker};
use crate::http::{self, routes::Surface};

/// How long a client may keep an idle connection.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a request's head may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Exit code when the audit trail is beyond repair.
const BEYOND_REPAIR: i32 = 70;
/// Time for streams to send their last event once the drain is over.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Longest time for the ledger and the audit trail to reach the disk at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// The same after a second signal.
const HASTY_FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a reload reads the configuration from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The environment at the start.
    pub env: BTreeMap<String, String>,
    /// The command line's flags.
    pub flags: Flags,
}

impl Source {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Every problem found.
    pub fn load(&self) -> Result<Loaded, config::problem::Problems> {
        config::load(self.file.as_deref(), &self.env, &self.flags)
    }
}

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}{hint}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the operating system says.
        error: std::io::Error,
        /// What to do about it.
        hint: &'static str,
    },
    /// A part of the gateway could not be made.
    #[error("{0}")]
    Build(String),
    /// The operating system refuses something else.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

impl StartError {
    /// Returns the exit code: 2 for what the configuration can mend, else 1.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Listen { .. } => 2,
            Self::Build(_) | Self::System(_) => 1,
        }
    }
}

/// A gateway that accepts requests.
pub struct Running {
    /// Its state.
    pub gateway: Arc<Gateway>,
    /// Addresses that it listens on: clients' first.
    pub addresses: Vec<std::net::SocketAddr>,
    servers: Vec<ServerHandle>,
}

/// Starts listening. Must be called inside an actix system; the servers run on threads of their own.
///
/// # Errors
/// The store cannot be opened, or an address cannot be listened on.
pub fn start(loaded: &Loaded) -> Result<Running, StartError> {
    let config = loaded.config.clone();
    let gateway = Gateway::build(loaded, None).map_err(StartError::Build)?;
    let surface = if config.server.admin_listen.is_some() { Surface::Public } else { Surface::All };
    let hub = Hub::new(&gateway);
    let (addresses, server) = listen(&gateway, &hub, config.server.listen, surface, workers(&config))?;
    let (mut addresses, mut servers) = (addresses, vec![server]);
    if let Some(address) = config.server.admin_listen {
        let (bound, server) = listen(&gateway, &hub, address, Surface::Operator, 1)?;
        addresses.extend(bound);
        servers.push(server);
    }
    gateway.registry.on_escalation(|escalation| {
        tracing::error!(actor = escalation.actor, failure = ?escalation.failure, "a critical part is beyond repair");
        beyond_repair();
    });
    let _watcher = gateway.audit.watch(&Supervisor::root(&gateway.registry));
    gateway.lifecycle.advance(Phase::Ready);
    actix_rt::spawn(hub.run());
    Ok(Running { gateway, addresses, servers })
}

/// Ends the process so that its service manager starts it anew: nothing can be recorded any more.
#[expect(clippy::disallowed_methods, reason = "the one place that ends the process without a drain")]
fn beyond_repair() {
    std::process::exit(BEYOND_REPAIR);
}

fn workers(config: &Config) -> usize {
    match config.server.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        count => count,
    }
}

fn listen(
    gateway: &Arc<Gateway>,
    hub: &Arc<Hub>,
    address: std::net::SocketAddr,
    surface: Surface,
    workers: usize,
) -> Result<(Vec<std::net::SocketAddr>, ServerHandle), StartError> {
    let (shared, hub) = (Arc::clone(gateway), Data::from(Arc::clone(hub)));
    let max_connections = gateway.live().config.server.max_connections;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(Data::new(Worker::of_this_thread(&shared)))
            .app_data(hub.clone())
            .configure(|config| http::configure(config, surface))
    })
    .workers(workers)
    // First byte of a stream: 43 ms without, 4 ms with, since head and first chunk are two writes.
    .tcp_nodelay(true)
    // Otherwise a client that left is not noticed while the upstream is silent.
    .h1_allow_half_closed(false)
    .disable_signals()
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_TIMEOUT)
    .client_disconnect_timeout(Duration::from_secs(1))
    .max_connections((max_connections / workers).max(16))
    .shutdown_timeout(LAST_WORDS.as_secs() + 1)
    .bind(address)
    .map_err(|error| StartError::Listen { address, hint: hint(&error), error })?;
    let addresses = server.addrs();
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    Ok((addresses, handle))
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "; another process holds it (ss -ltnp shows which); choose another with --listen ADDR"
        }
        std::io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need a privilege; choose another with --listen ADDR"
        }
        std::io::ErrorKind::AddrNotAvailable => {
            "; this machine has no such address; choose another with --listen ADDR"
        }
        _ => "",
    }
}

/// Runs until a signal asks to end, then drains.
pub async fn run_until_stopped(running: Running, source: &Source, mut signals: Signals) -> ExitCode {
    let wish = loop {
        match signals.next().await {
            Wish::Reload => reload(&running.gateway, source),
            wish => break wish,
        }
    };
    drain(running, wish, &mut signals).await
}

/// Ends a gateway that nobody uses any more, without waiting for signals.
pub async fn shut_down(running: Running) -> bool {
    running.gateway.lifecycle.advance(Phase::Stopped);
    for handle in running.servers {
        handle.stop(false).await;
    }
    running.gateway.close(FLUSH_TIMEOUT).await
}

fn reload(gateway: &Gateway, source: &Source) {
    let result =
        source.load().map_err(|problems| problems.to_string()).and_then(|loaded| gateway.reload(&loaded));
    gateway.metrics.config_reload_success.set(i64::from(result.is_ok()));
    match result {
        Ok(()) => {
            gateway.events.push("config", Level::Good, "configuration", "reloaded");
            tracing::info!("configuration reloaded");
        }
        Err(problems) => {
            let text = format!("not reloaded, the old one stays in force: {problems}");
            gateway.events.push("config", Level::Bad, "configuration", text);
            tracing::error!(%problems, "configuration not reloaded; the old one stays in force");
        }
    }
}

/// Lame duck, drain, last words, flush.
async fn drain(running: Running, wish: Wish, signals: &mut Signals) -> ExitCode {
    let Running { gateway, servers, .. } = running;
    let server = gateway.live().config.server.clone();
    tracing::info!(in_flight = gateway.in_flight.count(), "draining");
    gateway.metrics.draining.set(1);
    let mut hasty = None;
    gateway.lifecycle.advance(Phase::LameDuck);
    if wish == Wish::Terminate && !server.lame_duck.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(server.lame_duck) => {}
            second = signals.next_stop() => hasty = Some(second),
        }
    }
    gateway.lifecycle.advance(Phase::Draining);
    for handle in &servers {
        handle.pause().await;
    }
    if hasty.is_none() {
        tokio::select! {
            idle = gateway.in_flight.wait_idle(server.drain_timeout) => {
                if !idle {
                    tracing::warn!(in_flight = gateway.in_flight.count(), "drain timed out; ending what is left");
                }
            }
            second = signals.next_stop() => hasty = Some(second),
        }
    }
    // Streams that are left see this, send their error event and settle.
    gateway.lifecycle.advance(Phase::Stopped);
    gateway.in_flight.wait_idle(LAST_WORDS).await;
    let limit = if hasty.is_some() { HASTY_FLUSH_TIMEOUT } else { FLUSH_TIMEOUT };
    for handle in servers {
        let _graceful = tokio::time::timeout(LAST_WORDS * 2, handle.stop(hasty.is_none())).await;
    }
    let flushed = gateway.close(limit).await;
    if !flushed {
        tracing::error!("audit trail or ledger did not reach the disk in time");
    }
    tracing::info!("stopped");
    match hasty {
        Some(second) => ExitCode::from(second.exit_code()),
        None if flushed => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
}
