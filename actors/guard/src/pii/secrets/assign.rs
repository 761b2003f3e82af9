//! Values assigned to a name that says secret: `DB_PASSWORD=...`, `"apiKey": "..."`, `--token ...`, `the password is ...`.
//!
//! The name alone proves nothing (documentation is full of it), so the value must look random, or, for passwords, at least
//! like no word, number, path, call or placeholder.

use super::{VALUE, placeholder, uuid};
use crate::pii::candidate::{Candidate, Candidates, Proof};
use crate::pii::checks;
use crate::pii::entity::Entity;
use crate::pii::text::{Text, word};

/// How much a name promises, and so how random its value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyword {
    /// People choose it: letters and a digit or a symbol are enough.
    Password,
    /// Machines make it: a random value.
    Token,
    /// The name has many other meanings: a long random value.
    Vague,
}

impl Keyword {
    /// All names, lower case, with what they promise and whether they must stand alone (`pw`, but not `upward`).
    pub(crate) const NAMES: &'static [(&'static str, Self, bool)] = &[
        ("password", Self::Password, false),
        ("passwd", Self::Password, false),
        ("passphrase", Self::Password, false),
        ("passwort", Self::Password, false),
        ("kennwort", Self::Password, false),
        ("pwd", Self::Password, false),
        ("pw", Self::Password, true),
        ("pass", Self::Password, true),
        ("passcode", Self::Password, false),
        ("contraseña", Self::Password, false),
        ("mot de passe", Self::Password, false),
        ("mdp", Self::Password, true),
        ("hasło", Self::Password, false),
        ("wachtwoord", Self::Password, false),
        ("lösenord", Self::Password, false),
        ("senha", Self::Password, true),
        ("salasana", Self::Password, false),
        ("token", Self::Token, false),
        ("secret", Self::Token, false),
        ("api_key", Self::Token, false),
        ("apikey", Self::Token, false),
        ("api-key", Self::Token, false),
        ("api key", Self::Token, false),
        ("access_key", Self::Token, false),
        ("accesskey", Self::Token, false),
        ("access key", Self::Token, false),
        ("access-key", Self::Token, false),
        ("private_key", Self::Token, false),
        ("privatekey", Self::Token, false),
        ("account_key", Self::Token, false),
        ("accountkey", Self::Token, false),
        ("storage_key", Self::Token, false),
        ("encryption_key", Self::Token, false),
        ("encryptionkey", Self::Token, false),
        ("signing_key", Self::Token, false),
        ("auth_key", Self::Token, false),
        ("authkey", Self::Token, false),
        ("app_key", Self::Token, false),
        ("master_key", Self::Token, false),
        ("credential", Self::Token, false),
        ("credentials", Self::Token, false),
        ("auth", Self::Vague, true),
        ("login", Self::Vague, true),
        ("key", Self::Vague, true),
        ("schlüssel", Self::Vague, true),
    ];
}

/// Outcome of reading behind a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Assigned {
    /// No value, or none that counts; or one that was handed out.
    Done,
    /// The text ends inside the value that begins here.
    Open(usize),
}

/// Longest rest of a name behind its keyword (`secret_value`).
const TAIL: usize = 24;

/// Reads behind the keyword at `start..end`.
///
/// `whole` says that nothing follows the text.
pub(crate) fn assigned(
    text: Text<'_>,
    start: usize,
    end: usize,
    keyword: usize,
    whole: bool,
    out: &mut Candidates,
) -> Assigned {
    let Some((_, promise, alone)) = Keyword::NAMES.get(keyword) else { return Assigned::Done };
    if *alone && !stands_alone(text, start, end) {
        return Assigned::Done;
    }
    let name_end = text.run(end, TAIL, |byte| word(byte) || byte == b'-');
    if !names_a_value(text.slice(end, name_end)) {
        return Assigned::Done;
    }
    let Some(mut value) = Value::behind(text, start, name_end) else { return Assigned::Done };
    // `password: str = "..."`: a type stands between the name and the value.
    if !value.quoted && value.end < text.len() && value.bytes(text).iter().all(u8::is_ascii_alphabetic) {
        let next = text.run(value.end, 2, |byte| byte == b' ');
        if text.at(next) == b'='
            && let Some(second) = Value::behind(text, start, value.end)
        {
            value = second;
        }
    }
    if value.end == text.len() && !whole {
        return Assigned::Open(value.start);
    }
    let bytes = value.bytes(text);
    if bytes.len() <= VALUE && counts(bytes, *promise, &value) {
        // A word between name and value (`is`) proves less than a sign.
        out.push(Candidate::new(
            Entity::Secret,
            value.start,
            value.end,
            Proof::Sure,
            if value.spoken { 2 } else { 4 },
        ));
    }
    Assigned::Done
}

fn stands_alone(text: Text<'_>, start: usize, end: usize) -> bool {
    let (previous, first) = (text.before(start, 1), text.at(start));
    let hump = previous.is_ascii_lowercase() && first.is_ascii_uppercase();
    let left = !(previous.is_ascii_alphanumeric() || previous >= 0x80) || hump;
    let next = text.at(end);
    left && !(next.is_ascii_lowercase() || next >= 0x80)
        && !(next.is_ascii_uppercase() && text.before(end, 1).is_ascii_uppercase())
}

/// Says whether the rest of the name still means the value itself (`secret_value`, not `secret_name`).
fn names_a_value(tail: &[u8]) -> bool {
    const OTHERS: &[&[u8]] = &[
        b"name",
        b"count",
        b"length",
        b"len",
        b"policy",
        b"file",
        b"path",
        b"url",
        b"uri",
        b"type",
        b"vault",
        b"izer",
        b"store",
        b"hint",
        b"min",
        b"max",
        b"expir",
        b"size",
        b"version",
        b"field",
        b"label",
        b"limit",
        b"usage",
        b"age",
        b"ttl",
        b"format",
        b"pattern",
        b"regex",
        b"source",
        b"server",
        b"host",
        b"user",
        b"realm",
        b"scheme",
        b"result",
        b"domain",
        b"mode",
        b"flow",
        b"state",
        b"selector",
        b"words",
        b"arn",
        b"ref",
        b"manager",
        b"provider",
        b"class",
        b"method",
        b"error",
        b"required",
        b"public",
    ];
    let lower = tail.to_ascii_lowercase();
    let id = lower.ends_with(b"id") || lower.ends_with(b"ids") || lower.ends_with(b"_id");
    !id && !OTHERS.iter().any(|other| memchr::memmem::find(&lower, other).is_some())
}

struct Value {
    start: usize,
    end: usize,
    quoted: bool,
    spoken: bool,
}

impl Value {
    /// Finds the value behind a name that ends at `name_end`.
    fn behind(text: Text<'_>, name_start: usize, name_end: usize) -> Option<Self> {
        let blank = |byte: u8| matches!(byte, b' ' | b'\t');
        let mut cursor =
            text.run(name_end, 3, |byte| matches!(byte, b'"' | b'\'' | b'`' | b']' | b')' | b'\\'));
        let closed = cursor;
        cursor = text.run(cursor, 6, blank);
        let sign = text.run(cursor, 2, |byte| matches!(byte, b'=' | b':' | b'>' | b'-'));
        let operator = text.slice(cursor, sign);
        let flag = text.before(text.run_back(name_start, TAIL, word), 1) == b'-';
        let mut spoken = false;
        let known: [&[u8]; 9] = [b"=", b":", b":=", b"=>", b"->", b">", b"::", b"=-", b":-"];
        if known.contains(&operator) {
            cursor = if operator.ends_with(b"-") { sign - 1 } else { sign };
        } else if flag && closed == name_end && cursor > name_end && operator.is_empty() {
            // `--token VALUE`
        } else if closed != name_end && text.at(closed) == b',' {
            // `("token", "VALUE")`
            cursor = closed + 1;
        } else if cursor > name_end && operator.is_empty() {
            cursor = verb(text, cursor)?;
            spoken = true;
        } else {
            return None;
        }
        cursor = text.run(cursor, 6, blank);
        // Prefixes of string literals.
        if matches!(text.at(cursor), b'b' | b'r' | b'f' | b'u' | b'@')
            && matches!(text.at(cursor + 1), b'"' | b'\'')
        {
            cursor += 1;
        }
        let escaped = text.at(cursor) == b'\\' && text.at(cursor + 1) == b'"';
        let quote = if escaped { b'"' } else { text.at(cursor) };
        let quoted = matches!(quote, b'"' | b'\'' | b'`');
        let start = if escaped { cursor + 2 } else { cursor + usize::from(quoted) };
        let mut end = text.run(start, VALUE + 1, |byte| {
            !byte.is_ascii_whitespace()
                && byte < 0x80
                && byte != b'\\'
                && if quoted {
                    byte != quote
                } else {
                    !matches!(
                        byte,
                        b'"' | b'\'' | b'`' | b',' | b';' | b'<' | b'>' | b')' | b']' | b'}' | b'|'
                    )
                }
        });
        if end == text.len() {
            return (end > start).then_some(Self { start, end, quoted, spoken });
        }
        if !quoted {
            while end > start && matches!(text.before(end, 1), b'.' | b':' | b'?') {
                end -= 1;
            }
        } else if text.at(end) != quote && !escaped {
            return None;
        }
        (end > start).then_some(Self { start, end, quoted, spoken })
    }

    fn bytes<'a>(&self, text: Text<'a>) -> &'a [u8] {
        text.slice(self.start, self.end)
    }
}

/// Reads `is `, `ist `, `lautet ` ... and answers where it ends.
fn verb(text: Text<'_>, cursor: usize) -> Option<usize> {
    const VERBS: &[&[u8]] = &[
        b"is ",
        b"is: ",
        b"was ",
        b"ist ",
        b"lautet ",
        b"es ",
        b"est ",
        "è ".as_bytes(),
        "é ".as_bytes(),
        b"to ",
        b"on ",
        "är ".as_bytes(),
        b"to: ",
    ];
    VERBS
        .iter()
        .find(|verb| text.slice(cursor, cursor + verb.len()) == **verb)
        .map(|verb| cursor + verb.len())
}

/// Says whether the value is a secret, given what the name promises.
fn counts(value: &[u8], promise: Keyword, place: &Value) -> bool {
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let symbols = value.len() - digits - letters;
    if letters == 0
        || (digits == 0 && symbols == 0)
        || placeholder(value)
        || looks_like_code(value, place.quoted)
    {
        return false;
    }
    let upper = value.iter().any(u8::is_ascii_uppercase);
    let lower = value.iter().any(u8::is_ascii_lowercase);
    let entropy = checks::entropy(value);
    match promise {
        Keyword::Password => {
            let telling = value
                .iter()
                .any(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_' | b'.' | b'/'));
            let mixed =
                usize::from(digits > 0) + usize::from(telling) + usize::from(upper) + usize::from(lower) >= 2;
            let sentence = place.spoken && !(digits > 0 && (telling || (upper && lower)));
            value.len() >= 6 && mixed && (digits > 0 || telling) && !sentence && !uuid(value)
        }
        Keyword::Token | Keyword::Vague => {
            let vague = promise == Keyword::Vague;
            if uuid(value) {
                return !vague && !place.spoken;
            }
            let hexadecimal = value.iter().all(u8::is_ascii_hexdigit);
            let least = if vague || place.spoken { 20 } else { 10 };
            let threshold = match (vague, hexadecimal) {
                (true, true) | (false, false) => 3.0,
                (true, false) => 3.5,
                (false, true) => 2.6,
            };
            digits > 0
                && value.len() >= least
                && entropy >= threshold
                && !worded(value)
                && (value.len() >= 16 || (upper && lower))
        }
    }
}

/// Says whether the value is an expression, a path or a type instead of a literal.
fn looks_like_code(value: &[u8], quoted: bool) -> bool {
    let first = value.first().copied().unwrap_or(0);
    let bracket = value.iter().any(|byte| matches!(byte, b'(' | b'{')) && !quoted;
    let starts = matches!(
        first,
        b'$' | b'{' | b'<' | b'[' | b'(' | b'%' | b'&' | b'/' | b'~' | b'*' | b'@' | b'=' | b'-'
    ) && !(quoted && value.len() >= 20 && first != b'$' && first != b'{');
    let path = memchr::memmem::find(value, b"://").is_some() || value.starts_with(b"./");
    let digest = value.starts_with(b"sha256:")
        || value.starts_with(b"sha512-")
        || value.starts_with(b"sha1:")
        || value.starts_with(b"sha384-");
    let dotted = value.contains(&b'.')
        && value.split(|byte| *byte == b'.').all(|part| {
            part.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
                && part.len() <= 24
                && part.iter().filter(|byte| byte.is_ascii_digit()).count() <= 1
                && part.iter().all(|byte| word(*byte))
        });
    let arrow = memchr::memmem::find(value, b"->").is_some() || memchr::memmem::find(value, b"::").is_some();
    let host = value.iter().filter(|byte| **byte == b'.').count() >= 2
        && value
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-'))
        && value.last().is_some_and(u8::is_ascii_lowercase);
    bracket || starts || path || digest || dotted || arrow || host
}

/// Says whether the value is a name made of words and numbers: `cmp2-qat-1208358310`, `K8S_CRED`.
fn worded(value: &[u8]) -> bool {
    let mut parts =
        value.split(|byte| matches!(byte, b'-' | b'_' | b'.' | b':' | b'/')).filter(|part| !part.is_empty());
    let several = parts.clone().count() > 1;
    several
        && parts.all(|part| {
            let letters = part.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
            let same_case =
                !(part.iter().any(u8::is_ascii_lowercase) && part.iter().skip(1).any(u8::is_ascii_uppercase));
            letters == 0 || letters == part.len() || (part.len() <= 6 && same_case)
        })
}

#[cfg(test)]
mod tests;
