//! What a bounded, supervised ask costs over a plain actix send on the same thread, and what a refusal costs.
//!
//! Run with `cargo bench -p sentinel-runtime` on Linux. Callers are tasks of the actor's thread, as connections are. Figures are
//! processor time of the thread per message, which a busy machine disturbs less than the wall clock; compare within a group.

use std::hint::black_box;
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, Message, System, SystemRunner};
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::future::join_all;
use sentinel_runtime::{ActorSpec, Clock, Handle, Registry, Supervisor};

struct Adder {
    sum: u64,
}

impl Actor for Adder {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.set_mailbox_capacity(4_096);
    }
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Add(u64);

impl Handler<Add> for Adder {
    type Result = u64;

    fn handle(&mut self, message: Add, _: &mut Context<Self>) -> u64 {
        self.sum = self.sum.wrapping_add(message.0);
        self.sum
    }
}

/// The two ways to ask.
#[derive(Clone)]
enum Door {
    Plain(Addr<Adder>),
    Bounded(Handle<Adder>),
}

impl Door {
    async fn ask(&self, times: u64) {
        for round in 0..times {
            match self {
                Self::Plain(address) => drop(black_box(address.send(Add(round)).await)),
                Self::Bounded(handle) => drop(black_box(handle.ask(Add(round)).await)),
            }
        }
    }
}

fn supervised(system: &SystemRunner, cap: usize) -> Handle<Adder> {
    let supervisor = Supervisor::worker(&Registry::new(Clock::system()), 0);
    system.block_on(async { supervisor.supervise(ActorSpec::new("adder").cap(cap), || Adder { sum: 0 }) })
}

/// Lets `callers` tasks ask `rounds` times between them.
fn together(system: &SystemRunner, door: &Door, callers: u64, rounds: u64) -> Duration {
    let each = rounds.div_ceil(callers);
    let spent = system.block_on(async {
        let begun = cpu_time();
        let tasks = (0..callers).map(|_| {
            let door = door.clone();
            actix_rt::spawn(async move { door.ask(each).await })
        });
        join_all(tasks).await;
        cpu_time().saturating_sub(begun)
    });
    spent.mul_f64(rounds as f64 / (each * callers) as f64)
}

fn ask(c: &mut Criterion) {
    let system = System::new();
    let plain = Door::Plain(system.block_on(async { Adder { sum: 0 }.start() }));
    let handle = supervised(&system, 4_096);
    let bounded = Door::Bounded(handle.clone());
    for callers in [1, 64] {
        let mut group = c.benchmark_group(format!("{callers} callers"));
        group.bench_function("plain actix send", |b| {
            b.iter_custom(|rounds| together(&system, &plain, callers, rounds))
        });
        group.bench_function("handle ask", |b| {
            b.iter_custom(|rounds| together(&system, &bounded, callers, rounds))
        });
        group.finish();
    }
    c.bench_function("tell, in bursts of 64", |b| {
        b.iter_custom(|rounds| {
            system.block_on(async {
                let begun = cpu_time();
                for round in 0..rounds {
                    black_box(handle.tell(Add(round))).ok();
                    if round % 64 == 63 {
                        tokio::task::yield_now().await;
                    }
                }
                cpu_time().saturating_sub(begun)
            })
        });
    });
}

fn refuse(c: &mut Criterion) {
    let system = System::new();
    let full = supervised(&system, 1);
    c.bench_function("refusal by a full actor", |b| {
        b.iter_custom(|rounds| {
            system.block_on(async {
                // Nothing here yields, so the one message queued first is never handled meanwhile.
                full.tell(Add(0)).ok();
                let begun = cpu_time();
                for round in 0..rounds {
                    black_box(full.ask(Add(round)).await).ok();
                }
                cpu_time().saturating_sub(begun)
            })
        });
    });
}

/// Time this thread has spent on a processor; zero where the kernel does not tell.
fn cpu_time() -> Duration {
    // The kernel brings the figure up to date when the thread leaves the processor, else only at its tick.
    std::thread::park_timeout(Duration::from_micros(1));
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0))
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
    targets = ask, refuse
}
criterion_main!(benches);
