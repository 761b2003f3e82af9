//! One connection of the probe: sends a request, reads the answer, notes when its parts came.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::histogram::Histogram;

const INBOX: usize = 16 * 1024;
const MAX_HEADERS: usize = 128;
/// Bytes kept from the end of a body, enough to recognise either provider's terminal event.
const TAIL: usize = 64;

/// Why an exchange has no whole answer. The names are the report's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Error)]
pub(crate) enum ExchangeError {
    #[error("connect")]
    Connect,
    #[error("closed_before_head")]
    ClosedBeforeHead,
    #[error("truncated")]
    Truncated,
    #[error("malformed")]
    Malformed,
    #[error("timeout")]
    Timeout,
}

/// A whole answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exchange {
    pub(crate) status: u16,
    pub(crate) head_after: Duration,
    pub(crate) first_event_after: Option<Duration>,
    pub(crate) total: Duration,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) is_stream: bool,
    /// Whether a stream ended with its terminal event.
    pub(crate) is_terminated: bool,
    pub(crate) reconnected: bool,
}

/// A connection that is opened when it is needed.
pub(crate) struct Client {
    addr: SocketAddr,
    stream: Option<TcpStream>,
    inbox: BytesMut,
}

/// What is left of a body.
enum Rest {
    Length(u64),
    /// Bytes left of the current chunk and its line end.
    Chunk(u64),
    UntilClose,
    Done,
}

impl Client {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self { addr, stream: None, inbox: BytesMut::with_capacity(INBOX) }
    }

    /// Sends a request and reads its whole answer, within `timeout`. A kept connection that the server closed
    /// meanwhile is replaced once. Gaps between the events of a stream go to `gaps`.
    pub(crate) async fn exchange(
        &mut self,
        request: &[u8],
        timeout: Duration,
        gaps: &mut Histogram,
    ) -> Result<Exchange, ExchangeError> {
        let was_kept = self.stream.is_some();
        let mut outcome = tokio::time::timeout(timeout, self.attempt(request, gaps)).await;
        if was_kept && matches!(outcome, Ok(Err(ExchangeError::ClosedBeforeHead))) {
            self.stream = None;
            outcome = tokio::time::timeout(timeout, self.attempt(request, gaps)).await;
            if let Ok(Ok(exchange)) = &mut outcome {
                exchange.reconnected = true;
            }
        }
        let outcome = outcome.unwrap_or(Err(ExchangeError::Timeout));
        if outcome.is_err() {
            self.stream = None;
        }
        outcome
    }

    /// Sends a request, reads until the first event and then leaves without a word.
    pub(crate) async fn leave_after_first_bytes(mut self, request: &[u8]) -> Result<(), ExchangeError> {
        self.send(request).await?;
        self.receive().await.map_err(|_| ExchangeError::Truncated)?;
        Ok(())
    }

    /// Sends a request and never reads; the connection is kept by the value returned.
    pub(crate) async fn never_read(mut self, request: &[u8]) -> Result<Self, ExchangeError> {
        self.send(request).await?;
        Ok(self)
    }

    async fn send(&mut self, request: &[u8]) -> Result<(), ExchangeError> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.addr).await.map_err(|_| ExchangeError::Connect)?;
                stream.set_nodelay(true).map_err(|_| ExchangeError::Connect)?;
                self.inbox.clear();
                stream
            }
        };
        let mut rest = request;
        while rest.has_remaining() {
            match stream.try_write(rest) {
                Ok(count) => rest.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    stream.writable().await.map_err(|_| ExchangeError::ClosedBeforeHead)?;
                }
                Err(_) => return Err(ExchangeError::ClosedBeforeHead),
            }
        }
        self.stream = Some(stream);
        Ok(())
    }

    async fn attempt(&mut self, request: &[u8], gaps: &mut Histogram) -> Result<Exchange, ExchangeError> {
        let start = Instant::now();
        self.send(request).await?;
        let (mut exchange, mut rest, keeps) = loop {
            if let Some(head) = self.take_head()? {
                break head;
            }
            if self.receive().await.unwrap_or(0) == 0 {
                return Err(ExchangeError::ClosedBeforeHead);
            }
        };
        exchange.head_after = start.elapsed();
        let mut counter = EventCounter::default();
        let mut last_event_at = None;
        loop {
            let is_event = self.take_body(&mut rest, &mut exchange, &mut counter)?;
            if is_event && exchange.is_stream {
                let now = Instant::now();
                match last_event_at {
                    Some(last) => gaps.record(now - last),
                    None => exchange.first_event_after = Some(now - start),
                }
                last_event_at = Some(now);
            }
            if matches!(rest, Rest::Done) {
                break;
            }
            if self.receive().await.unwrap_or(0) == 0 {
                if !matches!(rest, Rest::UntilClose) {
                    return Err(ExchangeError::Truncated);
                }
                break;
            }
        }
        if !keeps {
            self.stream = None;
        }
        exchange.total = start.elapsed();
        exchange.events = counter.events;
        exchange.is_terminated = counter.is_terminated();
        Ok(exchange)
    }

    fn take_head(&mut self) -> Result<Option<(Exchange, Rest, bool)>, ExchangeError> {
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut slots);
        let size = match parsed.parse(&self.inbox) {
            Ok(httparse::Status::Complete(size)) => size,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(ExchangeError::Malformed),
        };
        let mut exchange = Exchange { status: parsed.code.unwrap_or(0), ..Exchange::default() };
        let mut rest = Rest::UntilClose;
        let mut keeps = true;
        for header in parsed.headers.iter() {
            let value = str::from_utf8(header.value).unwrap_or_default().trim();
            if header.name.eq_ignore_ascii_case("content-length") {
                rest = Rest::Length(value.parse().map_err(|_| ExchangeError::Malformed)?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                rest = Rest::Chunk(0);
            } else if header.name.eq_ignore_ascii_case("connection") {
                keeps = !value.eq_ignore_ascii_case("close");
            } else if header.name.eq_ignore_ascii_case("content-type") {
                exchange.is_stream = value.starts_with("text/event-stream");
            }
        }
        self.inbox.advance(size);
        if (100..200).contains(&exchange.status) {
            return self.take_head();
        }
        if matches!(exchange.status, 204 | 304) || matches!(rest, Rest::Length(0)) {
            rest = Rest::Done;
        }
        Ok(Some((exchange, rest, keeps)))
    }

    /// Takes what is there of the body and reports whether an event ended in it.
    fn take_body(
        &mut self,
        rest: &mut Rest,
        exchange: &mut Exchange,
        counter: &mut EventCounter,
    ) -> Result<bool, ExchangeError> {
        let before = counter.events;
        while !self.inbox.is_empty() {
            let available = self.inbox.len() as u64;
            let take = match rest {
                Rest::Done => break,
                Rest::UntilClose => available,
                Rest::Length(left) => available.min(*left),
                Rest::Chunk(0) => {
                    let Some(size) = self.take_chunk_size()? else { break };
                    // The line end after the data is left to the next size line.
                    *rest = if size == 0 { Rest::Done } else { Rest::Chunk(size) };
                    continue;
                }
                Rest::Chunk(left) => available.min(*left),
            };
            let size = usize::try_from(take).unwrap_or(usize::MAX).min(self.inbox.len());
            counter.see(self.inbox.get(..size).unwrap_or_default());
            self.inbox.advance(size);
            exchange.bytes += take;
            match rest {
                Rest::Length(left) | Rest::Chunk(left) => *left -= take,
                Rest::UntilClose | Rest::Done => {}
            }
            if matches!(rest, Rest::Length(0)) {
                *rest = Rest::Done;
            }
        }
        Ok(counter.events > before)
    }

    /// Takes a chunk's size line, with the line end of the chunk before it; `None` while it is incomplete.
    fn take_chunk_size(&mut self) -> Result<Option<u64>, ExchangeError> {
        let skipped = if self.inbox.starts_with(b"\r\n") { 2 } else { 0 };
        let line = self.inbox.get(skipped..).unwrap_or_default();
        match httparse::parse_chunk_size(line) {
            // The last chunk is complete only with its blank line, or the connection could not be used again.
            Ok(httparse::Status::Complete((size, 0))) if line.len() < size + 2 => Ok(None),
            Ok(httparse::Status::Complete((size, length))) => {
                self.inbox.advance(skipped + size + if length == 0 { 2 } else { 0 });
                Ok(Some(length))
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(_) => Err(ExchangeError::Malformed),
        }
    }

    async fn receive(&mut self) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else { return Ok(0) };
        self.inbox.reserve(INBOX / 2);
        stream.read_buf(&mut self.inbox).await
    }
}

/// Counts server-sent events by their blank lines, whatever pieces they come in.
#[derive(Default)]
struct EventCounter {
    events: u64,
    ends_line: bool,
    tail: Vec<u8>,
}

impl EventCounter {
    fn see(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' if self.ends_line => {
                    self.events += 1;
                    self.ends_line = false;
                }
                b'\n' => self.ends_line = true,
                b'\r' => {}
                _ => self.ends_line = false,
            }
        }
        let kept = bytes.get(bytes.len().saturating_sub(TAIL)..).unwrap_or_default();
        self.tail.extend_from_slice(kept);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
    }

    fn is_terminated(&self) -> bool {
        let tail = String::from_utf8_lossy(&self.tail);
        tail.contains("[DONE]") || tail.contains("\"message_stop\"")
    }
}
