//! What the mock remembers: counters, the last request of each model, scripted calls and standing faults.
//!
//! One lock for all of it: the mock runs on one thread, and readers on other threads (tests, the counters route)
//! are rare, so the lock is never contended where it matters. Every map is bounded, as a fuzzing client may send
//! endless model names.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::request::header_in;
use crate::clock;

/// More distinct model names than this are counted under [`OTHER_MODELS`].
const MAX_MODELS: usize = 512;
/// The name that stands for all models above [`MAX_MODELS`].
const OTHER_MODELS: &str = "other";
/// Model name that stands for every model in scripts and standing faults.
pub(crate) const ANY_MODEL: &str = "*";

/// What the mock has counted since its start or its last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Inference requests read (control routes are not counted).
    pub requests: u64,
    /// Inference requests whose answer has not ended.
    pub in_flight: u64,
    /// The highest `in_flight` so far.
    pub max_in_flight: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Client connections that closed before their answer had ended.
    pub aborted: u64,
    /// Microseconds from the reading of the last aborted request to the noticing of its client's leaving.
    pub last_abort_after_us: u64,
    /// When the last leaving was noticed, in microseconds since the Unix epoch.
    pub last_abort_unix_us: u64,
    /// Bytes of answers that were written to sockets.
    pub bytes_written: u64,
    /// Requests to the canary route, which only a followed redirect reaches.
    pub canary_hits: u64,
    /// Requests by model name as it was received, fault suffix included.
    pub by_model: BTreeMap<String, u64>,
    /// Answers by HTTP status.
    pub by_status: BTreeMap<u16, u64>,
}

/// A request as the mock received it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastRequest {
    /// The head, byte for byte.
    pub head: Bytes,
    /// The body without its transfer coding.
    pub body: Bytes,
}

impl LastRequest {
    /// Returns the first value of a header, whatever the case of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header_in(&self.head, name)
    }

    /// Returns the body as JSON; `Null` when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Memory {
    counters: Counters,
    last: Option<LastRequest>,
    last_by_model: HashMap<String, LastRequest>,
    calls: HashMap<String, u64>,
    scripts: HashMap<String, VecDeque<String>>,
    faults: HashMap<String, String>,
    random: u64,
}

/// The mock's memory, shared with its handle.
#[derive(Debug, Default)]
pub(crate) struct Board {
    memory: Mutex<Memory>,
}

impl Board {
    pub(crate) fn new(seed: u64) -> Self {
        Self { memory: Mutex::new(Memory { random: seed, ..Memory::default() }) }
    }

    pub(crate) fn counters(&self) -> Counters {
        self.memory.lock().counters.clone()
    }

    pub(crate) fn last(&self, model: Option<&str>) -> Option<LastRequest> {
        let memory = self.memory.lock();
        model.map_or_else(|| memory.last.clone(), |model| memory.last_by_model.get(model).cloned())
    }

    pub(crate) fn last_models(&self) -> Vec<String> {
        self.memory.lock().last_by_model.keys().cloned().collect()
    }

    /// Forgets everything but what is still true (requests in flight) and the seed.
    pub(crate) fn reset(&self, seed: u64) {
        let mut memory = self.memory.lock();
        let in_flight = memory.counters.in_flight;
        *memory = Memory { random: seed, ..Memory::default() };
        memory.counters.in_flight = in_flight;
        memory.counters.max_in_flight = in_flight;
    }

    pub(crate) fn connection_opened(&self) {
        self.memory.lock().counters.connections += 1;
    }

    pub(crate) fn canary_hit(&self) {
        self.memory.lock().counters.canary_hits += 1;
    }

    /// Notes a request whose body is complete.
    pub(crate) fn received(&self, model: &str, head: &Bytes, body: &Bytes) {
        let mut memory = self.memory.lock();
        let is_known = memory.counters.by_model.contains_key(model);
        let has_room = memory.counters.by_model.len() < MAX_MODELS;
        let request = LastRequest { head: head.clone(), body: body.clone() };
        if is_known || has_room {
            match memory.counters.by_model.get_mut(model) {
                Some(count) => *count += 1,
                None => {
                    memory.counters.by_model.insert(model.to_owned(), 1);
                }
            }
            match memory.last_by_model.get_mut(model) {
                Some(last) => *last = request.clone(),
                None => {
                    memory.last_by_model.insert(model.to_owned(), request.clone());
                }
            }
        } else {
            *memory.counters.by_model.entry(OTHER_MODELS.to_owned()).or_default() += 1;
        }
        memory.last = Some(request);
    }

    /// Starts the count of one answer.
    pub(crate) fn answer_started(&self, status: u16) {
        let mut memory = self.memory.lock();
        let counters = &mut memory.counters;
        counters.requests += 1;
        *counters.by_status.entry(status).or_default() += 1;
        counters.in_flight += 1;
        counters.max_in_flight = counters.max_in_flight.max(counters.in_flight);
    }

    /// Ends the count of one answer; `aborted_after` is set when its client left before the end.
    pub(crate) fn answer_ended(&self, written: u64, aborted_after: Option<Duration>) {
        let mut memory = self.memory.lock();
        let counters = &mut memory.counters;
        counters.in_flight = counters.in_flight.saturating_sub(1);
        counters.bytes_written += written;
        if let Some(after) = aborted_after {
            counters.aborted += 1;
            counters.last_abort_after_us = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
            counters.last_abort_unix_us = u64::try_from(clock::unix_now().as_micros()).unwrap_or(u64::MAX);
        }
    }

    /// Counts a call of a model and returns how many there were before.
    pub(crate) fn count_call(&self, model: &str) -> u64 {
        let mut memory = self.memory.lock();
        if memory.calls.len() >= MAX_MODELS && !memory.calls.contains_key(model) {
            return 0;
        }
        let calls = memory.calls.entry(model.to_owned()).or_default();
        *calls += 1;
        *calls - 1
    }

    /// Appends one fault for each coming call of a model.
    pub(crate) fn push_script(&self, model: &str, faults: impl IntoIterator<Item = String>) {
        self.memory.lock().scripts.entry(model.to_owned()).or_default().extend(faults);
    }

    /// Sets or, with an empty fault, clears the standing fault of a model.
    pub(crate) fn set_fault(&self, model: &str, fault: &str) {
        let mut memory = self.memory.lock();
        if fault.is_empty() {
            memory.faults.remove(model);
        } else {
            memory.faults.insert(model.to_owned(), fault.to_owned());
        }
    }

    /// Returns the fault that script or standing order has for this call of a model.
    pub(crate) fn ordered_fault(&self, model: &str) -> Option<String> {
        let mut memory = self.memory.lock();
        if memory.scripts.is_empty() && memory.faults.is_empty() {
            return None;
        }
        for name in [model, ANY_MODEL] {
            if let Some(fault) = memory.scripts.get_mut(name).and_then(VecDeque::pop_front) {
                return Some(fault);
            }
        }
        [model, ANY_MODEL].iter().find_map(|name| memory.faults.get(*name).cloned())
    }

    /// Returns the next number of the seeded sequence (splitmix64, whose few lines keep runs repeatable).
    pub(crate) fn random(&self) -> u64 {
        let mut memory = self.memory.lock();
        memory.random = memory.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(memory.random)
    }
}

/// Spreads a number over all bits (the finalizer of splitmix64).
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_come_before_standing_faults_and_end() {
        let board = Board::new(1);
        board.set_fault(ANY_MODEL, "503");
        board.push_script("m", ["500".to_owned(), "ok".to_owned()]);
        let faults: Vec<_> = (0..3).map(|_| board.ordered_fault("m").unwrap()).collect();
        assert_eq!(faults, ["500", "ok", "503"]);
        board.set_fault(ANY_MODEL, "");
        assert_eq!(board.ordered_fault("m"), None);
    }

    #[test]
    fn the_seed_repeats_the_random_sequence() {
        let [first, second] = [Board::new(7), Board::new(7)];
        assert_eq!(first.random(), second.random());
        assert_ne!(first.random(), Board::new(8).random());
    }

    #[test]
    fn endless_model_names_do_not_grow_the_memory() {
        let board = Board::new(0);
        for index in 0..(MAX_MODELS + 10) {
            board.received(&format!("m{index}"), &Bytes::new(), &Bytes::new());
        }
        assert_eq!(board.counters().by_model.get(OTHER_MODELS), Some(&10));
        assert_eq!(board.last_models().len(), MAX_MODELS);
    }
}
