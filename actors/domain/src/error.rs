//! The one error that a client can get, without any HTTP in it.
//!
//! `code` is a closed set and part of the outside contract: documented, used as a metric label and in audit records.
//! Only the HTTP face turns a code into a status.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal, $kind:ident;)+) => {
        /// What went wrong, as a closed set of stable names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ErrorCode {
            /// Every code, for documentation and metrics.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the name that clients see.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Returns the family that clients see as `type`.
            #[must_use]
            pub const fn kind(self) -> ErrorKind {
                match self { $(Self::$variant => ErrorKind::$kind,)+ }
            }

            /// Returns the one-line explanation used in the documentation.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

error_codes! {
    /// The body is not valid JSON.
    InvalidJson = "invalid_json", InvalidRequest;
    /// A required field is missing.
    MissingField = "missing_field", InvalidRequest;
    /// A field has the wrong type, range or shape.
    InvalidValue = "invalid_value", InvalidRequest;
    /// A field stands twice in one object.
    DuplicateField = "duplicate_field", InvalidRequest;
    /// `messages` is empty.
    EmptyMessages = "empty_messages", InvalidRequest;
    /// There are more messages than the configured maximum.
    TooManyMessages = "too_many_messages", InvalidRequest;
    /// A message is longer than the configured maximum.
    MessageTooLong = "message_too_long", InvalidRequest;
    /// The chosen provider cannot express this parameter.
    UnsupportedParameter = "unsupported_parameter", InvalidRequest;
    /// The prompt does not fit the model's context window.
    ContextLengthExceeded = "context_length_exceeded", InvalidRequest;
    /// The provider refused the request itself; its message is passed on.
    UpstreamRejected = "upstream_rejected", InvalidRequest;
    /// No API key was sent.
    MissingApiKey = "missing_api_key", Authentication;
    /// The API key is not valid.
    InvalidApiKey = "invalid_api_key", Authentication;
    /// The key may not use this model.
    ModelNotAllowed = "model_not_allowed", Permission;
    /// The browser origin is not allowed.
    OriginNotAllowed = "origin_not_allowed", Permission;
    /// The route needs the admin token.
    AdminRequired = "admin_required", Permission;
    /// Personal data or a secret was found and the policy is to block.
    PiiBlocked = "pii_blocked", Permission;
    /// The prompt looks like an injection and the policy is to block.
    PromptInjectionBlocked = "prompt_injection_blocked", Permission;
    /// A guard could not run and the policy is to block.
    GuardUnavailable = "guard_unavailable", Overloaded;
    /// No route or provider serves this model.
    ModelNotFound = "model_not_found", NotFound;
    /// There is no such path.
    UnknownRoute = "unknown_route", NotFound;
    /// There is no audit record of this request.
    UnknownRequest = "unknown_request", NotFound;
    /// There is no such actor, key or target.
    UnknownObject = "unknown_object", NotFound;
    /// The path exists, but not for this method.
    MethodNotAllowed = "method_not_allowed", InvalidRequest;
    /// The body is larger than the configured maximum.
    BodyTooLarge = "body_too_large", InvalidRequest;
    /// The body is not declared as uncompressed JSON.
    UnsupportedMediaType = "unsupported_media_type", InvalidRequest;
    /// The body did not arrive in time.
    BodyTimeout = "body_timeout", InvalidRequest;
    /// The budget of the key, or of the whole gateway, is used up.
    BudgetExceeded = "budget_exceeded", Budget;
    /// A rate or concurrency limit is used up; `param` says which.
    RateLimitExceeded = "rate_limit_exceeded", RateLimit;
    /// The provider's own rate limit is used up.
    UpstreamRateLimited = "upstream_rate_limited", RateLimit;
    /// The provider account's quota is used up.
    UpstreamQuota = "upstream_quota", RateLimit;
    /// The gateway failed.
    Internal = "internal", Internal;
    /// The provider failed or could not be reached.
    UpstreamFailed = "upstream_failed", Upstream;
    /// The provider refused the gateway's own credentials.
    UpstreamAuth = "upstream_auth", Upstream;
    /// The provider's answer could not be understood.
    UpstreamInvalidResponse = "upstream_invalid_response", Upstream;
    /// Every target of the route failed or is unavailable.
    AllTargetsUnavailable = "all_targets_unavailable", Overloaded;
    /// The only target's circuit breaker is open.
    CircuitOpen = "circuit_open", Overloaded;
    /// The gateway is shutting down.
    Draining = "draining", Overloaded;
    /// The store is unavailable and the policy is to refuse.
    StoreUnavailable = "store_unavailable", Overloaded;
    /// The gateway has no capacity left.
    Overloaded = "overloaded", Overloaded;
    /// The provider says that it is overloaded.
    UpstreamOverloaded = "upstream_overloaded", Overloaded;
    /// The provider did not answer in time.
    UpstreamTimeout = "upstream_timeout", Timeout;
    /// The request took longer than allowed.
    RequestTimeout = "request_timeout", Timeout;
    /// The client went away before the answer ended; seen only in audit records and metrics.
    ClientClosed = "client_closed", InvalidRequest;
}

/// The family of an [`ErrorCode`], which clients see as `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong.
    InvalidRequest,
    /// The caller is not known.
    Authentication,
    /// The caller may not do this.
    Permission,
    /// There is no such thing.
    NotFound,
    /// The money is used up.
    Budget,
    /// A limit is used up for now.
    RateLimit,
    /// The gateway failed.
    Internal,
    /// The provider failed.
    Upstream,
    /// There is no capacity for now.
    Overloaded,
    /// It took too long.
    Timeout,
}

impl ErrorKind {
    /// Returns the name that clients see as `type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Permission => "permission_error",
            Self::NotFound => "not_found_error",
            Self::Budget => "budget_error",
            Self::RateLimit => "rate_limit_error",
            Self::Internal => "internal_error",
            Self::Upstream => "upstream_error",
            Self::Overloaded => "overloaded_error",
            Self::Timeout => "timeout_error",
        }
    }
}

/// What a provider itself said, kept where the client can act on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamError {
    /// The provider's HTTP status.
    pub status: u16,
    /// The provider's own `type`, if it is shown to the client.
    pub kind: Option<String>,
    /// The provider's own `code`, if it is shown to the client.
    pub code: Option<String>,
}

/// One failure, as the client is told about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct ApiError {
    /// What went wrong.
    pub code: ErrorCode,
    /// What went wrong in words, with what to do about it; never a secret or content.
    pub message: Cow<'static, str>,
    /// The request field, or the limit, that is concerned.
    pub param: Option<Cow<'static, str>>,
    /// The soonest time after which a retry can work.
    pub retry_after: Option<Duration>,
    /// Tells the official SDKs whether to retry at all (`x-should-retry`).
    pub should_retry: Option<bool>,
    /// What the provider itself said; its status replaces the one that belongs to `code`.
    pub upstream: Option<Box<UpstreamError>>,
}

impl ApiError {
    /// Makes an error with a message.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            param: None,
            retry_after: None,
            should_retry: None,
            upstream: None,
        }
    }

    /// Names the field or limit that is concerned.
    #[must_use]
    pub fn param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Says when a retry can work at the soonest.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Tells the client's SDK that a retry is of no use.
    #[must_use]
    pub fn no_retry(mut self) -> Self {
        self.should_retry = Some(false);
        self
    }

    /// Keeps what the provider said.
    #[must_use]
    pub fn upstream(mut self, upstream: UpstreamError) -> Self {
        self.upstream = Some(Box::new(upstream));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_and_shown_names_of_codes_agree() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn results_stay_small() {
        assert!(size_of::<ApiError>() <= 120, "{}", size_of::<ApiError>());
    }
}
