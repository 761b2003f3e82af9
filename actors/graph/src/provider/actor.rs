//! The `Provider` actor, one on each worker for each provider, and the handle that a request holds.
//!
//! The actor owns the worker's HTTP client and nothing else that could be lost: credentials, caps and settings are
//! shared. A call runs in its own local task, started by the actor; it ends when it is done, when the caller drops its
//! future or its stream, or when all calls are cut off. So the actor's handler never waits, a call that panics takes
//! nobody with it, and calls go on while a failed actor is restarted with a fresh client.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message};
use awc::Client;
use bytes::Bytes;
use parking_lot::Mutex;
use sentinel_domain::error::ErrorCode;
use sentinel_domain::outcome::FailureClass;
use sentinel_runtime::{ActorSpec, ActorStats, Clock, Handle, Permit, Supervisor};
use sentinel_wire::dialect::{check_status, decode_stream, decode_unary};
use sentinel_wire::{Completion, Headers as _};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::call::{CallError, Reply, UpstreamCall};
use super::connect::client;
use super::exchange::{HeaderView, Response, read_error, read_whole, send};
use super::failure::CallFailure;
use super::keys::Picked;
use super::pump::Pump;
use super::shared::SharedProvider;

/// The largest event of a stream that is read, in bytes.
const MAX_EVENT: usize = 1024 * 1024;

type Answer = Result<Reply, CallFailure>;

/// Asks to make a call. The answer goes through `reply`; when its other end is dropped, the call is aborted.
#[derive(Message)]
#[rtype(result = "()")]
struct Call {
    call: UpstreamCall,
    permit: Permit,
    reply: oneshot::Sender<Answer>,
}

/// Calls one provider for one worker thread.
pub struct Provider {
    shared: SharedProvider,
    client: Client,
    clock: Clock,
}

impl Actor for Provider {
    type Context = Context<Self>;
}

impl Handler<Call> for Provider {
    type Result = ();

    fn handle(&mut self, Call { call, permit, reply }: Call, _: &mut Self::Context) {
        let task =
            Task { shared: self.shared.clone(), client: self.client.clone(), clock: self.clock.clone() };
        actix_rt::spawn(task.run(call, permit, reply));
    }
}

/// Reaches the [`Provider`] of this worker.
#[derive(Debug, Clone)]
pub struct ProviderHandle {
    actor: Handle<Provider>,
    shared: SharedProvider,
}

impl ProviderHandle {
    /// Starts the actor on the present thread, below the worker's supervisor, as `provider/{name}`.
    #[must_use]
    pub fn start(supervisor: &Supervisor, shared: SharedProvider, clock: Clock) -> Self {
        let spec = ActorSpec::new(format!("provider/{}", shared.spec().name));
        let of_actor = shared.clone();
        let actor = supervisor.supervise(spec, move || {
            let spec = of_actor.spec();
            let client = client(&spec.timeouts, spec.max_in_flight, of_actor.0.tls.clone());
            Provider { shared: of_actor.clone(), client, clock: clock.clone() }
        });
        Self { actor, shared }
    }

    /// Makes a call. Dropping the returned future, or later the returned stream, aborts it and closes its connection.
    ///
    /// # Errors
    /// [`CallError`] says whether the provider was called at all.
    pub async fn call(&self, call: UpstreamCall) -> Result<Reply, CallError> {
        if *self.shared.0.cut.borrow() {
            return Err(CallError::Unavailable);
        }
        let permit = self.shared.0.in_flight.enter().ok_or(CallError::Full)?;
        let (reply, answer) = oneshot::channel();
        self.actor.tell(Call { call, permit, reply }).map_err(|_| CallError::Unavailable)?;
        match answer.await {
            Ok(answer) => answer.map_err(CallError::Failed),
            // The message was dropped with a failing actor, or the task has panicked. A call may have gone out, so it
            // is not made again.
            Err(_) => {
                let message = "the gateway failed while it called the provider";
                Err(CallError::Failed(CallFailure::local(ErrorCode::Internal, message)))
            }
        }
    }

    /// Returns what all workers share of this provider.
    #[must_use]
    pub const fn shared(&self) -> &SharedProvider {
        &self.shared
    }

    /// Returns the actor's counters.
    #[must_use]
    pub fn stats(&self) -> ActorStats {
        self.actor.stats()
    }

    /// Ends the actor of this worker. Running calls go on.
    pub async fn stop(&self, deadline: Duration) {
        let _ = self.actor.stop(deadline).await;
    }
}

/// What the task of one call needs.
struct Task {
    shared: SharedProvider,
    client: Client,
    clock: Clock,
}

impl Task {
    /// Makes the call and answers it, then goes on with the rest of a stream. The permit is held to the end.
    async fn run(self, call: UpstreamCall, permit: Permit, mut reply: oneshot::Sender<Answer>) {
        let mut cut = self.shared.0.cut.subscribe();
        let key = self.shared.0.keys.pick(self.clock.now());
        let begun = tokio::select! {
            biased;
            // The caller has gone: dropping the exchange closes the connection.
            () = reply.closed() => return,
            begun = self.begin(call, key.as_ref()) => begun,
            _ = cut.wait_for(|cut| *cut) => Err(CallFailure::stopping()),
        };
        match begun {
            Ok(Begun::Whole(answer)) => {
                // Before the reply, so that a caller that has its answer no longer counts as in flight.
                drop(permit);
                let _ = reply.send(Ok(answer));
            }
            Ok(Begun::Stream(mut pump, begin_by)) => {
                let held = tokio::select! {
                    biased;
                    () = reply.closed() => return,
                    held = pump.commit(begin_by) => held,
                };
                match held {
                    Ok(held) => {
                        let (answer, events) = pump.answer(held);
                        if reply.send(Ok(Reply::Stream(answer))).is_ok() {
                            pump.run(events).await;
                        }
                        drop(permit);
                    }
                    Err(failure) => {
                        drop(pump);
                        drop(permit);
                        let _ = reply.send(Err(self.judge_key(failure, key.as_ref())));
                    }
                }
            }
            Err(failure) => {
                drop(permit);
                let _ = reply.send(Err(self.judge_key(failure, key.as_ref())));
            }
        }
    }

    /// Sends the call and reads its answer, or only the head of one that streams.
    async fn begin(&self, call: UpstreamCall, key: Option<&Picked>) -> Result<Begun, CallFailure> {
        let begin_by = self.clock.now() + call.timeouts.first_byte;
        let mut response = send(&self.client, &self.shared.0, &call, key, &self.clock).await?;
        self.check_head(&call, &mut response).await?;
        if !call.stream || media_type(&response).eq_ignore_ascii_case("application/json") {
            let completion = self.read_completion(&call, &mut response).await?;
            if call.stream {
                // A document in place of a stream is most likely an error with the wrong status; this was none.
                let message = "the provider answered a streaming request with a whole document";
                return Err(CallFailure::new(FailureClass::Malformed, message));
            }
            return Ok(Begun::Whole(Reply::Whole(Box::new(completion))));
        }
        let kind = self.shared.spec().kind;
        let pump = Pump {
            response,
            decoder: Arc::new(Mutex::new(decode_stream(kind, call.encoded.hints, MAX_EVENT))),
            idle: call.timeouts.idle,
            deadline: call.deadline,
            clock: self.clock.clone(),
            cut: self.shared.0.cut.subscribe(),
            peeked: None,
        };
        Ok(Begun::Stream(Box::new(pump), begin_by))
    }

    async fn read_completion(
        &self,
        call: &UpstreamCall,
        response: &mut Response,
    ) -> Result<Completion, CallFailure> {
        let (limit, idle) = (self.shared.0.answer_limit, call.timeouts.idle);
        let body = read_whole(response, limit, idle, call.deadline, &self.clock).await?;
        let (kind, status) = (self.shared.spec().kind, response.status().as_u16());
        let headers = HeaderView(response.headers());
        Ok(decode_unary(kind, status, &headers, body, &call.encoded.hints, self.clock.wall())?)
    }

    /// Lets only what can be an answer pass.
    async fn check_head(&self, call: &UpstreamCall, response: &mut Response) -> Result<(), CallFailure> {
        let status = response.status().as_u16();
        let body = match status {
            400..=599 => read_error(response, call.deadline, &self.clock).await,
            _ => Bytes::new(),
        };
        check_status(status, &HeaderView(response.headers()), &body, self.clock.wall())?;
        let headers = HeaderView(response.headers());
        let encoding = headers.get("content-encoding").unwrap_or("identity").trim();
        if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
            let message = "the provider compressed its answer without being asked to";
            return Err(CallFailure::new(FailureClass::Malformed, message));
        }
        if media_type(response).eq_ignore_ascii_case("text/html") {
            let message = "the provider answered with a web page";
            return Err(CallFailure::new(FailureClass::Malformed, message));
        }
        Ok(())
    }

    /// Leaves a credential out for a while if it is what was refused, and says whether there is another.
    fn judge_key(&self, mut failure: CallFailure, key: Option<&Picked>) -> CallFailure {
        if let Some(key) = key {
            failure = failure.without(&key.secret);
        }
        let of_key =
            matches!(failure.class, FailureClass::Auth | FailureClass::RateLimited | FailureClass::Quota);
        if let Some(key) = key.filter(|_| of_key) {
            let (keys, now) = (&self.shared.0.keys, self.clock.now());
            let wait = failure.class.cooldown(failure.wait);
            tracing::warn!(
                provider = &*self.shared.spec().name,
                key = key.index,
                class = failure.class.as_str(),
                seconds = wait.as_secs(),
                "a credential is left out for a while"
            );
            keys.bench(key.index, wait, now);
            failure.other_credential = keys.any_free(now);
        }
        failure
    }
}

enum Begun {
    Whole(Reply),
    Stream(Box<Pump>, Instant),
}

fn media_type(response: &Response) -> &str {
    let text = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    text.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}
