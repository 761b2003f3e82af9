//! Plain values and rules of the gateway: money, usage, prices, outcomes, policies, errors.
//!
//! The ground floor. It knows nothing of actors, sockets, HTTP statuses, vendors' field names or the time of day:
//! whoever needs a moment passes it in. Everything above speaks to each other in these types.

pub mod audit;
pub mod catalogue;
pub mod error;
pub mod ids;
pub mod money;
pub mod outcome;
pub mod policy;
pub mod price;
pub mod secret;
pub mod usage;

pub use error::{ApiError, ErrorCode, ErrorKind};
pub use ids::RequestId;
pub use money::NanoUsd;
pub use outcome::FailureClass;
pub use secret::Secret;
pub use usage::{Usage, UsageSource};
