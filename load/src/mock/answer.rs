//! An answer before it is bytes, and the script of socket steps that it becomes.
//!
//! Faults are changes to an [`Answer`], never branches in the socket code: whatever can be said about status,
//! headers, events, framing, pace and ending can be combined, and the connection only plays the [`Step`]s.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// One thing the connection does, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Write(Bytes),
    /// The same bytes again and again, so that a huge body needs no huge buffer.
    Repeat(Bytes, u64),
    Wait(Duration),
    /// Silence until the client leaves.
    Hang,
    /// Closes with a TCP reset.
    Reset,
    /// Closes in order (FIN).
    Close,
    /// Keeps the connection, but closes it as soon as the next request arrives, unanswered.
    CloseOnNext,
}

/// One server-sent event, or any other piece of a body that is written by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) bytes: Cow<'static, [u8]>,
    /// Whether it carries model output; faults "after N deltas" count these only.
    pub(crate) is_delta: bool,
    pub(crate) times: u64,
}

impl Event {
    pub(crate) fn control(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: Cow::Owned(bytes.into()), is_delta: false, times: 1 }
    }

    pub(crate) fn delta(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: Cow::Owned(bytes.into()), is_delta: true, times: 1 }
    }
}

/// The body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Whole(Vec<u8>),
    Events(Vec<Event>),
}

/// How the end of the body is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Content-Length`, off by this many bytes.
    Length(i64),
    Chunked,
    /// Chunked, with a size line that is no number before this event.
    ChunkedBadSize(usize),
    /// Chunked, without the last chunk.
    ChunkedUnfinished,
    /// By closing the connection; no length at all.
    UntilClose,
    /// No body and no length, as 204 and 304 have it.
    Absent,
}

/// What happens once the body, or as much of it as [`Answer::stop_after`] leaves, is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    KeepAlive,
    Close,
    Reset,
    Hang,
    CloseOnNext,
}

/// Delays and the size of single writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) before_head: Duration,
    pub(crate) after_head: Duration,
    pub(crate) between_events: Duration,
    /// Body bytes a write (and a chunk); 0 leaves events whole.
    pub(crate) split: usize,
    /// Pause after each split write.
    pub(crate) after_split: Duration,
}

/// Everything the mock says to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Written verbatim before the head (interim 1xx answers).
    pub(crate) interim: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    pub(crate) body: Body,
    pub(crate) framing: Framing,
    pub(crate) pace: Pace,
    /// Ends after this many deltas (events) or at this share of a whole body, without marking the body's end.
    pub(crate) stop_after: Option<usize>,
    /// With `stop_after`: marks the end of the body all the same, so that only its content is incomplete.
    pub(crate) stop_marks_end: bool,
    pub(crate) ending: Ending,
    /// Nothing at all is written; only the ending happens.
    pub(crate) silent: bool,
    /// Only the head is written before the ending.
    pub(crate) head_only: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &'static str, body: Body) -> Self {
        let framing = match &body {
            Body::Whole(_) => Framing::Length(0),
            Body::Events(_) => Framing::Chunked,
        };
        Self {
            interim: Vec::new(),
            status,
            headers: vec![(Cow::Borrowed("content-type"), Cow::Borrowed(content_type))],
            body,
            framing,
            pace: Pace::default(),
            stop_after: None,
            stop_marks_end: false,
            ending: Ending::KeepAlive,
            silent: false,
            head_only: false,
        }
    }

    pub(crate) fn header(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> &mut Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn remove_header(&mut self, name: &str) -> &mut Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self
    }

    /// Returns the events of a streamed answer; a whole one has none.
    pub(crate) fn events_mut(&mut self) -> Option<&mut Vec<Event>> {
        match &mut self.body {
            Body::Events(events) => Some(events),
            Body::Whole(_) => None,
        }
    }

    /// Returns all bytes of the body in one piece, as compression and byte-level faults need them.
    pub(crate) fn joined_body(&self) -> Vec<u8> {
        match &self.body {
            Body::Whole(bytes) => bytes.clone(),
            Body::Events(events) => events.iter().flat_map(|event| event.bytes.iter().copied()).collect(),
        }
    }

    /// Returns the index of the first event after `deltas` deltas.
    pub(crate) fn index_after(events: &[Event], deltas: usize) -> usize {
        if deltas == 0 {
            return 0;
        }
        let mut seen = 0;
        events
            .iter()
            .position(|event| {
                seen += usize::from(event.is_delta);
                seen == deltas
            })
            .map_or(events.len(), |index| index + 1)
    }

    /// Turns the answer into the steps that put it on the wire.
    pub(crate) fn into_script(self) -> Vec<Step> {
        let mut script = ScriptBuilder { steps: Vec::with_capacity(4), pending: BytesMut::new() };
        script.wait(self.pace.before_head);
        if !self.silent {
            script.write(&self.interim);
            self.write_head(&mut script);
            script.wait(self.pace.after_head);
            if !self.head_only {
                self.write_body(&mut script);
            }
        }
        script.end(match self.ending {
            Ending::KeepAlive => None,
            Ending::Close => Some(Step::Close),
            Ending::Reset => Some(Step::Reset),
            Ending::Hang => Some(Step::Hang),
            Ending::CloseOnNext => Some(Step::CloseOnNext),
        })
    }

    fn write_head(&self, script: &mut ScriptBuilder) {
        use std::fmt::Write as _;

        let mut head = String::with_capacity(768);
        // Writing to a String cannot fail.
        let _ = write!(head, "HTTP/1.1 {} {}\r\n", self.status, reason_phrase(self.status));
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        match (self.framing, &self.body) {
            (Framing::Length(offset), Body::Whole(body)) => {
                let length = i64::try_from(body.len()).unwrap_or(i64::MAX).saturating_add(offset).max(0);
                let _ = write!(head, "content-length: {length}\r\n");
            }
            (Framing::UntilClose, _) => head.push_str("connection: close\r\n"),
            (Framing::Absent, _) => {}
            _ => head.push_str("transfer-encoding: chunked\r\n"),
        }
        head.push_str("\r\n");
        script.write(head.as_bytes());
    }

    fn write_body(&self, script: &mut ScriptBuilder) {
        match &self.body {
            Body::Whole(body) => {
                let end = if self.stop_after.is_some() { body.len() / 2 } else { body.len() };
                self.write_piece(script, body.get(..end).unwrap_or(body), 1);
            }
            Body::Events(events) => {
                let end = self.stop_after.map_or(events.len(), |deltas| Self::index_after(events, deltas));
                for (index, event) in events.iter().take(end).enumerate() {
                    if index > 0 {
                        script.wait(self.pace.between_events);
                    }
                    if self.framing == Framing::ChunkedBadSize(index) {
                        script.write(b"zz\r\n");
                    }
                    self.write_piece(script, &event.bytes, event.times);
                }
            }
        }
        let is_chunked = matches!(self.framing, Framing::Chunked | Framing::ChunkedBadSize(_))
            || (matches!(self.framing, Framing::Length(_)) && matches!(self.body, Body::Events(_)));
        if is_chunked && (self.stop_after.is_none() || self.stop_marks_end) {
            script.write(b"0\r\n\r\n");
        }
    }

    fn write_piece(&self, script: &mut ScriptBuilder, piece: &[u8], times: u64) {
        let is_framed = match (self.framing, &self.body) {
            (Framing::Absent, _) => return,
            (Framing::Length(_), Body::Whole(_)) | (Framing::UntilClose, _) => false,
            _ => true,
        };
        if times > 1 {
            script.repeat(frame(piece, is_framed), times);
        } else if self.pace.split > 0 {
            for part in piece.chunks(self.pace.split) {
                script.write(&frame(part, is_framed));
                script.flush();
                script.wait(self.pace.after_split);
            }
        } else if is_framed {
            script.write_chunk(piece);
        } else {
            script.write(piece);
        }
    }
}

fn frame(piece: &[u8], is_framed: bool) -> Vec<u8> {
    if !is_framed {
        return piece.to_vec();
    }
    let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
    framed.extend_from_slice(piece);
    framed.extend_from_slice(b"\r\n");
    framed
}

/// Joins neighbouring writes into one, as far as no wait stands between them.
struct ScriptBuilder {
    steps: Vec<Step>,
    pending: BytesMut,
}

impl ScriptBuilder {
    fn write(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    fn write_chunk(&mut self, piece: &[u8]) {
        // An empty chunk would end the body.
        if !piece.is_empty() {
            self.write(format!("{:x}\r\n", piece.len()).as_bytes());
            self.write(piece);
            self.write(b"\r\n");
        }
    }

    fn repeat(&mut self, bytes: Vec<u8>, times: u64) {
        self.flush();
        self.steps.push(Step::Repeat(Bytes::from(bytes), times));
    }

    fn flush(&mut self) {
        if !self.pending.is_empty() {
            self.steps.push(Step::Write(self.pending.split().freeze()));
        }
    }

    fn wait(&mut self, duration: Duration) {
        if !duration.is_zero() {
            self.flush();
            self.steps.push(Step::Wait(duration));
        }
    }

    fn end(mut self, last: Option<Step>) -> Vec<Step> {
        self.flush();
        self.steps.extend(last);
        self.steps
    }
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Payload Too Large",
        418 => "I'm a teapot",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        529 => "Site is overloaded",
        _ => "Unknown",
    }
}
