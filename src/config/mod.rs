//! The configuration: read, complete and check, before anything is started.
//!
//! Owns names, defaults, ranges and explanations of every setting. Reports every problem at once, each with its path.
//! Only this module and the command line read the environment.

pub mod access;
pub mod guards;
pub mod problem;
pub mod section;
pub mod settings;
pub mod tree;
pub mod units;
pub mod upstreams;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sentinel_domain::policy::{ProviderSpec, RouteSpec};

use access::{Auth, AuthMode, Limits};
use guards::{InjectionSettings, PiiSettings};
use problem::{Problem, Problems};
use section::{Notes, Section, Setting};
use settings::{Audit, Cache, Cost, Server, Store, Telemetry};
use tree::{Node, Origin, Value};

/// Everything the gateway works by, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Listeners, sizes and waits.
    pub server: Server,
    /// Who may call.
    pub auth: Auth,
    /// Where state lives.
    pub store: Store,
    /// Where requests can go.
    pub providers: Vec<ProviderSpec>,
    /// How public model names are served.
    pub routes: Vec<RouteSpec>,
    /// Limits of callers without their own.
    pub limits: Limits,
    /// Personal data and secrets.
    pub pii: PiiSettings,
    /// Prompt injection.
    pub injection: InjectionSettings,
    /// Answers that need not be bought twice.
    pub cache: Cache,
    /// The audit trail.
    pub audit: Audit,
    /// Prices and spending limits.
    pub cost: Cost,
    /// Logs.
    pub telemetry: Telemetry,
}

/// Values that stand above file and environment: the command line's flags.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--listen`
    pub listen: Option<String>,
    /// `--data-dir`
    pub data_dir: Option<String>,
}

/// A configuration with where each setting came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    /// Every setting with its origin, in reading order.
    pub settings: Vec<Setting>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
}

/// Finds the file: the flag's, else `$SENTINEL_CONFIG`, else `./sentinel.toml` if it is there.
#[must_use]
pub fn locate(flag: Option<&Path>, env: &BTreeMap<String, String>) -> Option<PathBuf> {
    if let Some(path) = flag {
        return Some(path.to_owned());
    }
    if let Some(path) = env.get("SENTINEL_CONFIG").filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(path));
    }
    let beside = PathBuf::from("sentinel.toml");
    beside.is_file().then_some(beside)
}

/// Reads file, environment and flags into a checked configuration.
///
/// # Errors
/// Every problem found, each with its path.
pub fn load(file: Option<&Path>, env: &BTreeMap<String, String>, flags: &Flags) -> Result<Loaded, Problems> {
    let text = match file {
        None => None,
        Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
            Problems::from(Problem::new("", format!("cannot read {}: {error}", path.display())))
        })?),
    };
    let mut loaded = from_text(text.as_deref(), env, flags)?;
    loaded.file = file.map(Path::to_owned);
    Ok(loaded)
}

/// As [`load`], from a text instead of a file.
///
/// # Errors
/// Every problem found, each with its path.
pub fn from_text(
    text: Option<&str>,
    env: &BTreeMap<String, String>,
    flags: &Flags,
) -> Result<Loaded, Problems> {
    let mut notes = Notes::default();
    let mut root = match text {
        Some(text) => tree::parse(text).map_err(Problems::from)?,
        None => Node::empty(),
    };
    tree::interpolate(&mut root, "", env, &mut notes.problems);
    tree::overlay(&mut root, env, &mut notes.problems);
    well_known_variables(&mut root, env);
    for (key, path) in [(&flags.listen, ["server", "listen"]), (&flags.data_dir, ["store", "path"])] {
        if let Some(text) = key {
            let node = Node::new(Value::Text(text.clone()), Origin::Flag);
            if let Err(message) = tree::set(&mut root, &path.map(str::to_owned), node) {
                notes.problems.add(Problem::new(path.join("."), message));
            }
        }
    }
    let config = read(root, &mut notes);
    cross_check(&config, &mut notes.problems);
    if notes.problems.is_empty() {
        Ok(Loaded { config, settings: notes.settings, file: None })
    } else {
        Err(notes.problems)
    }
}

/// Takes providers from `OPENAI_API_KEY` and `ANTHROPIC_API_KEY` when none are configured, and the admin token from
/// `SENTINEL_ADMIN_TOKEN` when the file does not mention one.
fn well_known_variables(root: &mut Node, env: &BTreeMap<String, String>) {
    let Value::Table(table) = &mut root.value else { return };
    if !table.contains_key("providers") {
        let found = upstreams::from_environment(|name| env.get(name).cloned());
        let items = found.into_iter().map(|(name, key)| {
            let variable = format!("{}_API_KEY", name.to_ascii_uppercase());
            let origin = Origin::Env { name: variable.clone() };
            let text = |text: &str| Node::new(Value::Text(text.to_owned()), origin.clone());
            let mut secret = text(key.expose());
            secret.variables.push(variable);
            let keys = Node::new(Value::List(vec![secret]), origin.clone());
            let entries = [("name", text(name)), ("kind", text(name)), ("api_keys", keys)];
            Node::new(Value::Table(entries.map(|(key, node)| (key.to_owned(), node)).into()), origin)
        });
        let items: Vec<_> = items.collect();
        if !items.is_empty() {
            table.insert("providers".to_owned(), Node::new(Value::List(items), Origin::Default));
        }
    }
    if let Some(token) = env.get("SENTINEL_ADMIN_TOKEN")
        && let Value::Table(auth) = &mut table.entry("auth".to_owned()).or_insert_with(Node::empty).value
    {
        auth.entry("admin_token".to_owned()).or_insert_with(|| {
            let name = "SENTINEL_ADMIN_TOKEN".to_owned();
            let mut node = Node::new(Value::Text(token.clone()), Origin::Env { name: name.clone() });
            node.variables.push(name);
            node
        });
    }
}

fn read(root: Node, notes: &mut Notes) -> Config {
    let mut s = Section::new("", root, notes);
    let parts = ["server", "auth", "store", "limits", "guard", "cache", "audit", "cost", "telemetry"]
        .map(|key| s.table(key));
    let [server, auth, store, limits, guard, cache, audit, cost, telemetry] = parts;
    let provider_tables = s.tables("providers");
    let route_tables = s.tables("routes");
    let notes = s.notes();
    let server = settings::server(server.0, server.1, notes);
    let auth = access::auth(auth.0, auth.1, notes);
    let store = settings::store(store.0, store.1, notes);
    let own: Vec<SocketAddr> = std::iter::once(server.listen).chain(server.admin_listen).collect();
    let providers = upstreams::providers(provider_tables, &own, notes);
    let routes = upstreams::routes(route_tables, &providers, notes);
    let limits = access::limits(limits.0, limits.1, notes);
    let (pii, injection) = guards::guard(guard.0, guard.1, notes);
    let cache = settings::cache(cache.0, cache.1, notes);
    let audit = settings::audit(audit.0, audit.1, notes);
    let cost = settings::cost(cost.0, cost.1, notes);
    let telemetry = settings::telemetry(telemetry.0, telemetry.1, notes);
    s.finish();
    Config { server, auth, store, providers, routes, limits, pii, injection, cache, audit, cost, telemetry }
}

/// Complains about settings that are fine alone but not together.
fn cross_check(config: &Config, problems: &mut Problems) {
    let Config { server, auth, .. } = config;
    let open = |address: SocketAddr| !address.ip().is_loopback();
    if auth.mode == AuthMode::None && open(server.listen) && !auth.allow_open {
        problems.add(Problem::new(
            "auth.mode",
            format!(
                "\"none\" lets anybody who reaches {} spend your money; set auth.mode = \"keys\", listen on 127.0.0.1, \
                 or set auth.allow_open = true",
                server.listen
            ),
        ));
    }
    let admin = server.admin_listen.unwrap_or(server.listen);
    if auth.admin_token.is_none() && open(admin) && !auth.allow_open {
        problems.add(Problem::new(
            "auth.admin_token",
            format!(
                "without it anybody who reaches {admin} sees audit, usage and dashboard; set a token (such as \
                 \"${{SENTINEL_ADMIN_TOKEN}}\"), set server.admin_listen to a loopback address, or set \
                 auth.allow_open = true"
            ),
        ));
    }
    if server.admin_listen == Some(server.listen) && server.listen.port() != 0 {
        problems.add(Problem::new(
            "server.admin_listen",
            "it is the same as server.listen; leave it empty to use one listener",
        ));
    }
}
