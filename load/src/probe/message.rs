//! The request that the probe sends, as bytes, with a running number where a cache must not help.

use serde_json::json;

/// Stands for the running number in a body; as long as the number itself, so that lengths never change.
const NUMBER: &str = "{{number}}";
const NUMBER_DIGITS: usize = 10;

const SENTENCES: [&str; 6] = [
    "Please summarise the report of the last quarter in plain words.",
    "The committee met on Tuesday and agreed on most of the open points.",
    "What should a careful reader check before quoting these figures?",
    "Our team ships the new release at the end of the month if the tests stay green.",
    "List the three largest risks and one way to lower each of them.",
    "The weather on the coast was calm, so the survey could go on as planned.",
];

/// What a generated chat request asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// The model's name.
    pub model: String,
    /// Bytes of prompt, at least.
    pub prompt_bytes: usize,
    /// Whether to ask for a stream with usage.
    pub stream: bool,
    /// Whether every request differs from every other.
    pub unique: bool,
}

impl Chat {
    /// Returns the JSON body, with a place for the running number when it is to be unique.
    #[must_use]
    pub fn body(&self) -> String {
        let mut prompt = if self.unique { format!("Case {NUMBER}.") } else { String::from("Case one.") };
        for sentence in SENTENCES.iter().cycle() {
            if prompt.len() >= self.prompt_bytes {
                break;
            }
            prompt.push(' ');
            prompt.push_str(sentence);
        }
        let mut body = json!({"model": self.model, "messages": [{"role": "user", "content": prompt}]});
        if self.stream
            && let Some(fields) = body.as_object_mut()
        {
            fields.insert("stream".to_owned(), json!(true));
            fields.insert("stream_options".to_owned(), json!({"include_usage": true}));
        }
        body.to_string()
    }
}

/// A request as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    bytes: Vec<u8>,
    number_at: Option<usize>,
}

impl Message {
    /// Builds a POST, or a GET without body.
    pub(crate) fn new(host: &str, path: &str, headers: &[String], body: Option<&str>) -> Self {
        let method = if body.is_some() { "POST" } else { "GET" };
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        if let Some(body) = body {
            head.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let bytes = [head.as_bytes(), body.unwrap_or_default().as_bytes()].concat();
        let number_at = bytes.windows(NUMBER.len()).position(|window| window == NUMBER.as_bytes());
        Self { bytes, number_at }
    }

    /// Returns the bytes of request number `number`.
    pub(crate) fn numbered(&mut self, number: u64) -> &[u8] {
        if let Some(place) = self.number_at.and_then(|at| self.bytes.get_mut(at..at + NUMBER_DIGITS)) {
            let mut rest = number;
            for digit in place.iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_change_the_body_but_never_its_length() {
        let chat = Chat { model: "m".into(), prompt_bytes: 200, stream: true, unique: true };
        let mut message = Message::new("h", "/p", &["x-a: b".into()], Some(&chat.body()));
        let first = message.numbered(7).to_vec();
        let second = message.numbered(1_234_567_890_123).to_vec();
        assert_eq!(first.len(), second.len());
        let text = String::from_utf8(second).unwrap();
        assert!(text.contains("Case 4567890123.") && text.contains("x-a: b\r\n"));
        assert!(String::from_utf8(first).unwrap().contains("Case 0000000007."));
    }

    #[test]
    fn a_message_without_body_is_a_get() {
        let mut message = Message::new("h", "/health", &[], None);
        assert_eq!(message.numbered(1), b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n");
    }
}
