//! Error answers in the shape of each provider.
//!
//! Shapes after the providers' published error pages and recorded answers (read 2026-11): OpenAI
//! `{"error":{message,type,param,code}}`, pretty-printed; Anthropic `{"type":"error","error":{type,message},
//! "request_id"}`, compact, with `x-should-retry`.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::json;

use super::answer::{Answer, Body};
use super::ask::Wire;

/// An error before it is in either provider's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    /// OpenAI's `error.type`; Anthropic's follows from the status unless `anthropic_kind` is set.
    pub(crate) kind: &'static str,
    pub(crate) anthropic_kind: Option<&'static str>,
    pub(crate) message: Cow<'static, str>,
    pub(crate) param: Option<String>,
    pub(crate) code: Option<&'static str>,
}

#[derive(Serialize)]
struct OpenAiBody<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

impl Failure {
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error",
            anthropic_kind: None,
            message: message.into(),
            param: None,
            code: None,
        }
    }

    pub(crate) fn param(mut self, param: impl Into<String>, code: &'static str) -> Self {
        self.param = Some(param.into());
        self.code = Some(code);
        self
    }

    pub(crate) fn no_such_model(wire: Wire, model: &str) -> Self {
        let message = match wire {
            Wire::OpenAi => format!("The model `{model}` does not exist or you do not have access to it."),
            Wire::Anthropic => format!("model: {model}"),
        };
        Self { status: 404, code: Some("model_not_found"), ..Self::invalid(message) }
    }

    /// Returns what the providers say with a status, as far as that is known, else a plain sentence.
    pub(crate) fn of_status(wire: Wire, status: u16) -> Self {
        let (kind, code, openai, anthropic) = match status {
            400 => ("invalid_request_error", None, "Invalid request.", "messages: Invalid request"),
            401 => (
                "invalid_request_error",
                Some("invalid_api_key"),
                "Incorrect API key provided. You can find your API key at \
                 https://platform.openai.com/account/api-keys.",
                "invalid x-api-key",
            ),
            402 => ("billing_error", None, "Payment required.", "Your plan has no funds left."),
            403 => (
                "invalid_request_error",
                Some("unsupported_country_region_territory"),
                "Country, region, or territory not supported",
                "Your API key does not have permission to use the specified resource.",
            ),
            404 => (
                "invalid_request_error",
                Some("model_not_found"),
                "The model does not exist.",
                "model: unknown",
            ),
            408 => ("timeout_error", None, "Request timed out.", "Request timed out."),
            409 => ("conflict_error", None, "The resource was changed meanwhile.", "Conflict."),
            413 => (
                "invalid_request_error",
                None,
                "Request body exceeds the maximum size.",
                "Request exceeds the maximum size",
            ),
            422 => {
                ("invalid_request_error", None, "The request cannot be processed.", "Unprocessable request.")
            }
            429 => (
                "requests",
                Some("rate_limit_exceeded"),
                "Rate limit reached on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s.",
                "This request would exceed your organization's rate limit of 50 requests per minute.",
            ),
            503 => (
                "server_error",
                None,
                "The engine is currently overloaded, please try again later",
                "Service unavailable",
            ),
            529 => ("server_error", Some("overloaded"), "The server is overloaded.", "Overloaded"),
            // The statuses named above come first.
            other if (400..500).contains(&other) => {
                ("invalid_request_error", None, "The request was refused.", "The request was refused.")
            }
            _ => (
                "server_error",
                None,
                "The server had an error while processing your request. Sorry about that!",
                "Internal server error",
            ),
        };
        let message = if wire == Wire::OpenAi { openai } else { anthropic };
        Self { status, kind, anthropic_kind: None, message: Cow::Borrowed(message), param: None, code }
    }

    fn anthropic_type(&self) -> &'static str {
        self.anthropic_kind.unwrap_or(match self.status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            504 => "timeout_error",
            529 => "overloaded_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        })
    }

    /// Returns the JSON body in the provider's shape and layout.
    pub(crate) fn body(&self, wire: Wire, request_id: &str) -> Vec<u8> {
        match wire {
            Wire::OpenAi => {
                let error = OpenAiError {
                    message: &self.message,
                    kind: self.kind,
                    param: self.param.as_deref(),
                    code: self.code,
                };
                let mut body = serde_json::to_vec_pretty(&OpenAiBody { error }).unwrap_or_default();
                body.push(b'\n');
                body
            }
            Wire::Anthropic => {
                let (kind, message) = (json!(self.anthropic_type()), json!(self.message));
                let id = json!(request_id);
                let start = r#"{"type":"error","error":{"type":"#;
                format!("{start}{kind},\"message\":{message}}},\"request_id\":{id}}}").into_bytes()
            }
        }
    }

    /// Returns the event that carries the error inside a stream.
    pub(crate) fn event(&self, wire: Wire, request_id: &str) -> Vec<u8> {
        match wire {
            Wire::OpenAi => {
                let error = json!({"error": {
                    "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
                }});
                format!("data: {error}\n\n").into_bytes()
            }
            Wire::Anthropic => {
                let (kind, message) = (json!(self.anthropic_type()), json!(self.message));
                let id = json!(request_id);
                let start = r#"{"type":"error","error":{"details":null,"type":"#;
                format!("event: error\ndata: {start}{kind},\"message\":{message}}},\"request_id\":{id}}}\n\n")
                    .into_bytes()
            }
        }
    }

    /// Returns the whole answer.
    pub(crate) fn answer(&self, wire: Wire, request_id: &str) -> Answer {
        let mut answer =
            Answer::new(self.status, "application/json", Body::Whole(self.body(wire, request_id)));
        match wire {
            Wire::OpenAi => answer.header("x-request-id", request_id.to_owned()),
            Wire::Anthropic => {
                let retry = if matches!(self.status, 408 | 409 | 429 | 500..) { "true" } else { "false" };
                answer.header("request-id", request_id.to_owned()).header("x-should-retry", retry)
            }
        };
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_shape_of_their_provider() {
        let failure = Failure::no_such_model(Wire::OpenAi, "x");
        let openai: serde_json::Value = serde_json::from_slice(&failure.body(Wire::OpenAi, "r")).unwrap();
        assert_eq!(openai["error"]["code"], "model_not_found");
        assert_eq!(openai["error"]["param"], serde_json::Value::Null);
        let failure = Failure::of_status(Wire::Anthropic, 529);
        let body = String::from_utf8(failure.body(Wire::Anthropic, "r")).unwrap();
        assert_eq!(
            body,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}"#
        );
    }
}
