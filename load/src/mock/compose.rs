//! Decides what the "model" says: deterministic, and shaped by the request as a real answer would be.

use serde_json::{Value, json};

use super::ask::{Ask, Format, Style, Tool, ToolChoice, tokens_of};
use super::board::mix;
use super::schema;

const WORDS: [&str; 24] = [
    "The", " harbour", " lights", " were", " still", " on", " when", " the", " first", " boats", " came",
    " in,", " and", " nobody", " on", " the", " pier", " spoke", " until", " every", " rope", " was",
    " made", " fast.",
];
const UNICODE: &str = "Grüße aus Łódź: 東京の夜、naïve café — Ελλάδα, Привет, שלום, नमस्ते 🚢👩‍🚀🌍, 𝄞 e\u{301}.";
const REFUSAL: &str = "I'm sorry, but I can't help with that request.";
const THOUGHT: &str = "The request is short. I should answer it directly and keep to what was asked.";
/// Token count of the thought above and of a reasoning model's hidden one.
const THOUGHT_TOKENS: i64 = 19;
const ID_ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    StopSequence,
    Length,
    ToolCalls,
    Refusal,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolCall {
    /// 24 characters; each wire puts its prefix before them.
    pub(crate) id: String,
    pub(crate) name: String,
    /// Compact JSON, `{}` for no arguments.
    pub(crate) arguments: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) thinking: Option<String>,
    pub(crate) text: String,
    pub(crate) refusal: Option<String>,
    pub(crate) calls: Vec<ToolCall>,
    pub(crate) finish: Finish,
    pub(crate) stop_sequence: Option<String>,
}

/// Token counts; signed, since a fault may make them negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// Without the cached ones.
    pub(crate) input: i64,
    pub(crate) cached: i64,
    pub(crate) cache_write: i64,
    pub(crate) output: i64,
    /// Part of `output`.
    pub(crate) reasoning: i64,
}

/// A whole answer, ready for either wire format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) id: u64,
    pub(crate) choices: Vec<Choice>,
    /// `None` leaves usage out.
    pub(crate) usage: Option<Tokens>,
    /// Characters of tool arguments a delta.
    pub(crate) argument_piece: usize,
    pub(crate) tool_choice_was_named: bool,
    /// Whole content blocks as JSON that come first: the provider's own work, which is no output (Anthropic).
    pub(crate) provider_blocks: Vec<&'static str>,
}

/// Composes the answer to a request; `id` seeds everything that looks random.
pub(crate) fn compose(ask: &Ask, id: u64) -> Turn {
    let choices: Vec<_> = (0..ask.choices).map(|index| choice(ask, mix(id ^ index as u64))).collect();
    let reasoning = if ask.thinking || is_reasoning(&ask.model) { THOUGHT_TOKENS } else { 0 };
    let output: i64 = choices.iter().map(|choice| output_tokens(choice) + reasoning).sum();
    let reasoning = reasoning * i64::try_from(choices.len()).unwrap_or(1);
    let usage = Tokens {
        input: (ask.prompt_tokens - ask.cached_tokens - ask.cache_write_tokens).max(1),
        cached: ask.cached_tokens,
        cache_write: ask.cache_write_tokens,
        output: output.max(1),
        reasoning,
    };
    let tool_choice_was_named = matches!(ask.tool_choice, ToolChoice::Named(_));
    Turn {
        id,
        choices,
        usage: Some(usage),
        argument_piece: 5,
        tool_choice_was_named,
        provider_blocks: Vec::new(),
    }
}

/// Returns `length` letters and digits that follow from `seed`.
pub(crate) fn id_text(seed: u64, length: usize) -> String {
    let mut state = seed;
    (0..length)
        .map(|index| {
            // One mix gives ten characters (62^10 < 2^64).
            if index % 10 == 0 {
                state = mix(state.wrapping_add(0x9E37_79B9_7F4A_7C15));
            }
            let position = (state % 62) as usize;
            state /= 62;
            char::from(*ID_ALPHABET.get(position).unwrap_or(&b'0'))
        })
        .collect()
}

/// Splits a text into the pieces that a model would stream: words with the space before them, long ones in parts.
pub(crate) fn pieces(text: &str) -> Vec<&str> {
    const LONGEST: usize = 12;
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut count = 0;
    let mut previous_is_space = false;
    for (index, character) in text.char_indices() {
        let is_space = character.is_whitespace();
        if index > start && ((is_space && !previous_is_space) || count >= LONGEST) {
            pieces.extend(text.get(start..index));
            start = index;
            count = 0;
        }
        count += 1;
        previous_is_space = is_space;
    }
    if start < text.len() {
        pieces.extend(text.get(start..));
    }
    pieces
}

fn choice(ask: &Ask, seed: u64) -> Choice {
    let thinking = ask.thinking.then(|| THOUGHT.to_owned());
    let mut choice = Choice {
        thinking,
        text: String::new(),
        refusal: None,
        calls: Vec::new(),
        finish: Finish::Stop,
        stop_sequence: None,
    };
    if ask.style == Style::Refusal {
        choice.refusal = Some(REFUSAL.to_owned());
        choice.finish = Finish::Refusal;
        return choice;
    }
    choice.calls = calls(ask, seed);
    if choice.calls.is_empty() {
        choice.text = text(ask);
        cut_at_stop(&mut choice, &ask.stop);
        cut_at_limit(&mut choice, ask.max_tokens);
    } else {
        choice.finish = Finish::ToolCalls;
    }
    choice
}

fn text(ask: &Ask) -> String {
    match &ask.format {
        Format::Schema(schema) => return schema::instance(schema).to_string(),
        Format::AnyJson => return json!({"answer": "sample answer", "ok": true}).to_string(),
        Format::Text => {}
    }
    if !ask.tool_results.is_empty() && !matches!(ask.style, Style::Fixed(_)) {
        return format!("The tool answered: {}", ask.tool_results.join("; "));
    }
    match &ask.style {
        Style::Words(count) => (0..*count).map(words_piece).collect(),
        Style::Echo => ask.last_user.clone(),
        Style::Unicode => UNICODE.to_owned(),
        Style::Fixed(text) => text.clone(),
        Style::Refusal => String::new(),
    }
}

fn words_piece(index: usize) -> &'static str {
    match index % WORDS.len() {
        0 if index > 0 => " The",
        position => WORDS.get(position).copied().unwrap_or(" and"),
    }
}

/// Chooses the tools to call as a model would: forced ones always; otherwise those that the prompt names, or all
/// of them when it speaks of tools in general.
fn calls(ask: &Ask, seed: u64) -> Vec<ToolCall> {
    let prompt = ask.last_user.to_lowercase();
    let mentions = |tool: &&Tool| {
        [&*tool.name, &*tool.name.replace('_', " ")].iter().any(|name| prompt.contains(&name.to_lowercase()))
    };
    let mut chosen: Vec<&Tool> = match &ask.tool_choice {
        ToolChoice::None => return Vec::new(),
        ToolChoice::Named(name) => ask.tools.iter().filter(|tool| tool.name == *name).collect(),
        ToolChoice::Auto | ToolChoice::Required if !ask.tool_results.is_empty() => Vec::new(),
        ToolChoice::Auto | ToolChoice::Required => {
            let named: Vec<_> = ask.tools.iter().filter(mentions).collect();
            let is_wanted = ask.force_tools
                || ["all tools", "every tool", "both tools"].iter().any(|say| prompt.contains(say));
            if named.is_empty() && is_wanted {
                ask.tools.iter().collect()
            } else if named.is_empty() && ask.tool_choice == ToolChoice::Required {
                ask.tools.iter().take(1).collect()
            } else {
                named
            }
        }
    };
    if !ask.parallel {
        chosen.truncate(1);
    }
    let call = |(index, tool): (usize, &Tool)| ToolCall {
        id: id_text(mix(seed.wrapping_add(index as u64 + 1)), 24),
        name: tool.name.clone(),
        arguments: arguments(&tool.schema),
    };
    chosen.into_iter().enumerate().map(call).collect()
}

fn arguments(schema: &Value) -> String {
    let arguments = schema::instance(schema);
    if arguments.is_object() { arguments.to_string() } else { "{}".to_owned() }
}

fn cut_at_stop(choice: &mut Choice, stops: &[String]) {
    let first =
        stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| Some((choice.text.find(stop)?, stop)));
    if let Some((position, stop)) = first.min_by_key(|(position, _)| *position) {
        choice.text.truncate(position);
        choice.finish = Finish::StopSequence;
        choice.stop_sequence = Some(stop.clone());
    }
}

fn cut_at_limit(choice: &mut Choice, max_tokens: Option<u64>) {
    let Some(most) = max_tokens.and_then(|most| usize::try_from(most.saturating_mul(4)).ok()) else { return };
    if let Some((position, _)) = choice.text.char_indices().nth(most) {
        choice.text.truncate(position);
        choice.finish = Finish::Length;
        choice.stop_sequence = None;
    }
}

fn output_tokens(choice: &Choice) -> i64 {
    let calls: i64 =
        choice.calls.iter().map(|call| tokens_of(&call.name) + tokens_of(&call.arguments) + 8).sum();
    tokens_of(&choice.text) + choice.refusal.as_deref().map_or(0, tokens_of) + calls
}

/// Whether OpenAI bills hidden reasoning for a model of this name.
fn is_reasoning(model: &str) -> bool {
    model.starts_with("gpt-5")
        || (model.starts_with('o') && model.as_bytes().get(1).is_some_and(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::ask::Wire;

    fn ask() -> Ask {
        Ask::new(Wire::OpenAi, "gpt-4o")
    }

    #[test]
    fn pieces_join_to_the_text_whatever_the_script() {
        for text in ["", " ", "a  b", "word", "averyveryveryverylongword \n end", UNICODE] {
            assert_eq!(pieces(text).concat(), text);
            assert!(pieces(text).iter().all(|piece| !piece.is_empty()));
        }
    }

    #[test]
    fn words_have_one_piece_a_chunk() {
        let turn = compose(&Ask { style: Style::Words(50), ..ask() }, 1);
        assert_eq!(pieces(&turn.choices[0].text).len(), 50);
    }

    #[test]
    fn limits_and_stop_sequences_cut_the_text() {
        let turn = compose(&Ask { max_tokens: Some(2), ..ask() }, 1);
        assert_eq!((turn.choices[0].text.as_str(), turn.choices[0].finish), ("The harb", Finish::Length));
        let turn = compose(&Ask { stop: vec!["spoke".into(), "were".into()], ..ask() }, 1);
        assert_eq!(turn.choices[0].text, "The harbour lights ");
        assert_eq!(turn.choices[0].stop_sequence.as_deref(), Some("were"));
    }

    #[test]
    fn tools_are_called_when_forced_or_named() {
        let tool = |name: &str| Tool { name: name.to_owned(), schema: json!({"type": "object"}) };
        let tools = vec![tool("get_time"), tool("get_weather")];
        let names = |ask: &Ask| {
            compose(ask, 1).choices[0].calls.iter().map(|call| call.name.clone()).collect::<Vec<_>>()
        };
        let base = Ask { tools, last_user: "hello".into(), ..ask() };
        assert!(names(&base).is_empty());
        let named = ToolChoice::Named("get_weather".into());
        assert_eq!(names(&Ask { tool_choice: named, ..base.clone() }), ["get_weather"]);
        assert_eq!(names(&Ask { tool_choice: ToolChoice::Required, ..base.clone() }), ["get_time"]);
        let both = Ask { last_user: "call get_time and get weather".into(), ..base.clone() };
        assert_eq!(names(&both), ["get_time", "get_weather"]);
        assert_eq!(names(&Ask { parallel: false, ..both.clone() }), ["get_time"]);
        assert!(names(&Ask { tool_results: vec!["12:00".into()], ..both }).is_empty());
    }

    #[test]
    fn ids_are_stable_and_as_long_as_asked() {
        assert_eq!(id_text(5, 29), id_text(5, 29));
        assert_eq!(id_text(5, 29).len(), 29);
        assert_ne!(id_text(5, 29), id_text(6, 29));
    }
}
