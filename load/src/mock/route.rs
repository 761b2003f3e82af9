//! From a request to the script of its answer: routes, authentication, faults.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Body, Step};
use super::ask::{Style, Wire};
use super::fault::{self, Context, Fault};
use super::request::Head;
use super::{Command, Listening, Shared, anthropic, compose, failure::Failure, openai};

/// Marks a model as one that does not exist, when the configuration names none.
const NO_SUCH: &str = "no-such-";
/// What `GET /v1/models` lists when the configuration names none.
const MODELS: [&str; 12] = [
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-5",
    "gpt-5-mini",
    "o3",
    "o4-mini",
    "claude-opus-4-5",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
];
/// Bytes of a request body that the counters route shows.
const SHOWN_BODY: usize = 64 * 1024;

/// An answer as steps.
#[derive(Debug, Clone)]
pub(crate) struct Routed {
    pub(crate) steps: Vec<Step>,
    pub(crate) status: u16,
    /// Whether it belongs to an inference request, which the counters count.
    pub(crate) is_counted: bool,
}

impl Routed {
    fn new(answer: Answer, is_counted: bool) -> Self {
        Self { status: answer.status, steps: answer.into_script(), is_counted }
    }

    fn control(status: u16, body: &Value) -> Self {
        let bytes = serde_json::to_vec_pretty(body).unwrap_or_default();
        Self::new(Answer::new(status, "application/json", Body::Whole(bytes)), false)
    }
}

/// Answers a whole request.
pub(crate) fn answer(shared: &Shared, head: &Head, body: &Bytes) -> Routed {
    let path = head.path.as_str();
    if let Some(control) = path.strip_prefix("/__mock/") {
        return answer_control(shared, head, control, body);
    }
    let wire = wire_of(head);
    match head.method.as_str() {
        "POST" if path.ends_with("/chat/completions") || path.ends_with("/messages") => {
            let build = || Routed::new(infer(shared, wire, head, body), true);
            if shared.config.prebuilt {
                shared.prebuilt.answer(shared, wire, head, body, build)
            } else {
                build()
            }
        }
        // No provider has it; the same load plan then fits the mock and what stands in front of it.
        "GET" if path == "/health/live" => Routed::control(200, &json!({"status": "ok"})),
        "GET" if path.ends_with("/models") || path.contains("/models/") => {
            let id = path.rsplit_once("/models/").map(|(_, id)| id);
            Routed::new(models(shared, wire, id), false)
        }
        _ => {
            let failure =
                Failure { status: 404, ..Failure::invalid(format!("Invalid URL ({} {path})", head.method)) };
            Routed::new(failure.answer(wire, "req_unrouted"), false)
        }
    }
}

/// Answers before the body is complete, if the part of it that is there names the fault `early`.
pub(crate) fn early_answer(shared: &Shared, head: &Head, partial_body: &[u8]) -> Option<Routed> {
    const MARK: &[u8] = b"!early";
    // The model stands at the front of a body, and a look at all of it after each read would cost its square.
    let partial_body = partial_body.get(..4096).unwrap_or(partial_body);
    let asks = head.header("x-mock-fault").is_some_and(|fault| fault.contains("early"))
        || partial_body.windows(MARK.len()).any(|window| window == MARK);
    asks.then(|| {
        shared.board.received("early", &head.raw, &Bytes::copy_from_slice(partial_body));
        let wire = wire_of(head);
        Routed::new(Failure::of_status(wire, 413).answer(wire, "req_early"), true)
    })
}

fn wire_of(head: &Head) -> Wire {
    // Only the list of models has the same path in both; a header tells them apart there.
    let is_anthropic = head.path.ends_with("/messages")
        || (head.path.contains("/models") && head.header("anthropic-version").is_some());
    if is_anthropic { Wire::Anthropic } else { Wire::OpenAi }
}

fn infer(shared: &Shared, wire: Wire, head: &Head, body: &Bytes) -> Answer {
    let id = shared.board.random();
    let request_id = format!("req_{id:016x}");
    try_infer(shared, wire, head, body, id).unwrap_or_else(|failure| failure.answer(wire, &request_id))
}

fn try_infer(shared: &Shared, wire: Wire, head: &Head, body: &Bytes, id: u64) -> Result<Answer, Failure> {
    let parsed: Result<Value, _> = serde_json::from_slice(body);
    let full_model =
        parsed.as_ref().ok().and_then(|body| body.get("model")).and_then(Value::as_str).unwrap_or_default();
    shared.board.received(full_model, &head.raw, body);
    authenticate(shared, wire, head)?;
    let parsed = parsed.as_ref().ok().filter(|body| body.is_object()).ok_or_else(|| {
        Failure::invalid(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP \
             library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
        )
    })?;
    if full_model.is_empty() {
        return Err(Failure::invalid(match wire {
            Wire::OpenAi => "you must provide a model parameter",
            Wire::Anthropic => "model: Field required",
        }));
    }
    let (model, suffix) = full_model.split_once('!').unwrap_or((full_model, ""));
    if !exists(shared, model) {
        return Err(Failure::no_such_model(wire, model));
    }
    let faults = faults_of(shared, model, suffix, head)?;
    let mut ask = match wire {
        Wire::OpenAi => openai::parse(parsed, model),
        Wire::Anthropic => anthropic::parse(parsed, model),
    }?;
    ask.style = if shared.config.echo { Style::Echo } else { Style::Words(shared.config.chunks) };
    let prefix = format!("cached prefix of {model}: {}", ask.cache_write_tokens);
    if ask.cache_write_tokens > 0 && shared.board.count_call(&prefix) > 0 {
        ask.cached_tokens = std::mem::take(&mut ask.cache_write_tokens);
    }
    fault::apply_to_ask(&faults, &mut ask);
    let mut turn = compose::compose(&ask, id);
    fault::apply_to_turn(&faults, &mut turn);
    let mut answer = match wire {
        Wire::OpenAi => openai::render(&ask, &turn),
        Wire::Anthropic => anthropic::render(&ask, &turn),
    };
    answer.pace.before_head = shared.config.latency;
    answer.pace.between_events = shared.config.chunk_delay;
    let credential = head.header("authorization").or_else(|| head.header("x-api-key")).unwrap_or_default();
    let context = Context { wire, board: &shared.board, model: full_model, credential, id };
    fault::apply_to_answer(&faults, &mut answer, &context);
    Ok(answer)
}

fn authenticate(shared: &Shared, wire: Wire, head: &Head) -> Result<(), Failure> {
    let bearer = head.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let key = head.header("x-api-key").or(bearer);
    match (&shared.config.api_key, key) {
        (Some(expected), Some(key)) if key != expected => Err(Failure::of_status(wire, 401)),
        (Some(_), None) => Err(Failure { code: None, ..Failure::of_status(wire, 401) }),
        _ if wire == Wire::Anthropic && head.header("anthropic-version").is_none() => {
            Err(Failure::invalid("anthropic-version: header is required"))
        }
        _ => Ok(()),
    }
}

fn exists(shared: &Shared, model: &str) -> bool {
    let models = &shared.config.models;
    if models.is_empty() { !model.starts_with(NO_SUCH) } else { models.iter().any(|name| name == model) }
}

/// Collects the faults of a call: script or standing order first, then the model's suffix, then the header.
fn faults_of(shared: &Shared, model: &str, suffix: &str, head: &Head) -> Result<Vec<Fault>, Failure> {
    let ordered = shared.board.ordered_fault(model).unwrap_or_default();
    let header = head.header("x-mock-fault").unwrap_or_default();
    if ordered.is_empty() && suffix.is_empty() && header.is_empty() {
        return Ok(Vec::new());
    }
    fault::parse(&[&*ordered, suffix, header].join("!"))
        .map_err(|unknown| Failure::invalid(format!("the mock provider knows no fault {unknown:?}")))
}

fn models(shared: &Shared, wire: Wire, id: Option<&str>) -> Answer {
    let names: Vec<&str> = if shared.config.models.is_empty() {
        MODELS.to_vec()
    } else {
        shared.config.models.iter().map(String::as_str).collect()
    };
    let describe = |name: &str| match wire {
        Wire::OpenAi => {
            json!({"id": name, "object": "model", "created": 1_715_367_049, "owned_by": "system"})
        }
        Wire::Anthropic => {
            json!({"type": "model", "id": name, "display_name": name, "created_at": "2025-09-29T00:00:00Z"})
        }
    };
    let body = match id {
        Some(id) if names.contains(&id) => describe(id),
        Some(id) => return Failure::no_such_model(wire, id).answer(wire, "req_models"),
        None => {
            let data: Vec<_> = names.iter().map(|name| describe(name)).collect();
            match wire {
                Wire::OpenAi => json!({"object": "list", "data": data}),
                Wire::Anthropic => json!({
                    "data": data, "has_more": false, "first_id": names.first(), "last_id": names.last(),
                }),
            }
        }
    };
    Answer::new(200, "application/json", Body::Whole(body.to_string().into_bytes()))
}

/// Body of the control routes that change something; each uses the fields that it needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Order {
    model: Option<String>,
    fault: String,
    script: Vec<String>,
    mode: String,
    for_ms: Option<u64>,
}

fn answer_control(shared: &Shared, head: &Head, control: &str, body: &Bytes) -> Routed {
    let order: Order = if body.is_empty() {
        Order::default()
    } else {
        match serde_json::from_slice(body) {
            Ok(order) => order,
            Err(error) => return Routed::control(400, &json!({"error": error.to_string()})),
        }
    };
    let model = order.model.as_deref().unwrap_or(super::board::ANY_MODEL);
    match (head.method.as_str(), control) {
        ("GET", "counters") => Routed::control(200, &counters(shared)),
        ("GET", "faults") => Routed::control(200, &json!(fault::faults().collect::<Vec<_>>())),
        (_, "canary") => {
            shared.board.canary_hit();
            Routed::control(200, &json!({"canary": true}))
        }
        ("POST", "reset") => {
            shared.board.reset(shared.config.seed);
            Routed::control(200, &json!({"reset": true}))
        }
        ("POST", "fault") => match fault::check(&order.fault) {
            Ok(()) => {
                shared.board.set_fault(model, &order.fault);
                Routed::control(200, &json!({"model": model, "fault": order.fault}))
            }
            Err(error) => Routed::control(400, &json!({"error": error.to_string()})),
        },
        ("POST", "script") => match order.script.iter().find_map(|call| fault::check(call).err()) {
            None => {
                shared.board.push_script(model, order.script.iter().cloned());
                Routed::control(200, &json!({"model": model, "script": order.script}))
            }
            Some(error) => Routed::control(400, &json!({"error": error.to_string()})),
        },
        ("POST", "listen") => listen(shared, &order),
        _ => Routed::control(404, &json!({"error": "no such control route"})),
    }
}

fn counters(shared: &Shared) -> Value {
    let mut report = json!(shared.board.counters());
    let last = shared.board.last_models().into_iter().filter_map(|model| {
        let request = shared.board.last(Some(&model))?;
        let shown = request.body.get(..SHOWN_BODY.min(request.body.len())).unwrap_or_default();
        let entry = json!({
            "head": String::from_utf8_lossy(&request.head), "body": String::from_utf8_lossy(shown),
        });
        Some((model, entry))
    });
    let last: serde_json::Map<String, Value> = last.collect();
    if let Some(report) = report.as_object_mut() {
        report.insert("last".to_owned(), Value::Object(last));
    }
    report
}

fn listen(shared: &Shared, order: &Order) -> Routed {
    let mode = match order.mode.as_str() {
        "open" => Listening::Open,
        "refuse" => Listening::Refuse,
        "reset" => Listening::ResetOnAccept,
        "hang" => Listening::HangOnAccept,
        _ => return Routed::control(400, &json!({"error": "mode is open, refuse, reset or hang"})),
    };
    if mode == Listening::Refuse && order.for_ms.is_none() {
        return Routed::control(
            400,
            &json!({"error": "refuse over HTTP needs for_ms, or nobody could end it"}),
        );
    }
    let commands = shared.commands.clone();
    let back_after = order.for_ms.map(Duration::from_millis);
    tokio::spawn(async move {
        // Lets the answer to this very request out before the connections are closed.
        tokio::time::sleep(Duration::from_millis(20)).await;
        commands.send_replace(Command::Listen(mode));
        if let Some(back_after) = back_after {
            tokio::time::sleep(back_after).await;
            commands.send_replace(Command::Listen(Listening::Open));
        }
    });
    Routed::control(200, &json!({"mode": order.mode, "for_ms": order.for_ms}))
}
