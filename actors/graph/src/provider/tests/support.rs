//! A scripted upstream, a toy dialect and the actor under test.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sentinel_domain::policy::{BreakerPolicy, ProviderKind, ProviderSpec, RetryPolicy, Timeouts};
use sentinel_domain::secret::Secret;
use sentinel_runtime::{Clock, Registry, Supervisor};
use sentinel_wire::dialect::encode;
use sentinel_wire::{ChatRequest, EncodeOptions, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::*;

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// How long a test waits for what has to happen soon, on a machine that may be busy.
pub(super) const SOON: Duration = Duration::from_secs(5);

/// Accepts connections and plays a script on each, given its number from 0.
pub(super) async fn upstream<F, Fut>(script: F) -> (u16, Arc<AtomicUsize>)
where
    F: Fn(usize, TcpStream) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let script = Rc::new(script);
    actix_rt::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let script = Rc::clone(&script);
            actix_rt::spawn(async move { script(number, socket).await });
        }
    });
    (port, connections)
}

/// Reads one request and returns its head in lower case; `None` if the connection ends before.
pub(super) async fn request(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = BytesMut::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.trim().parse().unwrap());
            if body.len() >= length {
                return Some(head.to_owned());
            }
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Returns when the other side has closed the connection.
pub(super) async fn closed(socket: &mut TcpStream) {
    let mut rest = [0; 1024];
    while !matches!(socket.read(&mut rest).await, Ok(0) | Err(_)) {}
}

pub(super) async fn write(socket: &mut TcpStream, text: impl AsRef<[u8]>) {
    // A script goes on writing when the client has left; that is not what it tests.
    let _ = socket.write_all(text.as_ref()).await;
}

/// A complete answer with a body of plain text.
pub(super) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

/// The head of a stream whose pieces are written by [`piece`].
pub(super) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// Writes a piece of a chunked body. Returns whether the other side still takes it.
pub(super) async fn piece(socket: &mut TcpStream, bytes: impl AsRef<[u8]>) -> bool {
    let bytes = bytes.as_ref();
    let mut frame = format!("{:x}\r\n", bytes.len()).into_bytes();
    frame.extend_from_slice(bytes);
    frame.extend_from_slice(b"\r\n");
    socket.write_all(&frame).await.is_ok()
}

/// Writes out a stream: `role` does not begin the answer, `text …` does, `stop` and `done` end it, `fail` is an error
/// of the provider, `: …` is a comment, `half` the beginning of an event.
pub(super) fn sse(lines: &[&str]) -> String {
    let chunk = |delta: &str, reason: &str| {
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":\
             [{{\"index\":0,\"delta\":{delta},\"finish_reason\":{reason}}}]}}\n\n"
        )
    };
    let event = |line: &&str| match *line {
        "role" => chunk("{\"role\":\"assistant\",\"content\":\"\"}", "null"),
        "stop" => chunk("{}", "\"stop\""),
        "done" => "data: [DONE]\n\n".to_owned(),
        "fail" => "data: {\"error\":{\"message\":\"busy\",\"type\":\"overloaded_error\"}}\n\n".to_owned(),
        "half" => "data: {\"id\":".to_owned(),
        line if line.starts_with(':') => format!("{line}\n\n"),
        line => chunk(&format!("{{\"role\":\"assistant\",\"content\":\"{line}\"}}"), "null"),
    };
    lines.iter().map(event).collect()
}

/// A whole answer that says `text`.
pub(super) fn completion(text: &str) -> String {
    let body = format!(
        "{{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\
         \"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},\"finish_reason\":\"stop\"}}]}}"
    );
    answer("200 OK", "content-type: application/json\r\n", &body)
}

/// What a test may want to set.
pub(super) struct Settings {
    pub(super) first_byte: Duration,
    pub(super) idle: Duration,
    pub(super) deadline: Duration,
    pub(super) max_in_flight: usize,
    pub(super) keys: Vec<&'static str>,
    pub(super) scheme: &'static str,
    pub(super) roots: rustls::RootCertStore,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            first_byte: 20 * SECOND,
            idle: 20 * SECOND,
            deadline: 60 * SECOND,
            max_in_flight: 8,
            keys: vec![],
            scheme: "http",
            roots: rustls::RootCertStore::empty(),
        }
    }
}

/// The actor under test.
pub(super) struct Gateway {
    pub(super) provider: ProviderHandle,
    pub(super) registry: Registry,
    timeouts: Timeouts,
    deadline: Duration,
}

impl Gateway {
    pub(super) fn new(port: u16, settings: Settings) -> Self {
        let timeouts = Timeouts { connect: 5 * SECOND, first_byte: settings.first_byte, idle: settings.idle };
        let spec = ProviderSpec {
            name: "p".into(),
            kind: ProviderKind::OpenAi,
            base_url: format!("{}://localhost:{port}/v1", settings.scheme),
            api_keys: settings.keys.into_iter().map(Secret::new).collect(),
            timeouts,
            max_in_flight: settings.max_in_flight,
            retry: RetryPolicy { max_attempts: 3, budget: 0.2, base_delay: MS, max_delay: SECOND },
            breaker: BreakerPolicy {
                window: 30 * SECOND,
                minimum_calls: 10,
                failure_rate: 0.5,
                consecutive_failures: 5,
                open_for: 10 * SECOND,
                open_for_max: 120 * SECOND,
                half_open_probes: 3,
            },
        };
        let shared = SharedProvider::with(Arc::new(spec), settings.roots, 64 * 1024).unwrap();
        let registry = Registry::new(Clock::system());
        let supervisor = Supervisor::worker(&registry, 0);
        let provider = ProviderHandle::start(&supervisor, shared, Clock::system());
        Self { provider, registry, timeouts, deadline: settings.deadline }
    }

    pub(super) async fn call(&self, stream: bool) -> Result<Reply, CallError> {
        let body = format!(
            "{{\"model\":\"m\",\"stream\":{stream},\"messages\":[{{\"role\":\"user\",\"content\":\"x\"}}]}}"
        );
        let request = ChatRequest::parse(Bytes::from(body), &Limits::default()).unwrap();
        let encoded = encode(ProviderKind::OpenAi, &request, "m", &EncodeOptions::default()).unwrap();
        let deadline = Clock::system().now() + self.deadline;
        let call = UpstreamCall { encoded, stream, timeouts: self.timeouts, deadline };
        tokio::time::timeout(4 * SOON, self.provider.call(call)).await.expect("a call always ends")
    }

    pub(super) async fn whole(&self) -> Result<String, CallFailure> {
        match self.call(false).await {
            Ok(Reply::Whole(completion)) => Ok(completion.texts()[0].text.clone().into_owned()),
            Err(CallError::Failed(failure)) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn stream(&self) -> Result<AnswerStream, CallFailure> {
        match self.call(true).await {
            Ok(Reply::Stream(stream)) => Ok(stream),
            Err(CallError::Failed(failure)) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn idle(&self) {
        assert!(self.provider.shared().wait_idle(SOON).await, "a permit was not given back");
    }
}

/// Reads a stream to its end as texts, with `!class` for a failure.
pub(super) async fn texts(stream: &mut AnswerStream) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(event) = stream.next().await {
        texts.push(match event {
            StreamEvent::Chunk(chunk) if chunk.is_finish() => "stop".to_owned(),
            StreamEvent::Chunk(chunk) if !chunk.is_meaningful() => "role".to_owned(),
            StreamEvent::Chunk(chunk) => chunk.texts().next().unwrap().text.into_owned(),
            StreamEvent::Done => "DONE".to_owned(),
            StreamEvent::Failed(failure) => format!("!{}", failure.class.as_str()),
        });
    }
    texts
}
