//! The table of faults and behaviours, and how a model name asks for them.
//!
//! `gpt-4o!429=2` is the model `gpt-4o` with the fault `429` and the argument `2`; further faults follow after
//! further exclamation marks and apply in that order. The header `x-mock-fault`, scripts and standing faults use the
//! same words. `ok` and an empty name are no fault.

mod content;
mod status;
mod stream;
mod transport;

use std::time::Duration;

use serde::Serialize;

use super::MockError;
use super::answer::{Answer, Body};
use super::ask::{Ask, Wire};
use super::board::Board;
use super::compose::{self, Turn};

/// One row of the table of faults.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct FaultInfo {
    /// The word after the exclamation mark.
    pub name: &'static str,
    /// What may follow the equals sign and what is taken without it; empty for no argument.
    pub argument: &'static str,
    /// Rows of the fault catalogue that it injects.
    pub rows: &'static str,
    /// What it does.
    pub does: &'static str,
    #[serde(skip)]
    effect: Effect,
}

/// Where a fault takes hold. Each function returns `None` for an argument that it cannot use.
#[derive(Debug, Clone, Copy)]
enum Effect {
    /// On what is asked for, before anything is composed.
    Ask(fn(&mut Ask, &str) -> Option<()>),
    /// On what is said, before it is laid out.
    Turn(fn(&mut Turn, &str) -> Option<()>),
    /// On the laid-out answer.
    Answer(fn(&mut Answer, &Context<'_>, &str) -> Option<()>),
}

/// What faults may know about the call.
pub(crate) struct Context<'a> {
    pub(crate) wire: Wire,
    pub(crate) board: &'a Board,
    /// The model name with its suffix.
    pub(crate) model: &'a str,
    /// The value of the credential header as it was sent.
    pub(crate) credential: &'a str,
    pub(crate) id: u64,
}

impl Context<'_> {
    fn request_id(&self) -> String {
        format!("req_{:016x}", self.id)
    }
}

/// A fault with its argument.
pub(crate) struct Fault {
    info: FaultInfo,
    /// For a status number the number itself.
    argument: String,
}

/// Returns every fault of the table.
pub fn faults() -> impl Iterator<Item = FaultInfo> {
    [status::FAULTS, transport::FAULTS, stream::FAULTS, content::FAULTS].into_iter().flatten().copied()
}

/// Reads the faults of a specification; the error is the word that is not in the table.
pub(crate) fn parse(specification: &str) -> Result<Vec<Fault>, String> {
    let words = specification.split('!').map(str::trim).filter(|word| !matches!(*word, "" | "ok"));
    words
        .map(|word| {
            let (name, argument) = word.split_once('=').unwrap_or((word, ""));
            let named = faults().find(|info| info.name == name);
            if let Some(info) = named {
                return Ok(Fault { info, argument: argument.to_owned() });
            }
            let is_status = name.len() == 3 && name.bytes().all(|byte| byte.is_ascii_digit());
            let generic = faults().find(|info| info.name == status::ANY_STATUS).filter(|_| is_status);
            generic.map(|info| Fault { info, argument: name.to_owned() }).ok_or_else(|| word.to_owned())
        })
        .collect()
}

/// Checks a specification, arguments included, by trying it on an answer that nobody gets.
pub(crate) fn check(specification: &str) -> Result<(), MockError> {
    let faults = parse(specification).map_err(MockError::UnknownFault)?;
    let board = Board::new(0);
    for fault in &faults {
        let mut ask = Ask::new(Wire::OpenAi, "");
        let mut turn = compose::compose(&ask, 0);
        let mut answer = Answer::new(200, "application/json", Body::Whole(Vec::new()));
        let context = Context { wire: Wire::OpenAi, board: &board, model: "", credential: "", id: 0 };
        let applied = match fault.info.effect {
            Effect::Ask(apply) => apply(&mut ask, &fault.argument),
            Effect::Turn(apply) => apply(&mut turn, &fault.argument),
            Effect::Answer(apply) => apply(&mut answer, &context, &fault.argument),
        };
        applied.ok_or_else(|| MockError::UnknownFault(format!("{}={}", fault.info.name, fault.argument)))?;
    }
    Ok(())
}

pub(crate) fn apply_to_ask(faults: &[Fault], ask: &mut Ask) {
    for fault in faults {
        if let Effect::Ask(apply) = fault.info.effect {
            // A useless argument leaves the answer as it is; the tests check every row of the table.
            let _ = apply(ask, &fault.argument);
        }
    }
}

pub(crate) fn apply_to_turn(faults: &[Fault], turn: &mut Turn) {
    for fault in faults {
        if let Effect::Turn(apply) = fault.info.effect {
            let _ = apply(turn, &fault.argument);
        }
    }
}

pub(crate) fn apply_to_answer(faults: &[Fault], answer: &mut Answer, context: &Context<'_>) {
    for fault in faults {
        if let Effect::Answer(apply) = fault.info.effect {
            let _ = apply(answer, context, &fault.argument);
        }
    }
}

// === Arguments ===

/// Reads a number, or takes `default` when there is no argument.
fn number(argument: &str, default: u64) -> Option<u64> {
    if argument.is_empty() { Some(default) } else { argument.parse().ok() }
}

fn count(argument: &str, default: usize) -> Option<usize> {
    usize::try_from(number(argument, default as u64)?).ok()
}

/// Reads `250us`, `50ms`, `2s` or bare milliseconds, or takes `default` when there is no argument.
fn duration(argument: &str, default: Duration) -> Option<Duration> {
    if argument.is_empty() {
        return Some(default);
    }
    parse_duration(argument)
}

/// Reads a duration as `250us`, `50ms`, `2s` or bare milliseconds.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let amount: u64 = digits.parse().ok()?;
    match text.get(digits.len()..)? {
        "us" => Some(Duration::from_micros(amount)),
        "" | "ms" => Some(Duration::from_millis(amount)),
        "s" => Some(Duration::from_secs(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifications_are_read_word_by_word() {
        let names = |specification: &str| {
            parse(specification).map(|faults| {
                faults
                    .into_iter()
                    .map(|fault| format!("{}={}", fault.info.name, fault.argument))
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(names("").unwrap(), Vec::<String>::new());
        assert_eq!(names("ok!hang-after=3!split=1").unwrap(), ["hang-after=3", "split=1"]);
        assert_eq!(names("503").unwrap(), ["status=503"]);
        assert_eq!(names("429=-5").unwrap(), ["429=-5"]);
        assert_eq!(names("50x").unwrap_err(), "50x");
    }

    #[test]
    fn wrong_arguments_are_found_before_they_are_used() {
        for wrong in ["nonsense", "hang-after=x", "latency=5h", "status=99", "flaky=often"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        for info in faults() {
            let word = if info.name == status::ANY_STATUS { "503" } else { info.name };
            check(word).unwrap();
        }
    }

    #[test]
    fn names_are_unique_and_described() {
        let mut names: Vec<_> = faults().map(|info| info.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(faults().all(|info| !info.does.is_empty() && !info.name.contains(['!', '='])));
    }
}
