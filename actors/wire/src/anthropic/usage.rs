//! Token counts in Anthropic's shape, and as OpenAI's clients read them.

use sentinel_domain::Usage;

use crate::json::{Value, Writer};

/// Counts beyond this are no counts.
const ABSURD: u64 = 10_000_000_000;

/// Counts as they are reported, before they are put together. In a stream later ones replace earlier ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    seen: bool,
    /// A count that is none was among them, so the others are not to be believed either.
    broken: bool,
    input: u64,
    output: u64,
    cache_read: u64,
    cache_creation: u64,
    cache_1h: u64,
    thinking: u64,
}

fn count(object: Value<'_>, name: &str) -> Option<u64> {
    object.get(name)?.as_count().filter(|count| *count < ABSURD)
}

impl Counts {
    /// Takes over what a usage object says. Counts are cumulative, so they are set and never added; a zero for input
    /// in a later event means that it was left out there.
    ///
    /// With `iterations` (compaction, advisor, fallback) the top level leaves some out, and their sum is what was used.
    pub(crate) fn update(&mut self, usage: Value<'_>) {
        let mut iterations = usage.get("iterations").into_iter().flat_map(|list| list.items()).peekable();
        if iterations.peek().is_some() {
            let mut sum = Self::default();
            for iteration in iterations {
                let mut one = Self::default();
                one.set(iteration);
                sum.add(one);
            }
            if sum.input + sum.output > 0 {
                let thinking = self.thinking;
                *self = Self { seen: true, ..sum };
                self.thinking = thinking.max(sum.thinking);
                self.set_thinking(usage);
                return;
            }
        }
        self.set(usage);
    }

    fn set(&mut self, usage: Value<'_>) {
        let replace = |field: &mut u64, name: &str| {
            if let Some(new) = count(usage, name).filter(|new| *new > 0) {
                *field = new;
            }
        };
        for name in ["input_tokens", "output_tokens"] {
            match (usage.set(name), count(usage, name)) {
                (Some(_), Some(_)) => self.seen = true,
                (Some(_), None) => self.broken = true,
                (None, _) => {}
            }
        }
        replace(&mut self.input, "input_tokens");
        replace(&mut self.cache_read, "cache_read_input_tokens");
        replace(&mut self.cache_creation, "cache_creation_input_tokens");
        replace(&mut self.output, "output_tokens");
        if let Some(creation) = usage.set("cache_creation") {
            let hour = count(creation, "ephemeral_1h_input_tokens").unwrap_or_default();
            let minutes = count(creation, "ephemeral_5m_input_tokens").unwrap_or_default();
            self.cache_1h = hour;
            self.cache_creation = self.cache_creation.max(hour + minutes);
        }
        self.set_thinking(usage);
    }

    fn set_thinking(&mut self, usage: Value<'_>) {
        if let Some(thinking) =
            usage.set("output_tokens_details").and_then(|details| count(details, "thinking_tokens"))
        {
            self.thinking = thinking;
        }
    }

    fn add(&mut self, other: Self) {
        self.seen |= other.seen;
        self.broken |= other.broken;
        self.input += other.input;
        self.output += other.output;
        self.cache_read += other.cache_read;
        self.cache_creation += other.cache_creation;
        self.cache_1h += other.cache_1h;
        self.thinking += other.thinking;
    }

    /// Returns the tokens by price, or `None` if the provider said nothing, or nothing that can be true.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let hour = self.cache_1h.min(self.cache_creation);
        (self.seen && !self.broken).then_some(Usage {
            input: self.input,
            cache_read: self.cache_read,
            cache_write_5m: self.cache_creation - hour,
            cache_write_1h: hour,
            output: self.output,
            reasoning: self.thinking.min(self.output),
        })
    }
}

/// Writes the usage object that an OpenAI client reads. `prompt_tokens` includes what was read from and written to the
/// cache; the two kinds of writing stand beside it under Anthropic's names, since OpenAI's clients have none for them.
pub(crate) fn write_usage(usage: &Usage) -> String {
    let mut out = Writer::default();
    out.open_object()
        .count_field("prompt_tokens", usage.prompt())
        .count_field("completion_tokens", usage.output)
        .count_field("total_tokens", usage.total());
    out.key("prompt_tokens_details").open_object();
    out.count_field("cached_tokens", usage.cache_read).count_field("audio_tokens", 0).close_object();
    out.key("completion_tokens_details").open_object();
    out.count_field("reasoning_tokens", usage.reasoning).count_field("audio_tokens", 0);
    out.count_field("accepted_prediction_tokens", 0)
        .count_field("rejected_prediction_tokens", 0)
        .close_object();
    if usage.cache_write() > 0 {
        out.count_field("cache_creation_input_tokens", usage.cache_write());
        out.key("cache_creation").open_object();
        out.count_field("ephemeral_5m_input_tokens", usage.cache_write_5m);
        out.count_field("ephemeral_1h_input_tokens", usage.cache_write_1h).close_object();
    }
    out.close_object();
    out.into_text()
}
