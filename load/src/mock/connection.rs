//! One client connection: reads requests, plays the script of each answer, notices the client's leaving.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Shared;
use super::answer::Step;
use super::request::{Head, RequestError};
use super::route::{self, Routed};

/// Bytes a client may send ahead while an answer is under way; beyond that they stay in the socket.
const MAX_AHEAD: usize = 64 * 1024;
/// First size of the receive buffer.
const INBOX: usize = 8 * 1024;

/// How an answer ended.
enum Played {
    /// Whole, and the connection may serve another request.
    Reusable,
    /// Whole, and the next request is to be met by a close.
    CloseOnNext,
    /// Whole, and the connection is done.
    Closed,
    /// The client left first.
    ClientLeft,
}

pub(crate) struct Connection {
    stream: TcpStream,
    inbox: BytesMut,
    shared: Arc<Shared>,
    closes_on_next: bool,
}

/// Keeps the in-flight count right even when the connection's task is dropped half-way.
struct InFlight<'board> {
    shared: &'board Shared,
    started: Instant,
    written: u64,
    aborted: bool,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.shared.board.answer_ended(self.written, self.aborted.then(|| self.started.elapsed()));
    }
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        Self { stream, inbox: BytesMut::with_capacity(INBOX), shared, closes_on_next: false }
    }

    /// Serves the connection until either side ends it. Socket errors end it silently, as they are the client's.
    pub(crate) async fn serve(mut self) {
        // Without it a stream's small writes would wait for acknowledgements (about 40 ms each).
        let _ = self.stream.set_nodelay(true);
        self.shared.board.connection_opened();
        while let Ok(Some((head, body))) = self.next_request().await {
            if self.closes_on_next {
                return;
            }
            let routed = route::answer(&self.shared, &head, &body);
            match self.answer(routed).await {
                Played::Reusable if head.keep_alive => {}
                Played::CloseOnNext => self.closes_on_next = true,
                _ => return,
            }
        }
    }

    async fn answer(&mut self, routed: Routed) -> Played {
        if !routed.is_counted {
            let mut written = 0;
            return play(&self.stream, &mut self.inbox, routed.steps, &mut written).await;
        }
        self.shared.board.answer_started(routed.status);
        let mut flight =
            InFlight { shared: &self.shared, started: Instant::now(), written: 0, aborted: false };
        let played = play(&self.stream, &mut self.inbox, routed.steps, &mut flight.written).await;
        flight.aborted = matches!(played, Played::ClientLeft);
        played
    }

    /// Reads the next request; `None` at the end of the connection.
    async fn next_request(&mut self) -> io::Result<Option<(Head, Bytes)>> {
        let head = loop {
            match Head::take(&mut self.inbox) {
                Ok(Some(head)) => break head,
                Ok(None) => {}
                Err(error) => return self.refuse(&error).await,
            }
            if self.receive().await? == 0 {
                return Ok(None);
            }
        };
        let mut invited = !head.expects_continue;
        loop {
            match head.take_body(&mut self.inbox) {
                Ok(Some(body)) => return Ok(Some((head, body))),
                Ok(None) => {}
                Err(error) => return self.refuse(&error).await,
            }
            if let Some(early) = route::early_answer(&self.shared, &head, &self.inbox) {
                self.discard_body(&head, early).await?;
                return Box::pin(self.next_request()).await;
            }
            if !invited {
                invited = true;
                write_all(&self.stream, b"HTTP/1.1 100 Continue\r\n\r\n", &mut 0).await?;
            }
            if self.receive().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Answers at once and reads the rest of the request afterwards, so that no reset destroys the answer.
    async fn discard_body(&mut self, head: &Head, early: Routed) -> io::Result<()> {
        if !matches!(self.answer(early).await, Played::Reusable) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        while !matches!(head.take_body(&mut self.inbox), Ok(Some(_))) {
            if self.receive().await? == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn refuse(&mut self, error: &RequestError) -> io::Result<Option<(Head, Bytes)>> {
        let head =
            format!("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{error}", {
                error.to_string().len()
            });
        write_all(&self.stream, head.as_bytes(), &mut 0).await?;
        Ok(None)
    }

    async fn receive(&mut self) -> io::Result<usize> {
        self.inbox.reserve(INBOX / 2);
        // Knows from a short read that the socket is empty, which saves the system call that would say so.
        self.stream.read_buf(&mut self.inbox).await
    }
}

/// Plays a script. Watches the client only while there is something to wait for: a whole small answer is one
/// write and costs nothing more.
async fn play(stream: &TcpStream, inbox: &mut BytesMut, steps: Vec<Step>, written: &mut u64) -> Played {
    for step in steps {
        let is_gone = match step {
            Step::Write(bytes) => watched(stream, inbox, write_all(stream, &bytes, written)).await,
            Step::Repeat(bytes, times) => {
                watched(stream, inbox, repeat(stream, &bytes, times, written)).await
            }
            Step::Wait(duration) => {
                watched(stream, inbox, async {
                    tokio::time::sleep(duration).await;
                    Ok(())
                })
                .await
            }
            Step::Hang => watched(stream, inbox, std::future::pending()).await,
            Step::Reset => {
                // Zero linger turns the close into a reset.
                let _ = stream.set_zero_linger();
                return Played::Closed;
            }
            Step::Close => return Played::Closed,
            Step::CloseOnNext => return Played::CloseOnNext,
        };
        if is_gone {
            return Played::ClientLeft;
        }
    }
    Played::Reusable
}

/// Runs `work` and reports whether the client left first (or the work failed for that reason).
async fn watched(
    stream: &TcpStream,
    inbox: &mut BytesMut,
    work: impl Future<Output = io::Result<()>>,
) -> bool {
    tokio::select! {
        biased;
        result = work => result.is_err(),
        () = left(stream, inbox) => true,
    }
}

/// Resolves when the client closes or resets. What it sends in the meantime is kept for the next request.
async fn left(stream: &TcpStream, inbox: &mut BytesMut) {
    loop {
        if inbox.len() >= MAX_AHEAD {
            std::future::pending::<()>().await;
        }
        inbox.reserve(INBOX / 2);
        match stream.try_read_buf(inbox) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if stream.readable().await.is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8], written: &mut u64) -> io::Result<()> {
    while bytes.has_remaining() {
        match stream.try_write(bytes) {
            Ok(count) => {
                bytes.advance(count);
                *written += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn repeat(stream: &TcpStream, bytes: &[u8], times: u64, written: &mut u64) -> io::Result<()> {
    // Small pieces are joined, so that a burst is a burst and not a row of system calls.
    let per_block = (64 * 1024 / bytes.len().max(1)).clamp(1, 4096) as u64;
    let block = bytes.repeat(usize::try_from(per_block.min(times)).unwrap_or(1));
    for _ in 0..times / per_block {
        write_all(stream, &block, written).await?;
        tokio::task::yield_now().await;
    }
    for _ in 0..times % per_block {
        write_all(stream, bytes, written).await?;
    }
    Ok(())
}
