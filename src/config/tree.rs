//! The configuration as a tree whose every value knows where it came from.
//!
//! The file is laid down first, the environment's overrides on top, then `${NAME}` is filled in. Nothing here knows
//! what the settings mean.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Problems};

/// The most that a configuration file may hold, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the file.
    File {
        /// Line, from 1.
        line: usize,
    },
    /// An environment variable.
    Env {
        /// Its name.
        name: String,
    },
    /// A command-line flag.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { line } => write!(f, "line {line}"),
            Self::Env { name } => write!(f, "${name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// One value with its origin.
#[derive(Debug, Clone)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
    /// The environment variables that were filled in, so that a secret can be shown by its variable's name.
    pub variables: Vec<String>,
}

/// A value as the file's format knows it.
#[derive(Debug, Clone)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A decimal number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A list.
    List(Vec<Node>),
    /// A table.
    Table(BTreeMap<String, Node>),
}

impl Value {
    /// Names the kind of value for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a decimal number",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Node {
    /// Makes a value with its origin.
    #[must_use]
    pub const fn new(value: Value, origin: Origin) -> Self {
        Self { value, origin, variables: Vec::new() }
    }

    /// An empty table that nobody wrote.
    #[must_use]
    pub const fn empty() -> Self {
        Self::new(Value::Table(BTreeMap::new()), Origin::Default)
    }
}

/// Reads a file's text. Syntax errors come back as one problem with line and column.
///
/// # Errors
/// Not TOML, or too large.
pub fn parse(text: &str) -> Result<Node, Problem> {
    if text.len() > MAX_FILE_BYTES {
        return Err(Problem::new("", format!("the file is larger than {MAX_FILE_BYTES} bytes")));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(String::new(), |span| {
            let (line, column) = position(text, span.start);
            format!("line {line}, column {column}: ")
        });
        Problem::new("", format!("{at}not valid TOML: {}", error.message()))
    })?;
    Ok(Node::new(convert_table(text, table.get_ref()), Origin::File { line: 1 }))
}

fn convert_table(text: &str, table: &DeTable<'_>) -> Value {
    let entries = table.iter().map(|(key, value)| {
        let line = position(text, key.span().start).0;
        (key.get_ref().to_string(), Node::new(convert(text, value.get_ref()), Origin::File { line }))
    });
    Value::Table(entries.collect())
}

fn convert(text: &str, value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(content) => Value::Text(content.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str();
            match i64::from_str_radix(digits, number.radix()) {
                Ok(whole) => Value::Integer(whole),
                Err(_) => Value::Text(digits.to_owned()),
            }
        }
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(decimal) => Value::Float(decimal),
            Err(_) => Value::Text(number.as_str().to_owned()),
        },
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(moment) => Value::Text(moment.to_string()),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| {
                    let line = position(text, item.span().start).0;
                    Node::new(convert(text, item.get_ref()), Origin::File { line })
                })
                .collect(),
        ),
        DeValue::Table(table) => convert_table(text, table),
    }
}

/// Turns a byte offset into line and column, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |tail| tail.chars().count()) + 1;
    (line, column)
}

/// Lays `SENTINEL_SECTION__KEY` variables over the tree. Numbers in a path choose list items.
pub fn overlay(root: &mut Node, env: &BTreeMap<String, String>, problems: &mut Problems) {
    for (name, text) in env {
        let Some(rest) = name.strip_prefix("SENTINEL_") else { continue };
        if !rest.contains("__") {
            continue;
        }
        let path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
        let node = Node::new(Value::Text(text.clone()), Origin::Env { name: name.clone() });
        if let Err(reason) = set(root, &path, node) {
            problems.add(Problem::new(format!("${name}"), reason));
        }
    }
}

/// Puts a value at a path, making tables on the way.
///
/// # Errors
/// The path runs through something that is no table, or leaves a gap in a list.
pub fn set(root: &mut Node, path: &[String], node: Node) -> Result<(), String> {
    let Some((last, parents)) = path.split_last() else { return Ok(()) };
    let mut at = root;
    for part in parents {
        at = child(at, part)?;
    }
    *child(at, last)? = node;
    Ok(())
}

fn child<'a>(node: &'a mut Node, part: &str) -> Result<&'a mut Node, String> {
    match &mut node.value {
        Value::Table(table) => Ok(table.entry(part.to_owned()).or_insert_with(|| {
            // A number below it decides later whether this becomes a list.
            Node::empty()
        })),
        Value::List(items) => {
            let index: usize = part.parse().map_err(|_| format!("{part:?} is no list index"))?;
            if index == items.len() {
                items.push(Node::empty());
            }
            items.get_mut(index).ok_or_else(|| format!("list index {index} would leave a gap"))
        }
        _ => Err(format!("{part:?} is below something that is no table")),
    }
}

/// Fills in `${NAME}` everywhere; `$${` stands for a literal `${`.
pub fn interpolate(node: &mut Node, path: &str, env: &BTreeMap<String, String>, problems: &mut Problems) {
    match &mut node.value {
        Value::Text(text) if text.contains("${") => {
            let (filled, variables, missing) = fill(text, env);
            for problem in missing {
                problems.add(Problem::at(path, &node.origin, problem));
            }
            node.variables = variables;
            *text = filled;
        }
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                interpolate(item, &format!("{path}[{index}]"), env, problems);
            }
        }
        Value::Table(table) => {
            for (key, item) in table.iter_mut() {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                interpolate(item, &inner, env, problems);
            }
        }
        _ => {}
    }
}

fn fill(text: &str, env: &BTreeMap<String, String>) -> (String, Vec<String>, Vec<String>) {
    let (mut filled, mut variables, mut missing) =
        (String::with_capacity(text.len()), Vec::new(), Vec::new());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = rest.split_at(start);
        if let Some(literal) = before.strip_suffix('$') {
            filled.push_str(literal);
            filled.push_str("${");
            rest = after.get(2..).unwrap_or("");
            continue;
        }
        filled.push_str(before);
        let inner = after.get(2..).unwrap_or("");
        let Some(end) = inner.find('}') else {
            missing.push("\"${\" without a closing \"}\"; write \"$${\" for a literal one".to_owned());
            rest = "";
            break;
        };
        let (name, tail) = inner.split_at(end);
        match env.get(name) {
            Some(value) => {
                filled.push_str(value);
                variables.push(name.to_owned());
            }
            None => missing.push(format!("the environment variable {name} is not set")),
        }
        rest = tail.get(1..).unwrap_or("");
    }
    filled.push_str(rest);
    (filled, variables, missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn variables_are_filled_in_and_missing_ones_named() {
        let known = env(&[("A", "1"), ("B", "two")]);
        for (text, filled, missing) in [
            ("x${A}y${B}", "x1ytwo", 0),
            ("$${A}", "${A}", 0),
            ("${NOPE}", "", 1),
            ("${A", "", 1),
            ("$A", "$A", 0),
        ] {
            let result = fill(text, &known);
            assert_eq!((result.0.as_str(), result.2.len()), (filled, missing), "{text}");
        }
        assert!(fill("${NOPE}", &known).2[0].contains("NOPE"));
    }

    #[test]
    fn syntax_errors_have_a_position() {
        let problem = parse("[server]\nlisten = \n").unwrap_err();
        assert!(problem.message.contains("line 2"), "{problem:?}");
    }

    #[test]
    fn a_byte_order_mark_and_carriage_returns_do_no_harm() {
        assert!(parse("\u{feff}[server]\r\nlisten = \"x\"\r\n").is_ok());
    }

    #[test]
    fn overrides_reach_into_lists() {
        let mut root = parse("[[providers]]\nname = \"a\"\n").unwrap();
        let mut problems = Problems::default();
        let vars = env(&[
            ("SENTINEL_PROVIDERS__0__NAME", "b"),
            ("SENTINEL_SERVER__LISTEN", "c"),
            ("SENTINEL_CONFIG", "d"),
        ]);
        overlay(&mut root, &vars, &mut problems);
        assert!(problems.is_empty());
        let shown = format!("{root:?}");
        assert!(shown.contains("\"b\"") && shown.contains("\"c\"") && !shown.contains("\"d\""), "{shown}");
    }
}
