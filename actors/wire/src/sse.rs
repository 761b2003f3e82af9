//! Server-sent events out of bytes that arrive in any pieces.
//!
//! Framing comes first, decoding after: a line or a character that is cut in two by the network is put together
//! before anyone looks at it. A piece that holds whole events is sliced, not copied. Rules: WHATWG HTML living
//! standard, section 9.2.6 "Interpreting an event stream" (read 2026-11), with these readings: `id` and `retry` are
//! of no use to a gateway and are skipped; text is checked to be UTF-8 by whoever reads the event's data, so a wrong
//! byte is an error and not a replacement character; the last event counts even without its blank line.

use bytes::{Buf, Bytes, BytesMut};

/// The largest event accepted by default, in bytes.
pub const DEFAULT_MAX_EVENT: usize = 1024 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// Its name; empty when the stream gave none.
    pub event: Bytes,
    /// Its data, lines joined with `\n`.
    pub data: Bytes,
}

/// An event, or a line outside of events, is larger than allowed. The stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stream event larger than {limit} bytes")]
pub struct EventTooLarge {
    /// The limit, in bytes.
    pub limit: usize,
}

/// Takes a stream apart into events.
#[derive(Debug)]
pub struct SseDecoder {
    limit: usize,
    /// Bytes that have come and were not yet read as whole lines.
    input: Bytes,
    /// The beginning of a line whose end has not come yet.
    partial: BytesMut,
    /// The last line ended with a carriage return at the end of a piece: a line feed right after belongs to it.
    after_cr: bool,
    at_start: bool,
    event: Bytes,
    data: Data,
    failed: bool,
}

/// The data lines of the event that is being read. One line, the usual case, stays a slice.
#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(line) => line.len(),
            Self::Many(lines) => lines.len(),
        }
    }

    fn push(&mut self, line: Bytes) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(line),
            Self::One(first) => {
                let mut lines = BytesMut::with_capacity(first.len() + line.len() + 1);
                lines.extend_from_slice(&first);
                lines.extend_from_slice(b"\n");
                lines.extend_from_slice(&line);
                Self::Many(lines)
            }
            Self::Many(mut lines) => {
                lines.extend_from_slice(b"\n");
                lines.extend_from_slice(&line);
                Self::Many(lines)
            }
        };
    }

    fn take(&mut self) -> Option<Bytes> {
        match std::mem::take(self) {
            Self::None => None,
            Self::One(line) => Some(line),
            Self::Many(lines) => Some(lines.freeze()),
        }
    }
}

impl Default for SseDecoder {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_EVENT)
    }
}

impl SseDecoder {
    /// Makes a decoder that accepts events of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            input: Bytes::new(),
            partial: BytesMut::new(),
            after_cr: false,
            at_start: true,
            event: Bytes::new(),
            data: Data::None,
            failed: false,
        }
    }

    /// Gives it the next piece. Take all events with [`SseDecoder::next_event`] before the next one.
    pub fn feed(&mut self, piece: Bytes) {
        if self.input.is_empty() {
            self.input = piece;
        } else {
            let mut joined = BytesMut::with_capacity(self.input.len() + piece.len());
            joined.extend_from_slice(&self.input);
            joined.extend_from_slice(&piece);
            self.input = joined.freeze();
        }
    }

    /// Returns the next whole event, or `None` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`EventTooLarge`], and from then on always.
    pub fn next_event(&mut self) -> Result<Option<SseEvent>, EventTooLarge> {
        if self.failed {
            return Err(EventTooLarge { limit: self.limit });
        }
        while let Some(line) = self.line()? {
            if line.is_empty() {
                if let Some(event) = self.dispatch() {
                    return Ok(Some(event));
                }
                continue;
            }
            self.field(&line)?;
        }
        Ok(None)
    }

    /// Says whether what has come so far ends in the middle of an event.
    #[must_use]
    pub fn is_mid_event(&self) -> bool {
        !self.input.is_empty() || !self.partial.is_empty() || self.data.len() > 0
    }

    /// Ends the stream and returns the event that was still open, if it had data.
    ///
    /// # Errors
    ///
    /// [`EventTooLarge`] as in [`SseDecoder::next_event`].
    pub fn finish(&mut self) -> Result<Option<SseEvent>, EventTooLarge> {
        if let Some(event) = self.next_event()? {
            return Ok(Some(event));
        }
        let last = self.partial.split().freeze();
        if !last.is_empty() {
            self.field(&last)?;
        }
        Ok(self.dispatch())
    }

    fn overflow(&mut self) -> EventTooLarge {
        self.failed = true;
        self.input = Bytes::new();
        self.partial = BytesMut::new();
        self.data = Data::None;
        EventTooLarge { limit: self.limit }
    }

    /// Returns the next whole line without its end.
    fn line(&mut self) -> Result<Option<Bytes>, EventTooLarge> {
        if self.after_cr && !self.input.is_empty() {
            self.after_cr = false;
            if self.input.first() == Some(&b'\n') {
                self.input.advance(1);
            }
        }
        let Some(end) = memchr::memchr2(b'\n', b'\r', &self.input) else {
            if !self.input.is_empty() {
                self.partial.extend_from_slice(&self.input);
                self.input = Bytes::new();
            }
            let size = self.partial.len() + self.data.len();
            return if size > self.limit { Err(self.overflow()) } else { Ok(None) };
        };
        let mut line = self.input.split_to(end);
        let ended_by = self.input.first().copied();
        self.input.advance(1);
        if ended_by == Some(b'\r') {
            match self.input.first() {
                Some(b'\n') => self.input.advance(1),
                Some(_) => {}
                None => self.after_cr = true,
            }
        }
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(&line);
            line = self.partial.split().freeze();
        }
        if self.at_start {
            self.at_start = false;
            if line.starts_with(b"\xEF\xBB\xBF") {
                line.advance(3);
            }
        }
        if line.len() + self.data.len() > self.limit { Err(self.overflow()) } else { Ok(Some(line)) }
    }

    fn field(&mut self, line: &Bytes) -> Result<(), EventTooLarge> {
        // A stream of one unfinished line has not had its mark taken off yet.
        let mark = if self.at_start && line.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        self.at_start = false;
        let line = line.slice(mark..);
        let colon = memchr::memchr(b':', &line).unwrap_or(line.len());
        let mut value = line.slice((colon + 1).min(line.len())..);
        if value.first() == Some(&b' ') {
            value.advance(1);
        }
        match line.get(..colon) {
            Some(b"data") => {
                self.data.push(value);
                if self.data.len() > self.limit {
                    return Err(self.overflow());
                }
            }
            Some(b"event") => self.event = value,
            // Comments have an empty name; `id`, `retry` and unknown fields are of no use here.
            _ => {}
        }
        Ok(())
    }

    /// Ends the event. One without data is none.
    fn dispatch(&mut self) -> Option<SseEvent> {
        let event = std::mem::take(&mut self.event);
        let data = self.data.take()?;
        Some(SseEvent { event, data })
    }
}

#[cfg(test)]
#[path = "sse_tests.rs"]
mod tests;
