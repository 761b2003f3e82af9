//! Addresses of a Redis, and one connection to it: a single server or a cluster.

use std::time::Duration;

use redis::cluster::ClusterClient;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, IntoConnectionInfo, RedisError, RedisResult, Value,
};
use sentinel_domain::Secret;

use crate::error::StoreError;

/// Longest wait for a connection, handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of unsent commands at which writers wait. Bounds memory while a server reads slowly.
const WRITE_BOUNDARY: usize = 4 * 1024 * 1024;

/// Where to connect. Holds credentials, so it is never printed.
pub(crate) enum Target {
    Single(Client),
    Cluster(Box<ClusterClient>),
}

impl Target {
    /// Understands `redis://`, `unix://` and `redis-cluster://[user:password@]host:port[,host:port...]`.
    pub(crate) fn parse(url: &Secret, timeout: Duration) -> Result<Self, StoreError> {
        let text = url.expose();
        if let Some(rest) = text.strip_prefix("redis-cluster://") {
            return cluster(rest, timeout);
        }
        if text.starts_with("rediss") {
            return Err(StoreError::Config(
                "TLS to Redis is not built in; use redis:// through a local TLS tunnel".to_owned(),
            ));
        }
        let info = connection_info(text)?;
        Client::open(info).map(Self::Single).map_err(|error| bad_url(&error))
    }

    pub(crate) async fn connect(&self) -> RedisResult<Link> {
        match self {
            Self::Single(client) => {
                // Calls have their own deadline; the driver's would only race with it.
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT_TIMEOUT))
                    .set_response_timeout(None)
                    .set_write_backpressure_boundary(WRITE_BOUNDARY);
                client.get_multiplexed_async_connection_with_config(&config).await.map(Link::Single)
            }
            Self::Cluster(client) => client.get_async_connection().await.map(Link::Cluster),
        }
    }
}

fn bad_url(error: &RedisError) -> StoreError {
    // Only the category: the details may quote the address with its password.
    StoreError::Config(format!(
        "not a Redis address ({}); expected redis://[[user]:password@]host[:port][/db], redis-cluster:// or unix://",
        error.category()
    ))
}

fn connection_info(text: &str) -> Result<ConnectionInfo, StoreError> {
    let info = text.into_connection_info().map_err(|error| bad_url(&error))?;
    let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
    Ok(info.set_tcp_settings(tcp))
}

fn cluster(rest: &str, timeout: Duration) -> Result<Target, StoreError> {
    let (credentials, hosts) =
        rest.rsplit_once('@').map_or((None, rest), |(left, right)| (Some(left), right));
    let hosts = hosts.trim_end_matches('/');
    let mut nodes = Vec::new();
    for host in hosts.split(',').filter(|host| !host.is_empty()) {
        let url = match credentials {
            Some(credentials) => format!("redis://{credentials}@{host}"),
            None => format!("redis://{host}"),
        };
        nodes.push(connection_info(&url)?);
    }
    if nodes.is_empty() {
        return Err(StoreError::Config("redis-cluster:// needs at least one host:port".to_owned()));
    }
    ClusterClient::builder(nodes)
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(timeout)
        // Enough to follow a moved slot; the call's own deadline bounds the whole.
        .retries(2)
        .min_retry_wait(1)
        .max_retry_wait(20)
        .tcp_settings(redis::io::tcp::TcpSettings::default().set_nodelay(true))
        .build()
        .map(|client| Target::Cluster(Box::new(client)))
        .map_err(|error| bad_url(&error))
}

/// Returns every text in an address that must not be shown: the password, as written and as decoded.
pub(crate) fn secrets_of(url: &Secret) -> Vec<Secret> {
    let Some((_, rest)) = url.expose().split_once("://") else { return Vec::new() };
    let Some((credentials, _)) = rest.rsplit_once('@') else { return Vec::new() };
    let password = credentials.split_once(':').map_or(credentials, |(_, password)| password);
    let mut found = vec![Secret::new(password)];
    if let Ok(info) = format!("redis://{credentials}@h").as_str().into_connection_info()
        && let Some(decoded) = info.redis_settings().password()
    {
        found.push(Secret::new(decoded));
    }
    found.retain(|secret| !secret.is_empty());
    found
}

/// One live connection; clones share it.
#[derive(Clone)]
pub(crate) enum Link {
    Single(redis::aio::MultiplexedConnection),
    Cluster(redis::cluster_async::ClusterConnection),
}

impl Link {
    pub(crate) async fn run(&self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Single(connection) => command.query_async(&mut connection.clone()).await,
            Self::Cluster(connection) => command.query_async(&mut connection.clone()).await,
        }
    }
}
