//! Builds the HTTP client of one provider on one worker, with every default that would hurt a gateway replaced.
//!
//! awc follows redirects, gives up after 5 s, shares 100 connections among all hosts and leaves Nagle's algorithm on
//! (43 ms to the first byte instead of 4). None of that is wanted here.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_service::ServiceExt as _;
use actix_tls::connect::{Connector as TcpConnector, Resolver};
use awc::{Client, Connector};
use rustls::{ClientConfig, RootCertStore};
use sentinel_domain::policy::Timeouts;

/// An idle connection is closed after this time, below the 60 s and more of the providers' own servers.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A connection is replaced after this time even if it is busy, so that changes in DNS are followed.
const LIFETIME: Duration = Duration::from_secs(600);
/// Connections above our own cap on calls, so that the client never makes a call wait for one.
const SPARE_CONNECTIONS: usize = 64;

tokio::task_local! {
    /// Set to true when the present exchange had to open a connection. It is shared with the connector this way since
    /// the client does not tell whether a connection came out of its pool.
    static OPENED: Rc<Cell<bool>>;
}

/// Runs an exchange and tells whether it was carried by a connection from the pool.
pub(super) async fn noticing_reuse<F: Future>(exchange: F) -> (F::Output, bool) {
    let opened = Rc::new(Cell::new(false));
    let output = OPENED.scope(Rc::clone(&opened), exchange).await;
    (output, !opened.get())
}

/// Makes the TLS settings: the Mozilla roots, ring, HTTP/1.1 only. Shared by the workers, which then share sessions.
pub(super) fn tls_settings(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut settings = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // One call, one connection: a cancelled call closes it, and the caps count what they say.
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(settings))
}

/// Returns the Mozilla roots that are compiled in.
pub(super) fn default_roots() -> RootCertStore {
    actix_tls::connect::rustls_0_23::webpki_roots_cert_store()
}

/// Builds the client. It belongs to the present thread.
pub(super) fn client(timeouts: &Timeouts, max_in_flight: usize, tls: Arc<ClientConfig>) -> Client {
    // The connector's own default settings, which are replaced at once, look for a process-wide provider and panic
    // without one. An error only says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let tcp = TcpConnector::new(Resolver::default()).service().map(|connection| {
        let _ = OPENED.try_with(|opened| opened.set(true));
        // Without it the request works too, only later.
        if let Err(error) = connection.io_ref().set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        connection
    });
    let connector = Connector::new()
        .connector(tcp)
        .rustls_0_23(tls)
        .timeout(timeouts.connect)
        .handshake_timeout(timeouts.connect)
        .conn_keep_alive(KEEP_ALIVE)
        .conn_lifetime(LIFETIME)
        .limit(max_in_flight.saturating_add(SPARE_CONNECTIONS));
    Client::builder().connector(connector).disable_timeout().disable_redirects().no_default_headers().finish()
}
