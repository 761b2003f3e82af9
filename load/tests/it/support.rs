//! A mock, a raw client, and an answer taken apart without any mercy for broken framing.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use sentinel_load::mock::{Mock, MockConfig, MockHandle};
use serde_json::{Value, json};

/// How the server's side of the connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
    /// Nothing more came for [`SILENCE`], or nothing more was waited for.
    Open,
}

/// Silence after which an answer counts as hung, where a test expects that; generous, since a busy machine must not
/// make a slow answer look like a hung one.
const SILENCE: Duration = Duration::from_secs(1);
/// The same where no test expects silence.
const PATIENCE: Duration = Duration::from_secs(20);
/// More bytes than this are not read; an endless answer ends the test here.
const ENOUGH: usize = 80 * 1024 * 1024;

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) raw: Vec<u8>,
    pub(crate) head: String,
    /// The body without its framing, as far as the framing makes sense.
    pub(crate) body: Vec<u8>,
    /// Whether the framing was right and complete.
    pub(crate) is_complete: bool,
    pub(crate) end: End,
}

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        self.head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers(name).first().copied().unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Returns the JSON of every `data:` line that holds some.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = self.text();
        text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?).ok()).collect()
    }

    /// Joins the text that a stream of either wire format carries.
    pub(crate) fn streamed_text(&self) -> String {
        let pointers = ["/choices/0/delta/content", "/delta/text"];
        let texts = self.events();
        texts.iter().filter_map(|event| pointers.iter().find_map(|at| event.pointer(at)?.as_str())).collect()
    }
}

pub(crate) fn mock() -> MockHandle {
    Mock::start(MockConfig::default()).unwrap()
}

pub(crate) fn openai(model: &str, extra: &Value) -> (&'static str, Value) {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hello there"}]});
    ("/v1/chat/completions", merged(body, extra))
}

pub(crate) fn anthropic(model: &str, extra: &Value) -> (&'static str, Value) {
    let body =
        json!({"model": model, "max_tokens": 2000, "messages": [{"role": "user", "content": "hello there"}]});
    ("/v1/messages", merged(body, extra))
}

fn merged(mut body: Value, extra: &Value) -> Value {
    for (key, value) in extra.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}

pub(crate) fn request((path, body): &(&str, Value), headers: &str) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: mock\r\nauthorization: Bearer sk-secret-key\r\nanthropic-version: 2023-06-01\r\n\
         content-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends one request on a connection of its own and reads whatever comes.
pub(crate) fn exchange(mock: &MockHandle, ask: &(&str, Value)) -> Reply {
    let mut stream = connect(mock);
    stream.write_all(&request(ask, "connection: close\r\n")).unwrap();
    read_reply(&mut stream)
}

/// The answer of an OpenAI model, unary.
pub(crate) fn unary(mock: &MockHandle, model: &str) -> Reply {
    exchange(mock, &openai(model, &json!({})))
}

/// The answer of an OpenAI model, streamed with usage.
pub(crate) fn streamed(mock: &MockHandle, model: &str) -> Reply {
    exchange(mock, &openai(model, &json!({"stream": true, "stream_options": {"include_usage": true}})))
}

pub(crate) fn connect(mock: &MockHandle) -> TcpStream {
    TcpStream::connect(mock.addr()).unwrap()
}

/// Sends one request and reads until the connection ends or falls silent.
pub(crate) fn until_silent(mock: &MockHandle, ask: &(&str, Value)) -> Reply {
    let mut stream = connect(mock);
    stream.write_all(&request(ask, "connection: close\r\n")).unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    read(&mut stream, |_| false)
}

/// Reads one answer on a connection that may stay open.
pub(crate) fn read_one(stream: &mut TcpStream) -> Reply {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    read(stream, |raw| take_apart(raw.to_vec(), End::Open).is_complete)
}

/// Reads until the connection ends.
pub(crate) fn read_reply(stream: &mut TcpStream) -> Reply {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    read(stream, |_| false)
}

fn read(stream: &mut TcpStream, is_enough: impl Fn(&[u8]) -> bool) -> Reply {
    let mut raw = Vec::new();
    let mut buffer = vec![0; 1024 * 1024];
    let end = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break End::Closed,
            Ok(count) => raw.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break End::Reset,
            Err(_) => break End::Open,
        }
        if raw.len() > ENOUGH || is_enough(&raw) {
            break End::Open;
        }
    };
    take_apart(raw, end)
}

fn take_apart(raw: Vec<u8>, end: End) -> Reply {
    let mut rest = raw.as_slice();
    // Interim answers stand before the real head.
    let head = loop {
        let Some(at) = rest.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Reply { head: String::new(), body: Vec::new(), is_complete: false, end, raw };
        };
        let head = String::from_utf8_lossy(&rest[..at]).into_owned();
        rest = &rest[at + 4..];
        if !head.starts_with("HTTP/1.1 10") {
            break head;
        }
    };
    let rest = rest.to_vec();
    let mut reply = Reply { head, body: Vec::new(), is_complete: false, end, raw };
    if reply.header("transfer-encoding") == "chunked" {
        (reply.body, reply.is_complete) = unchunk(&rest);
    } else {
        let declared = reply.header("content-length").parse().unwrap_or(rest.len());
        reply.is_complete = declared == rest.len();
        reply.body = rest;
    }
    reply
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let line_end = rest.windows(2).position(|window| window == b"\r\n");
        let Some(at) = line_end else { return (body, false) };
        let size = str::from_utf8(&rest[..at]).ok().and_then(|line| usize::from_str_radix(line, 16).ok());
        let Some(size) = size else { return (body, false) };
        let data = &rest[at + 2..];
        if size == 0 {
            return (body, data == b"\r\n");
        }
        if data.len() < size + 2 {
            body.extend_from_slice(&data[..size.min(data.len())]);
            return (body, false);
        }
        body.extend_from_slice(&data[..size]);
        rest = &data[size + 2..];
    }
}
