//! Faults and behaviours of the content: what is said, and the numbers beside it.

use super::{Context, Effect, FaultInfo, count, number};
use crate::mock::answer::{Answer, Body};
use crate::mock::ask::{Ask, Style, Wire};
use crate::mock::compose::{Tokens, Turn};

/// A count that overflows many a money type.
const HUGE: i64 = 9_000_000_000_000_000;
/// Blocks of a tool that the provider runs itself; a gateway must not hand them to its client as calls.
const SERVER_TOOL: [&str; 2] = [
    r#"{"type":"server_tool_use","id":"srvtoolu_01mock","name":"web_search","input":{"query":"harbour"}}"#,
    r#"{"type":"web_search_tool_result","tool_use_id":"srvtoolu_01mock","content":[{"type":"web_search_result","title":"Harbour","url":"https://example.com/","encrypted_content":"bW9jaw==","page_age":null}]}"#,
];
const REDACTED_THINKING: &str = r#"{"type":"redacted_thinking","data":"bW9jay1yZWRhY3RlZA=="}"#;
const MIB: usize = 1024 * 1024;

pub(super) const FAULTS: &[FaultInfo] = &[
    behaviour("chunks", "pieces (24)", "so many pieces of text, one a chunk", |ask, value| {
        ask.style = Style::Words(count(value, 24)?.min(1_000_000));
        Some(())
    }),
    behaviour("echo", "", "answers with the last user text", |ask, _| {
        ask.style = Style::Echo;
        Some(())
    }),
    behaviour("say", "text", "answers with this text", |ask, value| {
        ask.style = Style::Fixed(value.to_owned());
        Some(())
    }),
    behaviour(
        "unicode",
        "",
        "text of two, three and four byte characters, joined and combined ones too",
        |ask, _| {
            ask.style = Style::Unicode;
            Some(())
        },
    ),
    behaviour("big", "MiB (1)", "a text of that size", |ask, value| {
        ask.style = Style::Fixed("a".repeat(count(value, 1)?.min(256) * MIB));
        Some(())
    }),
    behaviour("refusal", "", "refuses in the provider's own way", |ask, _| {
        ask.style = Style::Refusal;
        Some(())
    }),
    behaviour("tools", "", "calls every tool of the request, whatever the prompt says", |ask, _| {
        ask.force_tools = true;
        Some(())
    }),
    behaviour("thinking", "", "thinks first (Anthropic), asked or not", |ask, _| {
        ask.thinking = true;
        Some(())
    }),
    turn(
        "usage",
        "INPUT:OUTPUT or INPUT:OUTPUT:CACHED:WRITTEN (1000:500)",
        "",
        "these token counts",
        |turn, value| {
            let value = if value.is_empty() { "1000:500" } else { value };
            let counts: Vec<i64> = value.split(':').map(|count| count.parse().ok()).collect::<Option<_>>()?;
            let at = |index: usize| counts.get(index).copied();
            turn.usage = Some(Tokens {
                input: at(0)?,
                output: at(1)?,
                cached: at(2).unwrap_or(0),
                cache_write: at(3).unwrap_or(0),
                reasoning: 0,
            });
            Some(())
        },
    ),
    turn(
        "server-tool",
        "",
        "",
        "a search of the provider's own and its result before the answer (Anthropic)",
        |turn, _| {
            turn.provider_blocks.extend(SERVER_TOOL);
            Some(())
        },
    ),
    turn(
        "redacted-thinking",
        "",
        "",
        "an encrypted thinking block before the answer (Anthropic)",
        |turn, _| {
            turn.provider_blocks.push(REDACTED_THINKING);
            Some(())
        },
    ),
    turn("usage-missing", "", "U40", "no usage at all", |turn, _| {
        turn.usage = None;
        Some(())
    }),
    turn("usage-negative", "", "U40", "negative token counts", |turn, _| {
        turn.usage = Some(Tokens { input: -5, cached: -1, cache_write: 0, output: -7, reasoning: 0 });
        Some(())
    }),
    turn("usage-huge", "", "U40", "token counts of 9e15", |turn, _| {
        turn.usage = Some(Tokens { input: HUGE, cached: HUGE, cache_write: 0, output: HUGE, reasoning: 0 });
        Some(())
    }),
    turn("split-args", "", "U42", "tool arguments one character a delta", |turn, _| {
        turn.argument_piece = 1;
        Some(())
    }),
    turn("bad-args", "", "U42", "tool arguments that are no JSON (Anthropic: in streams)", |turn, _| {
        for call in turn.choices.iter_mut().flat_map(|choice| &mut choice.calls) {
            call.arguments = r#"{"city": "Par"#.to_owned();
        }
        Some(())
    }),
    FaultInfo {
        name: "unknown-fields",
        argument: "",
        rows: "U41",
        does: "a field that no client knows in every JSON object",
        effect: Effect::Answer(|answer, _, _| {
            replace_first(answer, "{", "{\"x_mock\":{\"a\":[1,null]},");
            Some(())
        }),
    },
    FaultInfo {
        name: "null-content",
        argument: "",
        rows: "U41",
        does: "null where the text should be",
        effect: Effect::Answer(null_content),
    },
    FaultInfo {
        name: "index-gap",
        argument: "",
        rows: "U41",
        does: "the first choice (OpenAI) or block (Anthropic) has the index 3",
        effect: Effect::Answer(|answer, _, _| {
            replace_first(answer, "\"index\":0", "\"index\":3");
            replace_first(answer, "\"index\": 0", "\"index\": 3");
            Some(())
        }),
    },
    FaultInfo {
        name: "leading-space",
        argument: "lines (20)",
        rows: "U25",
        does: "blank lines before a unary JSON body, which some vendors send while they wait",
        effect: Effect::Answer(|answer, _, value| {
            let lines = usize::try_from(number(value, 20)?.min(100_000)).ok()?;
            if let Body::Whole(body) = &mut answer.body {
                body.splice(0..0, "         \n".repeat(lines).into_bytes());
            }
            Some(())
        }),
    },
];

const fn behaviour(
    name: &'static str,
    argument: &'static str,
    does: &'static str,
    effect: fn(&mut Ask, &str) -> Option<()>,
) -> FaultInfo {
    FaultInfo { name, argument, rows: "", does, effect: Effect::Ask(effect) }
}

const fn turn(
    name: &'static str,
    argument: &'static str,
    rows: &'static str,
    does: &'static str,
    effect: fn(&mut Turn, &str) -> Option<()>,
) -> FaultInfo {
    FaultInfo { name, argument, rows, does, effect: Effect::Turn(effect) }
}

/// Replaces the first occurrence in the body, or in every event of a stream.
fn replace_first(answer: &mut Answer, from: &str, to: &str) {
    let change = |bytes: &[u8]| String::from_utf8_lossy(bytes).replacen(from, to, 1).into_bytes();
    match &mut answer.body {
        Body::Whole(body) => *body = change(body),
        Body::Events(events) => {
            for event in events {
                event.bytes = change(&event.bytes).into();
            }
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "every effect says whether its argument was usable")]
fn null_content(answer: &mut Answer, context: &Context<'_>, _: &str) -> Option<()> {
    let (field, layout) = match (context.wire, &answer.body) {
        (Wire::OpenAi, Body::Whole(_)) => ("\"content\": \"", "\"content\": null,\n        \"x\": \""),
        (Wire::OpenAi, Body::Events(_)) => ("\"content\":\"", "\"content\":null,\"x\":\""),
        (Wire::Anthropic, _) => ("\"text\":\"", "\"text\":null,\"x\":\""),
    };
    replace_first(answer, field, layout);
    Some(())
}
