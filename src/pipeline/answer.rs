//! The client's end of an answer: texts restored and guarded, cost added, in the order of the wire.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use sentinel_domain::{ApiError, ErrorCode, NanoUsd};
use sentinel_guard::pii::{StreamOptions, TextStream, Vault};
use sentinel_wire::{Chunk, Completion, TextKind, Track, TrackKind};

use super::memory::Source;
use super::receipt::Receipt;
use crate::config::guards::GuardMode;
use crate::gateway::Worker;
use crate::gateway::flow::{End, Flow};
use crate::gateway::guards::Guards;

/// Longest time that text waits for what may follow it.
const HOLD: Duration = Duration::from_millis(250);
/// Text of a stream that is kept for detection, bytes.
const MOST_SEEN: usize = 1 << 20;

/// An answer, or its beginning.
pub enum Answered {
    /// All of it.
    Whole(Whole),
    /// A stream whose first event has arrived.
    Stream(Box<Streaming>),
}

/// A whole answer.
pub struct Whole {
    /// The JSON to send.
    pub body: Bytes,
    /// What it cost.
    pub cost: Option<NanoUsd>,
}

/// How texts of the answer are treated.
pub struct AnswerGuard {
    guards: Guards,
    vault: RefCell<Vault>,
    restore: bool,
    mode: GuardMode,
}

impl AnswerGuard {
    /// Makes the guard of one answer.
    #[must_use]
    pub fn new(guards: Guards, vault: Vault, restore: bool, mode: GuardMode) -> Self {
        let restore = restore && !vault.is_empty();
        Self { guards, vault: RefCell::new(vault), restore, mode }
    }

    /// Says whether texts pass as they are.
    fn is_idle(&self) -> bool {
        self.mode == GuardMode::Off && !self.restore
    }

    /// Makes the guard of one text.
    fn text(&self, json: bool) -> TextStream {
        let redact = (self.mode == GuardMode::Redact).then(|| Arc::clone(&self.guards.pii));
        TextStream::new(StreamOptions { redact, restore: self.restore, json })
    }

    /// Treats a whole answer.
    ///
    /// # Errors
    /// `pii_blocked`, or `internal` if a text could not be replaced.
    pub fn whole(
        &self,
        worker: &Worker,
        completion: &Completion,
        receipt: &Receipt,
    ) -> Result<Completion, ApiError> {
        if self.is_idle() {
            return Ok(completion.clone());
        }
        let mut changes = Vec::new();
        let mut found = BTreeMap::new();
        for slot in completion.texts() {
            self.look(&slot.text, &mut found);
            // One piece and its end: the same code as for a stream, so both treat a text alike.
            let mut guarded = self.text(slot.kind == TextKind::ToolArguments);
            let vault = &mut *self.vault.borrow_mut();
            let mut text = guarded.push(&slot.text, vault);
            text.push_str(&guarded.flush(vault));
            if text != slot.text {
                changes.push((slot.id, text));
            }
        }
        self.note(worker, receipt, found)?;
        completion.with_texts(&changes)
    }

    fn look(&self, text: &str, found: &mut BTreeMap<String, u64>) {
        if self.mode != GuardMode::Off {
            for finding in self.guards.pii.scan(text) {
                *found.entry(finding.entity.name().to_owned()).or_insert(0) += 1;
            }
        }
    }

    fn note(&self, worker: &Worker, receipt: &Receipt, found: BTreeMap<String, u64>) -> Result<(), ApiError> {
        if found.is_empty() {
            return Ok(());
        }
        for (entity, count) in &found {
            worker.gateway.metrics.pii.with_label_values(&[entity, "response"]).inc_by(*count);
        }
        let entities = found.keys().cloned().collect::<Vec<_>>().join(", ");
        receipt.found(found, self.mode == GuardMode::Redact);
        if self.mode == GuardMode::Block {
            return Err(ApiError::new(
                ErrorCode::PiiBlocked,
                format!("the answer holds {entities}, and the gateway is set to refuse that"),
            ));
        }
        Ok(())
    }
}

/// What comes next in a stream.
pub enum Next {
    /// One chunk.
    Data(Bytes),
    /// The real end.
    Done,
    /// The rest is lost.
    Failed(ApiError),
}

/// A text of the stream under guard, with the last chunk that carried it.
struct Held {
    text: TextStream,
    /// What detection alone looks at when the text ends.
    seen: String,
    mould: Chunk,
}

/// A stream on its way to the client.
pub struct Streaming {
    source: Option<Source>,
    guard: AnswerGuard,
    worker: Worker,
    receipt: Receipt,
    held: BTreeMap<Track, Held>,
    ready: std::collections::VecDeque<Bytes>,
    /// The usage chunk waits for the bill, which comes with the end.
    usage: Option<Chunk>,
    end: Option<Arc<End>>,
    /// Whether somebody else pays for the answer.
    is_free: bool,
    /// Whether what may be let go for the silence has been let go.
    stalled: bool,
}

impl Streaming {
    /// Makes the client's end of a stream.
    #[must_use]
    pub fn new(source: Source, guard: AnswerGuard, worker: Worker, receipt: Receipt, is_free: bool) -> Self {
        Self {
            is_free,
            stalled: false,
            source: Some(source),
            guard,
            worker,
            receipt,
            held: BTreeMap::new(),
            ready: std::collections::VecDeque::new(),
            usage: None,
            end: None,
        }
    }

    /// Returns what comes next. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Next {
        loop {
            if let Some(data) = self.ready.pop_front() {
                return Next::Data(data);
            }
            let Some(source) = self.source.as_mut() else { return Next::Done };
            let event = if !self.stalled && self.held.values().any(|held| held.text.held() > 0) {
                // What is held back must not wait for the model's next word for long.
                match tokio::time::timeout(HOLD, source.next()).await {
                    Ok(event) => event,
                    Err(_silent) => {
                        self.release();
                        continue;
                    }
                }
            } else {
                source.next().await
            };
            match event {
                Ok(Some(Flow::Chunk(chunk))) => {
                    if let Err(error) = self.chunk(chunk) {
                        return Next::Failed(error);
                    }
                }
                Ok(Some(Flow::End(end))) => {
                    if self.is_free {
                        self.receipt.saved(end.bill.cost.unwrap_or_default());
                    }
                    super::memory::receipt_end(&self.receipt, &end);
                    self.end = Some(end);
                }
                Ok(Some(Flow::Head(_) | Flow::Whole(_))) => {}
                Ok(None) => {
                    self.source = None;
                    self.flush();
                    if let Err(error) = self.detect() {
                        return Next::Failed(error);
                    }
                    let cost = match &self.end {
                        _ if self.is_free => Some(NanoUsd::ZERO),
                        Some(end) => end.bill.cost,
                        None => None,
                    };
                    if let Some(usage) = self.usage.take() {
                        self.ready.push_back(usage.with_cost(cost));
                    }
                }
                Err(failure) => {
                    self.source = None;
                    return Next::Failed(failure.error.clone());
                }
            }
        }
    }

    fn chunk(&mut self, chunk: Chunk) -> Result<(), ApiError> {
        let now = self.worker.gateway.clock.now();
        if chunk.is_usage() {
            self.flush();
            self.usage = Some(chunk);
            return Ok(());
        }
        if chunk.is_meaningful() {
            self.receipt.token(now);
        }
        if self.guard.is_idle() {
            self.ready.push_back(chunk.json().clone());
            return Ok(());
        }
        self.guarded(chunk)
    }

    fn guarded(&mut self, chunk: Chunk) -> Result<(), ApiError> {
        self.stalled = false;
        let pieces: Vec<(usize, Track, String)> =
            chunk.texts().map(|piece| (piece.slot, piece.track, piece.text.into_owned())).collect();
        // Whatever is not text of an open track must not overtake what is held back.
        if chunk.is_finish() || (pieces.is_empty() && chunk.is_meaningful()) {
            self.flush();
        }
        let mut changes = Vec::new();
        for (slot, track, text) in pieces {
            // A tool call begins when the text before it has ended.
            if matches!(track.kind, TrackKind::ToolArguments(_)) {
                self.flush_others(track);
            }
            let held = self.held.entry(track).or_insert_with(|| Held {
                text: self.guard.text(matches!(track.kind, TrackKind::ToolArguments(_))),
                seen: String::new(),
                mould: chunk.clone(),
            });
            held.mould = chunk.clone();
            if self.guard.mode != GuardMode::Off && held.seen.len() < MOST_SEEN {
                held.seen.push_str(&text);
            }
            let out = held.text.push(&text, &mut self.guard.vault.borrow_mut());
            if out != text {
                changes.push((slot, out));
            }
        }
        let finish = chunk.is_finish();
        self.ready.push_back(chunk.with_texts(&changes).json().clone());
        if finish {
            self.flush();
        }
        Ok(())
    }

    /// Looks at the texts of the answer once they are complete.
    fn detect(&mut self) -> Result<(), ApiError> {
        let mut found = BTreeMap::new();
        for held in self.held.values_mut() {
            self.guard.look(&std::mem::take(&mut held.seen), &mut found);
        }
        self.guard.note(&self.worker, &self.receipt, found)
    }

    /// Lets go of what may be sent although more text could still change it. What stays held has to wait for that text.
    fn release(&mut self) {
        let tracks: Vec<Track> = self.held.keys().copied().collect();
        for track in tracks {
            let Some(held) = self.held.get_mut(&track) else { continue };
            let rest = held.text.deadline(&mut self.guard.vault.borrow_mut());
            self.send_rest(track, rest);
        }
        self.stalled = true;
    }

    /// Lets go of everything that was held back.
    fn flush(&mut self) {
        let tracks: Vec<Track> = self.held.keys().copied().collect();
        for track in tracks {
            self.flush_one(track);
        }
    }

    fn flush_others(&mut self, but: Track) {
        let tracks: Vec<Track> =
            self.held.keys().copied().filter(|track| *track != but && track.choice == but.choice).collect();
        for track in tracks {
            self.flush_one(track);
        }
    }

    fn flush_one(&mut self, track: Track) {
        let Some(held) = self.held.get_mut(&track) else { return };
        let rest = held.text.flush(&mut self.guard.vault.borrow_mut());
        self.send_rest(track, rest);
    }

    /// Sends text that was held back, as a chunk of its own.
    fn send_rest(&mut self, track: Track, rest: String) {
        let Some(held) = self.held.get(&track) else { return };
        if !rest.is_empty() {
            self.ready.push_back(held.mould.bare(track, &rest).json().clone());
        }
    }
}
