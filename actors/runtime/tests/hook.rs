//! The panic hook, in a process of its own because a hook is process-wide.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message};
use parking_lot::Mutex;
use sentinel_runtime::{ActorSpec, Clock, Registry, Supervisor};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// Collects every event as one line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().push(line.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Slicer;

impl Actor for Slicer {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "io::Result<()>")]
struct Slice(String);

impl Handler<Slice> for Slicer {
    type Result = io::Result<()>;

    fn handle(&mut self, message: Slice, _: &mut Context<Self>) -> io::Result<()> {
        Err(io::Error::other(message.0[..1].to_owned()))
    }
}

#[actix::test]
async fn panic_is_one_line_with_its_place_and_without_the_callers_words() {
    let lines = Lines::default();
    tracing::subscriber::set_global_default(lines.clone()).expect("the first subscriber");
    sentinel_runtime::panics::install();
    let registry = Registry::new(Clock::system());
    let spec = ActorSpec::new("slicer").deadline(Duration::from_secs(5));
    let handle = Supervisor::root(&registry).supervise(spec, || Slicer);
    assert!(handle.ask(Slice("é, my secret".to_owned())).await.is_err());
    handle.settled().await;
    // From here on the test's own failures are to be seen.
    drop(std::panic::take_hook());
    let failure = registry.get("slicer").and_then(|row| row.last_failure).expect("a failure");
    let place = failure.location.expect("the hook saw the place");
    assert!(place.contains("hook.rs:"), "{place}");
    let lines = lines.0.lock();
    assert_eq!(lines.iter().filter(|line| line.contains("thread=")).count(), 1, "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("secret") && !line.contains('\n')), "{lines:?}");
    assert!(!failure.message.contains("secret"), "{}", failure.message);
}
