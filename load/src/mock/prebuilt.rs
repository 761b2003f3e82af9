//! Answers that are built once and repeated, so that a benchmark measures the gateway and not its upstream.

use std::collections::HashMap;

use bytes::Bytes;
use memchr::memmem;
use parking_lot::Mutex;

use super::Shared;
use super::ask::Wire;
use super::request::Head;
use super::route::Routed;

/// More kinds of answers than this are built anew each time.
const MAX_KINDS: usize = 64;

/// What tells two prebuilt answers apart, found in a request without parsing it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    is_anthropic: bool,
    model: Vec<u8>,
    stream: bool,
    usage: bool,
}

/// The answers built so far.
#[derive(Debug, Default)]
pub(crate) struct Prebuilt {
    answers: Mutex<HashMap<Kind, Routed>>,
}

impl Prebuilt {
    /// Returns the answer to this kind of request, built now if it is the first of its kind.
    pub(crate) fn answer(
        &self,
        shared: &Shared,
        wire: Wire,
        head: &Head,
        body: &Bytes,
        build: impl FnOnce() -> Routed,
    ) -> Routed {
        let kind = Kind {
            is_anthropic: wire == Wire::Anthropic,
            model: string_after(body, b"\"model\":").unwrap_or_default().to_vec(),
            stream: is_true_after(body, b"\"stream\":"),
            usage: is_true_after(body, b"\"include_usage\":"),
        };
        let mut answers = self.answers.lock();
        if let Some(answer) = answers.get(&kind) {
            shared.board.received(&String::from_utf8_lossy(&kind.model), &head.raw, body);
            return answer.clone();
        }
        let answer = build();
        if answers.len() < MAX_KINDS {
            answers.insert(kind, answer.clone());
        }
        answer
    }
}

fn value_after<'body>(body: &'body [u8], key: &[u8]) -> Option<&'body [u8]> {
    let at = memmem::find(body, key)? + key.len();
    Some(body.get(at..)?.trim_ascii_start())
}

fn string_after<'body>(body: &'body [u8], key: &[u8]) -> Option<&'body [u8]> {
    let rest = value_after(body, key)?.strip_prefix(b"\"")?;
    rest.get(..memchr::memchr(b'"', rest)?)
}

fn is_true_after(body: &[u8], key: &[u8]) -> bool {
    value_after(body, key).is_some_and(|value| value.starts_with(b"true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_with_and_without_spaces() {
        for body in
            [&br#"{"model":"m","stream":true}"#[..], br#"{"stream" : false, "stream": true, "model": "m"}"#]
        {
            assert_eq!(string_after(body, b"\"model\":"), Some(&b"m"[..]));
            assert!(is_true_after(body, b"\"stream\":"));
        }
        assert_eq!(string_after(b"{}", b"\"model\":"), None);
        assert_eq!(string_after(br#"{"model": 7}"#, b"\"model\":"), None);
    }
}
