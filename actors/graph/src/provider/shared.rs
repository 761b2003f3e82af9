//! What all workers share of one provider: its settings, its credentials, the count of its calls in flight.

use std::fmt;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use sentinel_domain::policy::ProviderSpec;
use sentinel_runtime::Tracker;
use tokio::sync::watch;
use tokio::time::Instant;

use super::connect::{default_roots, tls_settings};
use super::keys::KeyRing;

/// A provider's settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The TLS library refuses its own settings.
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// The largest whole answer that is read, in bytes, unless set otherwise.
pub const DEFAULT_ANSWER_LIMIT: usize = 8 * 1024 * 1024;

pub(super) struct Shared {
    pub(super) spec: Arc<ProviderSpec>,
    pub(super) keys: KeyRing,
    pub(super) in_flight: Tracker,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) answer_limit: usize,
    /// Turns true when the live calls are to be cut off.
    pub(super) cut: watch::Sender<bool>,
}

/// One provider as all workers see it. Clones share it.
#[derive(Clone)]
pub struct SharedProvider(pub(super) Arc<Shared>);

impl SharedProvider {
    /// Prepares a provider, with the Mozilla root certificates.
    ///
    /// # Errors
    /// If TLS can't be set up.
    pub fn new(spec: Arc<ProviderSpec>) -> Result<Self, ProviderError> {
        Self::with(spec, default_roots(), DEFAULT_ANSWER_LIMIT)
    }

    /// Prepares a provider with its own root certificates and limit on whole answers, in bytes.
    ///
    /// # Errors
    /// If TLS can't be set up.
    pub fn with(
        spec: Arc<ProviderSpec>,
        roots: RootCertStore,
        answer_limit: usize,
    ) -> Result<Self, ProviderError> {
        Ok(Self(Arc::new(Shared {
            keys: KeyRing::new(spec.api_keys.clone()),
            in_flight: Tracker::new(spec.max_in_flight.max(1)),
            tls: tls_settings(roots)?,
            answer_limit,
            cut: watch::Sender::new(false),
            spec,
        })))
    }

    /// Returns the settings.
    #[must_use]
    pub fn spec(&self) -> &Arc<ProviderSpec> {
        &self.0.spec
    }

    /// Says whether both are the same provider with the same state, not only with the same settings.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the number of calls in flight, streams included, over all workers.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.count()
    }

    /// Returns how many credentials are left out now, and how many there are.
    #[must_use]
    pub fn benched_keys(&self, now: Instant) -> (usize, usize) {
        self.0.keys.benched(now)
    }

    /// Waits until no call is in flight, at most for `deadline`. Returns whether that was reached.
    pub async fn wait_idle(&self, deadline: std::time::Duration) -> bool {
        self.0.in_flight.wait_idle(deadline).await
    }

    /// Cuts off every live call: streams end with a failure, waiting calls too. Later calls are refused.
    pub fn cut(&self) {
        self.0.cut.send_replace(true);
    }
}

impl fmt::Debug for SharedProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedProvider")
            .field("name", &self.0.spec.name)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
