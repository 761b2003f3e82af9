//! A raw HTTP/1.1 client: one socket, bytes in and out, so that tests can break every rule of framing.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::{PATIENCE, now};

/// One connection to the daemon.
pub struct Conn {
    stream: TcpStream,
    inbox: Vec<u8>,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The head as it was sent.
    pub head: String,
    /// The body without its transfer coding.
    pub body: Vec<u8>,
    /// Whether the body came to its end, by length, last chunk or close.
    pub complete: bool,
}

impl Conn {
    /// Connects.
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the daemon accepts connections");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, inbox: Vec::new() }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).expect("the daemon reads");
        self
    }

    /// Sends bytes and says whether the daemon still takes them.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Closes the sending half.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads until `needle` has come, and returns everything up to and with it.
    ///
    /// # Panics
    /// If the connection ends first.
    #[track_caller]
    pub fn until(&mut self, needle: &str) -> String {
        self.until_or_end(needle).unwrap_or_else(|| {
            panic!("{needle:?} never came; there was {:?}", String::from_utf8_lossy(&self.inbox))
        })
    }

    /// Reads until `needle` has come; `None` if the connection ends, or says nothing for long, before it.
    pub fn until_or_end(&mut self, needle: &str) -> Option<String> {
        loop {
            let found = self.inbox.windows(needle.len()).position(|window| window == needle.as_bytes());
            if let Some(at) = found {
                let rest = self.inbox.split_off(at + needle.len());
                let taken = std::mem::replace(&mut self.inbox, rest);
                return Some(String::from_utf8_lossy(&taken).into_owned());
            }
            if self.receive() == 0 {
                return None;
            }
        }
    }

    /// Reads everything until the daemon closes; waits at most `limit` for that. Returns whether it closed.
    pub fn drain(&mut self, limit: Duration) -> (Vec<u8>, bool) {
        let start = now();
        self.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut piece = [0; 4096];
        let mut closed = false;
        while start.elapsed() < limit && !closed {
            match self.stream.read(&mut piece) {
                Ok(0) => closed = true,
                Ok(count) => self.inbox.extend_from_slice(&piece[..count]),
                Err(error) => closed = !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        }
        (std::mem::take(&mut self.inbox), closed)
    }

    fn receive(&mut self) -> usize {
        let mut piece = [0; 16 * 1024];
        // A reset counts as an end; so does a silence longer than the patience of the tests.
        let count = self.stream.read(&mut piece).unwrap_or(0);
        self.inbox.extend_from_slice(&piece[..count]);
        count
    }

    /// Reads one answer; `None` if the connection ends before its head.
    pub fn try_reply(&mut self) -> Option<Reply> {
        let mut head = self.until_or_end("\r\n\r\n")?;
        while head.starts_with("HTTP/1.1 1") {
            head = self.until_or_end("\r\n\r\n")?;
        }
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut reply = Reply { status, head, body: Vec::new(), complete: true };
        if let Some(length) = reply.find("content-length").and_then(|text| text.parse::<usize>().ok()) {
            while self.inbox.len() < length && reply.complete {
                reply.complete = self.receive() > 0;
            }
            let rest = self.inbox.split_off(length.min(self.inbox.len()));
            reply.body = std::mem::replace(&mut self.inbox, rest);
        } else if reply.find("transfer-encoding").is_some() {
            reply.complete = self.chunks(&mut reply.body);
        }
        Some(reply)
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let Some(line) = self.until_or_end("\r\n") else { return false };
            let Ok(size) = usize::from_str_radix(line.trim(), 16) else { return false };
            while self.inbox.len() < size + 2 {
                if self.receive() == 0 {
                    body.append(&mut self.inbox);
                    return false;
                }
            }
            let rest = self.inbox.split_off(size + 2);
            let chunk = std::mem::replace(&mut self.inbox, rest);
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return true;
            }
        }
    }

    /// Reads one answer.
    ///
    /// # Panics
    /// If the connection ends before its head.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        self.try_reply().expect("an answer")
    }

    /// Says whether the daemon closes the connection within a while.
    pub fn is_closed(&mut self) -> bool {
        self.drain(PATIENCE).1
    }
}

/// Writes a request's head and body.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

impl Reply {
    /// Returns a header's value, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// Returns a header's value.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {} {}", self.head, self.text()))
    }

    /// Returns the error's code; empty if the body is no error.
    pub fn code(&self) -> String {
        self.error()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the error of the body.
    pub fn error(&self) -> Value {
        serde_json::from_slice::<Value>(&self.body).unwrap_or_default()["error"].clone()
    }

    /// Returns the text of the first choice.
    pub fn content(&self) -> String {
        self.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the values of the stream's `data:` lines, `[DONE]` as a string.
    pub fn events(&self) -> Vec<Value> {
        let text = self.text();
        let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| Value::from(data))).collect()
    }

    /// Says whether the stream ended as finished.
    pub fn is_done(&self) -> bool {
        self.text().ends_with("data: [DONE]\n\n")
    }

    /// Returns the joined text of the stream's first choice.
    pub fn streamed(&self) -> String {
        let events = self.events();
        events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
    }

    /// Returns the error that ended the stream.
    pub fn stream_error(&self) -> Option<Value> {
        self.events().into_iter().find_map(|event| event.get("error").cloned())
    }
}
