//! What passes from the fetching side of a request to everybody who listens to it.

use std::sync::Arc;

use sentinel_domain::{ApiError, NanoUsd, Usage, UsageSource};
use sentinel_graph::target::TargetKey;
use sentinel_store::cache::coalesce::{Coalescer, Listener, Publisher};
use sentinel_wire::{Chunk, Completion};

/// Who answered, and under which names it is counted.
#[derive(Debug, Clone)]
pub struct Answerer {
    /// Provider and model as called.
    pub key: TargetKey,
    /// The model's name in metrics, from a closed set.
    pub label: Arc<str>,
}

/// What was used, and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bill {
    /// Tokens by kind.
    pub usage: Usage,
    /// Where the numbers come from.
    pub source: UsageSource,
    /// The cost; `None` when the price is unknown.
    pub cost: Option<NanoUsd>,
}

/// Who answers, known before the first byte of the answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// Who answers.
    pub answerer: Answerer,
    /// Upstream calls made.
    pub attempts: u32,
    /// Request fields that the provider cannot express.
    pub ignored: Vec<String>,
}

/// How the answer ended.
#[derive(Debug, Clone)]
pub struct End {
    /// What was used, and what it costs.
    pub bill: Bill,
    /// Why the first choice ended.
    pub finish_reason: Option<String>,
}

/// One event of an answer.
#[derive(Debug, Clone)]
pub enum Flow {
    /// Who answers; always first.
    Head(Arc<Head>),
    /// A whole answer.
    Whole(Arc<Completion>),
    /// A piece of a streamed one.
    Chunk(Chunk),
    /// The answer is complete; always last.
    End(Arc<End>),
}

impl Flow {
    /// Returns about how many bytes it holds in memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Head(_) | Self::End(_) => 128,
            Self::Whole(completion) => completion.body().len(),
            Self::Chunk(chunk) => chunk.json().len() + 64,
        }
    }
}

/// Why there is no answer, or no rest of it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What the client is told.
    pub error: ApiError,
    /// Who was tried last, if anybody was.
    pub answerer: Option<Answerer>,
    /// Upstream calls made.
    pub attempts: u32,
    /// What had been delivered by then.
    pub partial: Option<Usage>,
}

/// Identical requests in flight.
pub type Flights = Coalescer<Flow, Arc<Failure>>;
/// The fetching side.
pub type FlightPublisher = Publisher<Flow, Arc<Failure>>;
/// The listening side.
pub type FlightListener = Listener<Flow, Arc<Failure>>;
