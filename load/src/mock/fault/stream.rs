//! Faults of a stream: its framing as server-sent events and its order of events.
//!
//! Every row leaves an answer that is not a stream as it is.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Context, Effect, FaultInfo, count, duration};
use crate::mock::answer::{Answer, Ending, Event};
use crate::mock::ask::Wire;
use crate::mock::failure::Failure;

const BLOCK: usize = 64 * 1024;

/// A row that changes the list of events.
macro_rules! row {
    ($name:literal, $argument:literal, $rows:literal, $does:literal, |$events:ident, $context:ident, $value:ident| $effect:expr) => {
        FaultInfo {
            name: $name,
            argument: $argument,
            rows: $rows,
            does: $does,
            effect: Effect::Answer(|answer: &mut Answer, $context: &Context<'_>, $value: &str| {
                let Some($events) = answer.events_mut() else { return Some(()) };
                $effect
            }),
        }
    };
}

pub(super) const FAULTS: &[FaultInfo] = &[
    row!("crlf", "", "U34", "line ends CRLF", |events, _context, _value| rewrite(events, |_, text| text
        .replace('\n', "\r\n"))),
    row!("cr", "", "U34", "line ends CR alone", |events, _context, _value| rewrite(events, |_, text| text
        .replace('\n', "\r"))),
    row!("mixed-eol", "", "U34", "line ends LF, CRLF and CR in turn", |events, _context, _value| {
        rewrite(events, |index, text| match index % 3 {
            0 => text,
            1 => text.replace('\n', "\r\n"),
            _ => text.replace('\n', "\r"),
        })
    }),
    row!("no-space", "", "U35", "no space after the colon of a field", |events, _context, _value| {
        rewrite(events, |_, text| {
            let lines = text.split('\n').map(|line| line.replacen(": ", ":", usize::from(is_field(line))));
            lines.collect::<Vec<_>>().join("\n")
        })
    }),
    row!("bom", "", "U35", "a byte order mark before the first event", |events, _context, _value| {
        rewrite(events, |index, text| if index == 0 { format!("\u{feff}{text}") } else { text })
    }),
    row!(
        "comments",
        "",
        "U35",
        "comment lines before every event and inside it",
        |events, _context, _value| rewrite(events, |_, text| format!(": keep-alive\n\n:\n{text}"))
    ),
    row!("ids", "", "U35", "id: and retry: fields on every event", |events, _context, _value| {
        rewrite(events, |index, text| format!("id: {index}\nretry: 3000\n{text}"))
    }),
    row!("multi-line", "", "U35", "the JSON of an event over two data lines", |events, _context, _value| {
        rewrite(events, |_, text| text.replacen("\",\"", "\",\ndata: \"", 1))
    }),
    row!(
        "no-blank",
        "",
        "U36",
        "the terminal event is missing, and the last one lacks its blank line",
        |events, _context, _value| {
            events.pop();
            let last = events.len().saturating_sub(1);
            rewrite(
                events,
                |index, text| if index == last { text.trim_end_matches('\n').to_owned() } else { text },
            )
        }
    ),
    row!(
        "no-done",
        "",
        "U36",
        "the terminal event ([DONE], message_stop) is missing",
        |events, _context, _value| {
            events.pop();
            Some(())
        }
    ),
    row!("done-twice", "", "U37", "the terminal event comes twice", |events, _context, _value| {
        events.extend(events.last().cloned());
        Some(())
    }),
    row!("after-done", "", "U37", "more output after the terminal event", |events, _context, _value| {
        let late = events.iter().find(|event| event.is_delta).cloned();
        events.extend(late);
        Some(())
    }),
    row!(
        "burst",
        "events (100000)",
        "U39",
        "one delta repeated so many times without pause",
        |events, _context, value| {
            let times = count(value, 100_000)? as u64;
            if let Some(event) = events.iter_mut().find(|event| event.is_delta) {
                event.times = times;
            }
            Some(())
        }
    ),
    row!("giant-event", "MiB (50)", "U38", "one event of that size", |events, context, value| {
        let blocks = (count(value, 50)?.min(4096) as u64) * 16;
        let (start, end) = giant(context.wire);
        insert_after_delta(events, [Event::control(start), filler(blocks), Event::control(end)]);
        Some(())
    }),
    FaultInfo {
        name: "endless-line",
        argument: "",
        rows: "U38",
        does: "an event whose line never ends",
        effect: Effect::Answer(|answer, context, _| {
            let (start, _) = giant(context.wire);
            if let Some(events) = answer.events_mut() {
                let at = Answer::index_after(events, 1);
                events.truncate(at);
                events.extend([Event::control(start), filler(u64::MAX)]);
            }
            Some(())
        }),
    },
    FaultInfo {
        name: "stream-error",
        argument: "deltas before it (3)",
        rows: "U44",
        does: "an error event of the provider after so many deltas, then the end without terminal event",
        effect: Effect::Answer(|answer, context, value| fail_after(answer, context, value, 500)),
    },
    FaultInfo {
        name: "stream-overloaded",
        argument: "deltas before it (0)",
        rows: "U19",
        does: "the same as overloaded_error; with 0 deltas it is the first event of the stream",
        effect: Effect::Answer(|answer, context, value| {
            let value = if value.is_empty() { "0" } else { value };
            fail_after(answer, context, value, 529)
        }),
    },
    row!("unknown-events", "", "U41", "events of types that no client knows", |events, context, _value| {
        let strange: &[&[u8]] = match context.wire {
            Wire::OpenAi => &[b"data: {\"object\":\"mystery.event\",\"detail\":{\"a\":1}}\n\n", b"event: mystery\ndata: {\"detail\":2}\n\n"],
            Wire::Anthropic => &[
                b"event: mystery\ndata: {\"type\":\"mystery\",\"detail\":{\"a\":1}}\n\n",
                b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"mystery_delta\",\"x\":1}}\n\n",
            ],
        };
        insert_after_delta(events, strange.iter().map(|bytes| Event::control(*bytes)));
        Some(())
    }),
    row!(
        "empty-choices",
        "",
        "U41",
        "chunks with an empty list of choices (OpenAI)",
        |events, context, _value| {
            insert_variant(events, context, |chunk| set(chunk, "choices", json!([])))
        }
    ),
    row!(
        "usage-twice",
        "",
        "U40",
        "the event with the final usage comes twice",
        |events, _context, _value| {
            const MARK: &[u8] = b"\"usage\":{";
            let position =
                events.iter().rposition(|event| event.bytes.windows(MARK.len()).any(|window| window == MARK));
            if let Some((position, event)) = position.and_then(|at| Some((at, events.get(at)?.clone()))) {
                events.insert(position, event);
            }
            Some(())
        }
    ),
    FaultInfo {
        name: "ping-only",
        argument: "interval (100ms)",
        rows: "U51",
        does: "nothing but pings (Anthropic) or comments (OpenAI) after the start",
        effect: Effect::Answer(|answer, context, value| {
            answer.pace.between_events = duration(value, Duration::from_millis(100))?;
            answer.ending = Ending::Hang;
            if let Some(events) = answer.events_mut() {
                let ping: &'static [u8] = match context.wire {
                    Wire::OpenAi => b": ping\n\n",
                    Wire::Anthropic => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
                };
                events.truncate(1);
                let ping = Event { bytes: Cow::Borrowed(ping), is_delta: false, times: 1 };
                events.extend(std::iter::repeat_n(ping, 10_000));
            }
            Some(())
        }),
    },
];

fn is_field(line: &str) -> bool {
    ["data: ", "event: ", "id: "].iter().any(|field| line.starts_with(field))
}

/// Rewrites the text of every event; the function gets its position.
#[expect(clippy::unnecessary_wraps, reason = "every effect says whether its argument was usable")]
fn rewrite(events: &mut [Event], change: impl Fn(usize, String) -> String) -> Option<()> {
    for (index, event) in events.iter_mut().enumerate() {
        // Events that another fault made invalid UTF-8 keep their bytes.
        if let Ok(text) = str::from_utf8(&event.bytes) {
            event.bytes = Cow::Owned(change(index, text.to_owned()).into_bytes());
        }
    }
    Some(())
}

/// Inserts events after the first delta, where a stream is well under way.
fn insert_after_delta(events: &mut Vec<Event>, inserted: impl IntoIterator<Item = Event>) {
    let at = Answer::index_after(events, 1);
    events.splice(at..at, inserted);
}

/// Inserts a changed copy of the first chunk after the first delta (OpenAI only).
#[expect(clippy::unnecessary_wraps, reason = "every effect says whether its argument was usable")]
fn insert_variant(events: &mut Vec<Event>, context: &Context<'_>, change: impl Fn(&mut Value)) -> Option<()> {
    let first = events.first().and_then(|event| event.bytes.strip_prefix(b"data: ")).map(<[u8]>::to_vec);
    if let (Wire::OpenAi, Some(Ok(mut chunk))) =
        (context.wire, first.map(|json| serde_json::from_slice::<Value>(&json)))
    {
        change(&mut chunk);
        insert_after_delta(events, [Event::control(format!("data: {chunk}\n\n"))]);
    }
    Some(())
}

fn set(chunk: &mut Value, field: &str, value: Value) {
    if let Some(chunk) = chunk.as_object_mut() {
        chunk.insert(field.to_owned(), value);
    }
}

/// Start and end of an event around a filling of any size.
fn giant(wire: Wire) -> (&'static [u8], &'static [u8]) {
    match wire {
        Wire::OpenAi => (
            b"data: {\"id\":\"chatcmpl-giant\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"giant\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"",
            b"\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n",
        ),
        Wire::Anthropic => (
            b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"",
            b"\"}}\n\n",
        ),
    }
}

fn filler(blocks: u64) -> Event {
    Event { bytes: Cow::Owned(vec![b'a'; BLOCK]), is_delta: false, times: blocks }
}

/// Ends a stream with the provider's error event. A whole answer becomes the error itself.
fn fail_after(answer: &mut Answer, context: &Context<'_>, deltas: &str, status: u16) -> Option<()> {
    let failure = Failure::of_status(context.wire, status);
    let deltas = count(deltas, 3)?;
    match answer.events_mut() {
        Some(events) => {
            let at = Answer::index_after(events, deltas);
            events.truncate(at);
            events.push(Event::control(failure.event(context.wire, &context.request_id())));
            answer.ending = Ending::Close;
        }
        None => *answer = failure.answer(context.wire, &context.request_id()),
    }
    Some(())
}
