//! Reads one table setting by setting, noting every problem and, for the reference, every setting.
//!
//! Each call names the setting, its default and its explanation once; the effective configuration that `check` shows
//! and the reference page both come from these calls, so neither can drift from the code.

use std::collections::BTreeMap;
use std::time::Duration;

use sentinel_domain::{NanoUsd, Secret};

use super::problem::{Problem, Problems, did_you_mean};
use super::tree::{Node, Origin, Value};
use super::units::{parse_duration, parse_size, show_duration, show_size};

/// One setting as it is in force.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Path such as `server.listen`.
    pub path: String,
    /// The value as it would be written in the file; secrets masked.
    pub shown: String,
    /// The default as it would be written in the file.
    pub default: String,
    /// Where it came from.
    pub origin: Origin,
    /// What it does.
    pub doc: &'static str,
}

/// What reading leaves behind, whatever was read.
#[derive(Debug, Default)]
pub struct Notes {
    /// Everything wrong.
    pub problems: Problems,
    /// Every setting read.
    pub settings: Vec<Setting>,
}

/// A table being read. [`Section::finish`] complains about what nobody asked for.
pub struct Section<'a> {
    path: String,
    table: BTreeMap<String, Node>,
    known: Vec<&'static str>,
    notes: &'a mut Notes,
}

impl<'a> Section<'a> {
    /// Takes a table apart; anything else is a problem.
    pub fn new(path: impl Into<String>, node: Node, notes: &'a mut Notes) -> Self {
        let path = path.into();
        let table = match node.value {
            Value::Table(table) => table,
            other => {
                let message = format!("expected a table, found {}", other.kind());
                notes.problems.add(Problem::at(&path, &node.origin, message));
                BTreeMap::new()
            }
        };
        Self { path, table, known: Vec::new(), notes }
    }

    /// Returns the full path of a setting.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Takes a value out, whatever it is.
    pub fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        self.table.remove(key)
    }

    /// Notes a problem with a setting.
    pub fn problem(&mut self, key: &str, origin: &Origin, message: impl Into<String>) {
        let problem = Problem::at(&self.path_of(key), origin, message);
        self.notes.problems.add(problem);
    }

    /// Lends the notes, for sections below this one.
    pub fn notes(&mut self) -> &mut Notes {
        self.notes
    }

    fn note(&mut self, key: &str, shown: String, default: String, origin: Origin, doc: &'static str) {
        let path = self.path_of(key);
        self.notes.settings.push(Setting { path, shown, default, origin, doc });
    }

    /// Reads a value with `read`; a problem leaves the default in force.
    fn value<T>(
        &mut self,
        key: &'static str,
        default: T,
        doc: &'static str,
        show: impl Fn(&T) -> String,
        read: impl FnOnce(&Value, &Origin) -> Result<T, String>,
    ) -> T {
        let shown_default = show(&default);
        let (value, origin) = match self.take(key) {
            None => (default, Origin::Default),
            Some(node) => match read(&node.value, &node.origin) {
                Ok(value) => (value, node.origin),
                Err(message) => {
                    self.problem(key, &node.origin, message);
                    (default, node.origin)
                }
            },
        };
        self.note(key, show(&value), shown_default, origin, doc);
        value
    }

    /// Reads a text.
    pub fn text(&mut self, key: &'static str, default: &str, doc: &'static str) -> String {
        self.value(key, default.to_owned(), doc, |text| quote(text), |value, _| as_text(value))
    }

    /// Reads a text that must be one of a few.
    pub fn choice<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        doc: &'static str,
    ) -> T {
        let default = choices[0].1;
        let show = |chosen: &T| {
            quote(choices.iter().find(|(_, choice)| choice == chosen).map_or("", |(name, _)| *name))
        };
        self.value(key, default, doc, show, |value, _| {
            let text = as_text(value)?;
            choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice).ok_or_else(|| {
                let names: Vec<_> = choices.iter().map(|(name, _)| quote(name)).collect();
                let hint = did_you_mean(&text, choices.iter().map(|(name, _)| *name));
                format!("{text:?} is not one of {}{hint}", names.join(", "))
            })
        })
    }

    /// Reads true or false.
    pub fn flag(&mut self, key: &'static str, default: bool, doc: &'static str) -> bool {
        self.value(key, default, doc, bool::to_string, |value, origin| match (value, origin) {
            (Value::Bool(flag), _) => Ok(*flag),
            (Value::Text(text), Origin::Env { .. } | Origin::Flag) => {
                text.parse().map_err(|_| format!("{text:?} is neither true nor false"))
            }
            (other, _) => Err(format!("expected true or false, found {}", other.kind())),
        })
    }

    /// Reads a whole number within a range.
    pub fn whole(
        &mut self,
        key: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
        doc: &'static str,
    ) -> u64 {
        self.value(key, default, doc, u64::to_string, |value, origin| {
            let number = match (value, origin) {
                (Value::Integer(number), _) => u64::try_from(*number).ok(),
                (Value::Text(text), Origin::Env { .. } | Origin::Flag) => text.trim().parse().ok(),
                (other, _) => return Err(format!("expected a whole number, found {}", other.kind())),
            };
            number
                .filter(|number| range.contains(number))
                .ok_or_else(|| format!("expected a whole number from {} to {}", range.start(), range.end()))
        })
    }

    /// Reads a decimal number within a range.
    pub fn decimal(
        &mut self,
        key: &'static str,
        default: f64,
        range: std::ops::RangeInclusive<f64>,
        doc: &'static str,
    ) -> f64 {
        self.value(key, default, doc, f64::to_string, |value, origin| {
            #[expect(clippy::cast_precision_loss, reason = "settings are small numbers")]
            let number = match (value, origin) {
                (Value::Float(number), _) => Some(*number),
                (Value::Integer(number), _) => Some(*number as f64),
                (Value::Text(text), Origin::Env { .. } | Origin::Flag) => text.trim().parse().ok(),
                (other, _) => return Err(format!("expected a number, found {}", other.kind())),
            };
            number
                .filter(|number| range.contains(number))
                .ok_or_else(|| format!("expected a number from {} to {}", range.start(), range.end()))
        })
    }

    /// Reads a duration within a range.
    pub fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: std::ops::RangeInclusive<Duration>,
        doc: &'static str,
    ) -> Duration {
        self.value(
            key,
            default,
            doc,
            |duration| quote(&show_duration(*duration)),
            |value, _| {
                let duration = parse_duration(&as_text(value)?)?;
                if range.contains(&duration) {
                    return Ok(duration);
                }
                let (least, most) = (show_duration(*range.start()), show_duration(*range.end()));
                Err(format!("expected a duration from {least} to {most}"))
            },
        )
    }

    /// Reads an optional duration.
    pub fn duration_or_none(&mut self, key: &'static str) -> Option<Duration> {
        let node = self.take(key)?;
        match as_text(&node.value).and_then(|text| parse_duration(&text)) {
            Ok(duration) => Some(duration),
            Err(message) => {
                self.problem(key, &node.origin, message);
                None
            }
        }
    }

    /// Reads a size in bytes within a range.
    pub fn size(
        &mut self,
        key: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
        doc: &'static str,
    ) -> u64 {
        self.value(
            key,
            default,
            doc,
            |bytes| quote(&show_size(*bytes)),
            |value, _| {
                let bytes = match value {
                    Value::Integer(number) => {
                        u64::try_from(*number).map_err(|_| "a size is not negative".to_owned())?
                    }
                    other => parse_size(&as_text(other)?)?,
                };
                if range.contains(&bytes) {
                    return Ok(bytes);
                }
                Err(format!(
                    "expected a size from {} to {}",
                    show_size(*range.start()),
                    show_size(*range.end())
                ))
            },
        )
    }

    /// Reads an optional amount of dollars.
    pub fn money(&mut self, key: &'static str, doc: &'static str) -> Option<NanoUsd> {
        let show = |amount: &Option<NanoUsd>| amount.map_or("none".to_owned(), |amount| amount.to_string());
        self.value(key, None, doc, show, |value, _| {
            let amount = match value {
                Value::Integer(number) => number.to_string().parse::<NanoUsd>(),
                Value::Float(number) => format!("{number}").parse(),
                other => as_text(other)?.parse(),
            };
            let amount = amount.map_err(|error| error.to_string())?;
            if amount < NanoUsd::ZERO {
                Err("expected an amount that is not negative".to_owned())
            } else {
                Ok(Some(amount))
            }
        })
    }

    /// Reads a list of texts; from the environment, separated by commas.
    pub fn texts(&mut self, key: &'static str, default: &[&str], doc: &'static str) -> Vec<String> {
        let default = default.iter().map(|text| (*text).to_owned()).collect();
        let show = |texts: &Vec<String>| {
            format!("[{}]", texts.iter().map(|text| quote(text)).collect::<Vec<_>>().join(", "))
        };
        self.value(key, default, doc, show, as_texts)
    }

    /// Reads a secret. An empty text is no secret.
    pub fn secret(&mut self, key: &'static str, doc: &'static str) -> Option<Secret> {
        let node = self.take(key);
        let origin = node.as_ref().map_or(Origin::Default, |node| node.origin.clone());
        let shown = node.as_ref().map_or_else(|| quote(""), mask);
        let secret = node.and_then(|node| match as_text(&node.value) {
            Ok(text) => (!text.is_empty()).then(|| Secret::new(text)),
            Err(message) => {
                self.problem(key, &node.origin, message);
                None
            }
        });
        self.note(key, shown, quote(""), origin, doc);
        secret
    }

    /// Reads a list of secrets. Empty ones are dropped.
    pub fn secrets(&mut self, key: &'static str, doc: &'static str) -> Vec<Secret> {
        let Some(node) = self.take(key) else {
            self.note(key, "[]".to_owned(), "[]".to_owned(), Origin::Default, doc);
            return Vec::new();
        };
        let shown = match &node.value {
            Value::List(items) => format!("[{}]", items.iter().map(mask).collect::<Vec<_>>().join(", ")),
            _ => mask(&node),
        };
        self.note(key, shown, "[]".to_owned(), node.origin.clone(), doc);
        match as_texts(&node.value, &node.origin) {
            Ok(texts) => texts.into_iter().filter(|text| !text.is_empty()).map(Secret::new).collect(),
            Err(message) => {
                self.problem(key, &node.origin, message);
                Vec::new()
            }
        }
    }

    /// Takes a list of tables, each with its path.
    pub fn tables(&mut self, key: &'static str) -> Vec<(String, Node)> {
        let path = self.path_of(key);
        match self.take(key) {
            None => Vec::new(),
            Some(Node { value: Value::List(items), .. }) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| (format!("{path}[{index}]"), item))
                .collect(),
            // From the environment alone, `PROVIDERS__0__NAME` builds a table whose keys are the indices.
            Some(Node { value: Value::Table(table), .. })
                if table.keys().all(|key| key.parse::<u16>().is_ok()) =>
            {
                table
                    .into_values()
                    .enumerate()
                    .map(|(index, item)| (format!("{path}[{index}]"), item))
                    .collect()
            }
            Some(node) => {
                let message =
                    format!("expected a list of tables, written [[{key}]], found {}", node.value.kind());
                self.problem(key, &node.origin, message);
                Vec::new()
            }
        }
    }

    /// Takes a table below this one; an empty one if nobody wrote it.
    pub fn table(&mut self, key: &'static str) -> (String, Node) {
        (self.path_of(key), self.take(key).unwrap_or_else(Node::empty))
    }

    /// Complains about every key that nobody asked for.
    pub fn finish(self) {
        for (key, node) in &self.table {
            let hint = did_you_mean(key, self.known.iter().copied());
            let path = self.path_of(key);
            let message = format!("unknown setting {key:?}{hint}");
            self.notes.problems.add(Problem::at(&path, &node.origin, message));
        }
    }
}

/// Writes a text as the file would.
#[must_use]
pub fn quote(text: &str) -> String {
    format!("{text:?}")
}

fn mask(node: &Node) -> String {
    match (&node.value, node.variables.as_slice()) {
        (Value::Text(text), _) if text.is_empty() => quote(""),
        (_, []) => quote("***"),
        (_, variables) => quote(&variables.iter().map(|name| format!("${{{name}}}")).collect::<String>()),
    }
}

fn as_text(value: &Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        other => Err(format!("expected a text, found {}", other.kind())),
    }
}

fn as_texts(value: &Value, origin: &Origin) -> Result<Vec<String>, String> {
    match (value, origin) {
        (Value::List(items), _) => items
            .iter()
            .map(|item| {
                as_text(&item.value)
                    .map_err(|_| format!("expected texts in the list, found {}", item.value.kind()))
            })
            .collect(),
        (Value::Text(text), Origin::Env { .. } | Origin::Flag) => {
            Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
        }
        (other, _) => Err(format!("expected a list of texts, found {}", other.kind())),
    }
}
