//! One group: a log of events, its one publisher and its listeners.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::Shared;
use crate::cache::CacheKey;

/// What a listener gets next.
pub enum Event<E, F> {
    /// One event of the answer.
    Item(E),
    /// The answer is complete.
    End,
    /// The fetch failed, for everybody.
    Failed(F),
    /// The fetch broke off after events had been sent, so nobody can start over.
    Broken,
    /// This listener was too far behind and has been cut off.
    Lagged,
    /// The fetch ended before anything was sent, and this listener has to fetch now, and goes on listening.
    Promoted(Publisher<E, F>),
}

#[derive(Clone)]
enum Phase<F> {
    /// Somebody fetches.
    Running,
    /// Nobody fetches; the next listener that looks has to.
    Vacant,
    Ended,
    Failed(F),
    Broken,
}

struct Log<E, F> {
    /// Events not yet read by everybody, or all of them while late joiners are welcome.
    events: VecDeque<(E, usize)>,
    /// Number of the first event in `events`.
    first: u64,
    bytes: usize,
    /// Late joiners can be given everything from the start.
    is_whole: bool,
    phase: Phase<F>,
    /// Next event of each listener. A listener that was cut off is not in it.
    cursors: HashMap<u64, u64, ahash::RandomState>,
    next_listener: u64,
}

pub(super) struct Group<E, F> {
    key: CacheKey,
    shared: Arc<Shared<E, F>>,
    log: Mutex<Log<E, F>>,
    /// Counts changes, to wake whoever waits for one.
    changed: watch::Sender<u64>,
    /// Whether the publisher waits for listeners to catch up, and how it is told.
    is_full: AtomicBool,
    drained: Notify,
}

type Start<E, F> = (Arc<Group<E, F>>, Publisher<E, F>, Listener<E, F>);

/// Starts a group with its publisher and first listener. The caller holds the list's lock and lists it.
pub(super) fn start<E: Clone, F: Clone>(key: CacheKey, shared: &Arc<Shared<E, F>>) -> Start<E, F> {
    let group = Arc::new(Group {
        key,
        shared: Arc::clone(shared),
        log: Mutex::new(Log {
            events: VecDeque::new(),
            first: 0,
            bytes: 0,
            is_whole: true,
            phase: Phase::Running,
            cursors: HashMap::from_iter([(0, 0)]),
            next_listener: 1,
        }),
        changed: watch::Sender::new(0),
        is_full: AtomicBool::new(false),
        drained: Notify::new(),
    });
    let publisher = Publisher { group: Arc::clone(&group), done: false };
    let listener = Listener { group: Arc::clone(&group), changed: group.changed.subscribe(), id: 0 };
    (group, publisher, listener)
}

/// Adds a listener from the start of the answer, unless it is too late for that.
pub(super) fn join<E, F>(group: &Arc<Group<E, F>>) -> Option<Listener<E, F>> {
    let mut log = group.log.lock();
    let is_open =
        log.is_whole && matches!(log.phase, Phase::Running | Phase::Vacant) && !log.cursors.is_empty();
    if !is_open {
        return None;
    }
    let id = log.next_listener;
    log.next_listener += 1;
    log.cursors.insert(id, 0);
    Some(Listener { group: Arc::clone(group), changed: group.changed.subscribe(), id })
}

impl<E, F> Group<E, F> {
    fn wake(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Forgets what everybody has read, once the log is no longer kept whole.
    fn trim(&self, log: &mut Log<E, F>) {
        if log.is_whole {
            return;
        }
        let read_by_all = log.cursors.values().copied().min().unwrap_or(u64::MAX);
        while log.first < read_by_all
            && let Some((_, size)) = log.events.pop_front()
        {
            log.first += 1;
            log.bytes -= size.min(log.bytes);
            self.shared.bytes.fetch_sub(size, Ordering::Relaxed);
        }
    }

    /// Returns how many bytes the slowest listener has not read yet; 0 when nobody listens.
    fn behind(&self) -> usize {
        let log = self.log.lock();
        let Some(slowest) = log.cursors.values().copied().min() else { return 0 };
        if !log.is_whole {
            return log.bytes;
        }
        let read = usize::try_from(slowest.saturating_sub(log.first)).unwrap_or(usize::MAX);
        log.events.iter().skip(read).map(|(_, size)| size).sum()
    }

    fn tell_drained(&self) {
        if self.is_full.load(Ordering::Relaxed) {
            self.drained.notify_one();
        }
    }

    /// Keeps the logs within their bounds after an event was added. Returns whether the group must leave the list.
    fn bound(&self, log: &mut Log<E, F>) -> bool {
        let limits = &self.shared.limits;
        let is_over =
            log.bytes > limits.group_bytes || self.shared.bytes.load(Ordering::Relaxed) > limits.total_bytes;
        if !is_over {
            return false;
        }
        let retire = std::mem::replace(&mut log.is_whole, false);
        self.trim(log);
        while log.bytes > limits.group_bytes {
            let Some(slowest) = log.cursors.values().copied().min() else { break };
            log.cursors.retain(|_, cursor| *cursor > slowest);
            self.trim(log);
        }
        retire
    }
}

impl<E, F> Drop for Group<E, F> {
    fn drop(&mut self) {
        let bytes: usize = self.log.get_mut().events.iter().map(|(_, size)| size).sum();
        self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The fetching side of a group. Dropped without [`Publisher::end`] or [`Publisher::fail`], it promotes a listener.
pub struct Publisher<E, F> {
    group: Arc<Group<E, F>>,
    done: bool,
}

impl<E, F> Publisher<E, F> {
    /// Adds an event of `size` bytes for every listener. Says whether anybody still listens.
    pub fn publish(&self, event: E, size: usize) -> bool {
        let (is_heard, retire) = {
            let mut log = self.group.log.lock();
            if log.cursors.is_empty() {
                return false;
            }
            log.events.push_back((event, size));
            log.bytes += size;
            self.group.shared.bytes.fetch_add(size, Ordering::Relaxed);
            let retire = self.group.bound(&mut log);
            (!log.cursors.is_empty(), retire)
        };
        if retire {
            self.group.shared.retire(&self.group.key, &self.group);
        }
        self.group.wake();
        is_heard
    }

    /// Ends the answer: it is complete.
    pub fn end(self) {
        self.finish(Phase::Ended);
    }

    /// Ends the answer with a failure that holds for every listener.
    pub fn fail(self, failure: F) {
        self.finish(Phase::Failed(failure));
    }

    /// Waits until nobody listens any more, so that the fetch can be given up.
    pub async fn abandoned(&self) {
        let mut changed = self.group.changed.subscribe();
        while !self.group.log.lock().cursors.is_empty() {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until the slowest listener is at most `bytes` behind, so that a client that reads slowly slows the
    /// provider down instead of filling memory.
    pub async fn room(&self, bytes: usize) {
        // The log as a whole is an upper bound that costs nothing to look at.
        if self.group.log.lock().bytes <= bytes {
            return;
        }
        self.group.is_full.store(true, Ordering::Relaxed);
        while self.group.behind() > bytes {
            self.group.drained.notified().await;
        }
        self.group.is_full.store(false, Ordering::Relaxed);
    }

    /// Cuts off the listener that is furthest behind, when it has not moved for too long.
    pub fn drop_slowest(&self) {
        {
            let mut log = self.group.log.lock();
            if let Some(slowest) = log.cursors.values().copied().min() {
                log.cursors.retain(|_, cursor| *cursor > slowest);
                self.group.trim(&mut log);
            }
        }
        self.group.wake();
    }

    /// Returns how many listen.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.group.log.lock().cursors.len()
    }

    fn finish(mut self, phase: Phase<F>) {
        self.done = true;
        self.group.log.lock().phase = phase;
        // Nobody may join an answer that is over: the cache has it, or it has failed.
        self.group.shared.retire(&self.group.key, &self.group);
        self.group.wake();
    }
}

impl<E, F> Drop for Publisher<E, F> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let is_broken = {
            let mut log = self.group.log.lock();
            let is_fresh = log.first == 0 && log.events.is_empty();
            log.phase = if is_fresh { Phase::Vacant } else { Phase::Broken };
            !is_fresh
        };
        if is_broken {
            self.group.shared.retire(&self.group.key, &self.group);
        }
        self.group.wake();
    }
}

/// The listening side of a group. Dropping it leaves the group.
pub struct Listener<E, F> {
    group: Arc<Group<E, F>>,
    changed: watch::Receiver<u64>,
    id: u64,
}

impl<E: Clone, F: Clone> Listener<E, F> {
    /// Returns what comes next, waiting for it if need be. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Event<E, F> {
        loop {
            self.changed.mark_unchanged();
            if let Some(event) = self.poll() {
                return event;
            }
            if self.changed.changed().await.is_err() {
                // The group is held by this listener, so its sender cannot be gone.
                return Event::Broken;
            }
        }
    }

    fn poll(&self) -> Option<Event<E, F>> {
        let mut log = self.group.log.lock();
        let Some(cursor) = log.cursors.get(&self.id).copied() else { return Some(Event::Lagged) };
        let index = usize::try_from(cursor.saturating_sub(log.first)).unwrap_or(usize::MAX);
        if let Some((event, _)) = log.events.get(index) {
            let event = event.clone();
            log.cursors.insert(self.id, cursor + 1);
            self.group.trim(&mut log);
            drop(log);
            self.group.tell_drained();
            return Some(Event::Item(event));
        }
        match &log.phase {
            Phase::Running => None,
            Phase::Ended => Some(Event::End),
            Phase::Failed(failure) => Some(Event::Failed(failure.clone())),
            Phase::Broken => Some(Event::Broken),
            Phase::Vacant => {
                log.phase = Phase::Running;
                Some(Event::Promoted(Publisher { group: Arc::clone(&self.group), done: false }))
            }
        }
    }
}

impl<E, F> Drop for Listener<E, F> {
    fn drop(&mut self) {
        let is_last = {
            let mut log = self.group.log.lock();
            let was_in = log.cursors.remove(&self.id).is_some();
            self.group.trim(&mut log);
            was_in && log.cursors.is_empty()
        };
        self.group.tell_drained();
        if is_last {
            // Whoever asks now starts anew; the fetch is being given up.
            self.group.shared.retire(&self.group.key, &self.group);
        }
        self.group.wake();
    }
}
