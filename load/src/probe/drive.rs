//! Runs a plan: warm-up, measured load, the guests that never read or leave, and the sampling of processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::Client;
use super::histogram::Histogram;
use super::message::Message;
use super::process::Samples;
use super::report::{Report, Tally};
use super::{Plan, ProbeError, Until};

/// How often processes are sampled.
const SAMPLING: Duration = Duration::from_millis(100);

/// Runs a plan to its end on a runtime of its own.
///
/// # Errors
/// [`ProbeError`] when the plan is empty or nothing answers at its address; faults of single requests are part of the
/// report instead.
pub fn run(plan: &Plan) -> Result<Report, ProbeError> {
    if plan.connections == 0 || plan.rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
        return Err(ProbeError::Empty);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run_here(plan))
}

async fn run_here(plan: &Plan) -> Result<Report, ProbeError> {
    TcpStream::connect(plan.addr).await.map_err(|_| ProbeError::Unreachable(plan.addr))?;
    let numbers = Arc::new(AtomicU64::new(0));
    if !plan.warm_up.is_zero() {
        let warm_up = Plan { until: Until::Elapsed(plan.warm_up), ..plan.clone() };
        load(&warm_up, &numbers, &Arc::default()).await;
    }
    let tally: Arc<Mutex<Tally>> = Arc::default();
    let guests = invite_guests(plan, &tally).await;
    let mut samples = Samples::start(plan.watched.clone());
    let start = Instant::now();
    let mut ticks = tokio::time::interval(SAMPLING);
    let mut work = std::pin::pin!(load(plan, &numbers, &tally));
    loop {
        tokio::select! {
            () = &mut work => break,
            _ = ticks.tick() => samples.sample(),
        }
    }
    let elapsed = start.elapsed();
    drop(guests);
    let tally = std::mem::take(&mut *tally.lock());
    let (answers, events) = tally.totals();
    let processes = samples.finish(answers, events);
    Ok(tally.report(elapsed, processes))
}

/// Starts the clients that never read and sends those that leave; the former live as long as the value returned.
async fn invite_guests(plan: &Plan, tally: &Arc<Mutex<Tally>>) -> Vec<Client> {
    let mut message = message(plan);
    let mut guests = Vec::new();
    for number in 0..plan.never_read {
        let request = message.numbered(number as u64).to_vec();
        // One that cannot connect is missing among the guests, which shows in the mock's counters.
        guests.extend(Client::new(plan.addr).never_read(&request).await.ok());
    }
    for number in 0..plan.leave {
        let request = message.numbered(number as u64).to_vec();
        if Client::new(plan.addr).leave_after_first_bytes(&request).await.is_ok() {
            tally.lock().left += 1;
        }
    }
    guests
}

fn message(plan: &Plan) -> Message {
    Message::new(&plan.addr.to_string(), &plan.path, &plan.headers, plan.body.as_deref())
}

/// One phase of load over all connections.
async fn load(plan: &Plan, numbers: &Arc<AtomicU64>, tally: &Arc<Mutex<Tally>>) {
    let start = Instant::now();
    let slots = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..plan.connections {
        let worker = Worker {
            client: Client::new(plan.addr),
            message: message(plan),
            start,
            slots: Arc::clone(&slots),
            numbers: Arc::clone(numbers),
            tally: Arc::clone(tally),
            rate: plan.rate,
            until: plan.until,
            timeout: plan.timeout,
            gaps: Histogram::default(),
        };
        workers.spawn(worker.run());
    }
    while workers.join_next().await.is_some() {}
}

struct Worker {
    client: Client,
    message: Message,
    start: Instant,
    /// The next place in the schedule, shared by all workers.
    slots: Arc<AtomicU64>,
    numbers: Arc<AtomicU64>,
    tally: Arc<Mutex<Tally>>,
    rate: Option<f64>,
    until: Until,
    timeout: Duration,
    /// Kept apart until the end, as it is too large to be made anew for each request.
    gaps: Histogram,
}

impl Worker {
    async fn run(mut self) {
        self.work().await;
        self.tally.lock().gaps.merge(&self.gaps);
    }

    async fn work(&mut self) {
        loop {
            let slot = self.slots.fetch_add(1, Ordering::Relaxed);
            let due = self.rate.map(|rate| self.start + Duration::from_secs_f64(slot as f64 / rate));
            let is_over = match self.until {
                Until::Requests(count) => slot >= count,
                Until::Elapsed(limit) => due.unwrap_or_else(Instant::now) >= self.start + limit,
            };
            if is_over {
                return;
            }
            if let Some(due) = due {
                tokio::time::sleep_until(due).await;
            }
            let late_by = due.map(|due| Instant::now().saturating_duration_since(due));
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let request = self.message.numbered(number);
            let outcome = self.client.exchange(request, self.timeout, &mut self.gaps).await;
            self.tally.lock().count(&outcome, late_by);
        }
    }
}
