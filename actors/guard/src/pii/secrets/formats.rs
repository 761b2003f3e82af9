//! Secrets that are known by their form: vendor tokens, web tokens, key blocks, credentials in addresses and headers.

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};

use super::vendors::{Alphabet, FORMATS};
use super::{BLOCK, VALUE, WEB_TOKEN, placeholder, repeats};
use crate::pii::candidate::{Candidate, Candidates, Proof};
use crate::pii::checks;
use crate::pii::entity::Entity;
use crate::pii::text::{Text, base64, base64url, word};

const LENIENT: GeneralPurposeConfig = general_purpose::NO_PAD
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&::base64::alphabet::URL_SAFE, LENIENT);

fn push(out: &mut Candidates, start: usize, end: usize, rank: u8) {
    out.push(Candidate::new(Entity::Secret, start, end, Proof::Sure, rank));
}

/// Says whether a token may begin here: not inside a word, and not as the tail of a hyphenated name.
fn opens(text: Text<'_>, start: usize) -> bool {
    let previous = text.before(start, 1);
    !(word(previous) || matches!(previous, b'-' | b'.') && word(text.before(start, 2)))
}

/// Looks for the token of vendor format `index` at `start`.
///
/// Answers `start` when the token runs into the end of the text.
pub(crate) fn vendor(text: Text<'_>, start: usize, index: usize, out: &mut Candidates) -> Option<usize> {
    let format = FORMATS.get(index)?;
    let body = start + format.prefix.len();
    if text.slice(start, body) != format.prefix.as_bytes() || !opens(text, start) {
        return None;
    }
    let mut end = text.run(body, format.most + 1, |byte| format.alphabet.holds(byte));
    let cut = (end == text.len()).then_some(start);
    while end > body && text.before(end, 1) == b'.' {
        end -= 1;
    }
    let length = end - body;
    let value = text.slice(body, end);
    if length < format.least || length > format.most || word(text.at(end)) || !random(value, format) {
        return cut;
    }
    let rank = if format.prefix.starts_with("gh") && format.least == 36 && !checks::github_crc(value) {
        6
    } else {
        9
    };
    push(out, start, end, rank);
    cut
}

/// A token of some length holds digits and letters and is no placeholder; short prefixes need more of that.
fn random(value: &[u8], format: &super::vendors::Format) -> bool {
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let hexadecimal = format.alphabet == Alphabet::Hex;
    let lower = value.to_ascii_lowercase();
    let masked = [&b"xxxxx"[..], b"your", b"tokenhere", b"keyhere", b"_here"]
        .iter()
        .any(|word| memchr::memmem::find(&lower, word).is_some());
    // A fixed alphabet and length prove enough for a long prefix (`AKIA`, `ghp_`); a short one needs randomness too.
    let strict = format.prefix.len() <= 3 || format.least != format.most;
    let mixed = digits > 0 && letters > 0;
    let entropy = checks::entropy(value);
    !masked
        && (!strict || mixed || letters_only(value, format.prefix, entropy))
        && (if format.prefix.starts_with('A') && format.least == 16 {
            true
        } else {
            !repeats(&lower) && entropy >= if hexadecimal { 2.0 } else { 2.5 }
        })
}

/// A fifth of twenty-character tokens have no digit; letters alone must then look like no word.
fn letters_only(value: &[u8], prefix: &str, entropy: f32) -> bool {
    let cased = value.iter().skip(1).any(u8::is_ascii_uppercase) && value.iter().any(u8::is_ascii_lowercase);
    let threshold = if value.len() >= 30 { 4.1 } else { 3.4 };
    cased && entropy > threshold && value.len() >= 16 && (prefix.len() >= 4 || value.len() >= 30)
}

/// Looks for a web token at `start` (`eyJ`).
///
/// Answers `start` when the token runs into the end of the text.
pub(crate) fn jwt(text: Text<'_>, start: usize, out: &mut Candidates) -> Option<usize> {
    let previous = text.before(start, 1);
    // A part of a token is no token; this also keeps a text full of beginnings linear.
    if text.slice(start, start + 3) != b"eyJ" || base64url(previous) || previous == b'.' {
        return None;
    }
    let stop = text.run(start, WEB_TOKEN + 1, |byte| base64url(byte) || byte == b'.');
    let cut = (stop == text.len()).then_some(start);
    let mut end = stop;
    while matches!(text.before(end, 1), b'.' | b'-') {
        end -= 1;
    }
    let token = text.slice(start, end);
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(header), Some(payload)) = (parts.next(), parts.next()) else { return cut };
    let rest = parts.count();
    if header.len() < 12 || payload.len() < 8 || rest > 3 || end - start > WEB_TOKEN {
        return cut;
    }
    let decoded = URL_SAFE.decode(header).unwrap_or_default();
    let named = memchr::memmem::find(&decoded, b"\"alg\"").is_some()
        || memchr::memmem::find(&decoded, b"\"enc\"").is_some();
    // A damaged header with a signed JSON payload is still a token that somebody cut or retyped.
    let damaged = payload.starts_with(b"eyJ") && rest >= 1;
    if named || damaged {
        push(out, start, end, 9);
    }
    cut
}

/// A key block that began and whose end is not in the text yet.
pub(crate) struct OpenBlock {
    pub(crate) start: usize,
}

/// Looks for a private key block whose `-----BEGIN` is at `start`.
///
/// `whole` says that nothing follows the text. Answers the block when more text could still belong to it.
pub(crate) fn pem(text: Text<'_>, start: usize, whole: bool, out: &mut Candidates) -> Option<OpenBlock> {
    const LABEL: usize = 48;
    let label_start = start + b"-----BEGIN".len();
    let label_end = text
        .run(label_start, LABEL, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
    let open = || (!whole).then_some(OpenBlock { start });
    if label_end == text.len() {
        return open();
    }
    memchr::memmem::find(text.slice(label_start, label_end), b"PRIVATE KEY")?;
    // The dashes after the label may themselves be cut.
    let body = text.run(label_end, 5, |byte| byte == b'-');
    if body == text.len() {
        return open();
    }
    if body - label_end != 5 {
        return None;
    }
    let limit = start + BLOCK;
    let stop = block_run(text, body, limit);
    if let Some(found) = memchr::memmem::find(text.slice(body, stop), b"-----END") {
        let tail = body + found + b"-----END".len();
        let label_stop =
            text.run(tail, LABEL, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
        let end = text.run(label_stop, 5, |byte| byte == b'-');
        if end == text.len() && end - label_stop < 5 && !whole {
            return open();
        }
        if found >= 16 && !placeholder(text.slice(body, body + found)) {
            push(out, start, end, 9);
        }
        return None;
    }
    if stop == text.len() && stop < limit && !whole {
        return open();
    }
    // Without an end the block reaches as far as its characters do.
    let end = text.run_back(stop, stop - body, |byte| !base64(byte));
    if end - body >= 40 {
        push(out, start, end, 8);
    }
    None
}

/// Returns where the body of a key block stops being one: base64 in lines, with headers, quotes and indentation.
///
/// Blanks are allowed only where lines are joined or headers have them, so that a sentence about key blocks ends the block
/// at its first word. In JSON and source code a line break is the two characters `\n`.
fn block_run(text: Text<'_>, body: usize, limit: usize) -> usize {
    let mut line = 0_usize;
    let mut previous = b'-';
    let window = text.slice(body, limit);
    for (offset, byte) in window.iter().enumerate() {
        let blank_fits = line >= 32
            || previous.is_ascii_whitespace()
            || matches!(previous, b':' | b',' | b'"' | b'\'' | b'-' | b'\\');
        match byte {
            b' ' if !blank_fits => return body + offset,
            b' ' | b'\n' | b'\r' | b'\t' => line = 0,
            b':' | b',' | b'-' | b'\\' | b'"' | b'\'' => {}
            byte if base64(*byte) => line += 1,
            _ => return body + offset,
        }
        previous = *byte;
    }
    body + window.len()
}

/// Looks for a password in the address whose `://` is at `colon`.
///
/// Answers where an unfinished password begins when the text ends inside it.
pub(crate) fn userinfo(text: Text<'_>, colon: usize, whole: bool, out: &mut Candidates) -> Option<usize> {
    let user = colon + 3;
    let accept = |byte: u8| {
        !byte.is_ascii_whitespace()
            && !matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`' | b'|' | b'\\')
            && byte < 0x80
    };
    let colon_at =
        text.run(user, 80, |byte| accept(byte) && !matches!(byte, b':' | b'/' | b'@' | b'?' | b'#'));
    if colon_at == text.len() && !whole {
        return None;
    }
    if text.at(colon_at) != b':' {
        return None;
    }
    let password = colon_at + 1;
    // The last `@` before the path or the end parts the password from the host.
    let stop = text.run(password, VALUE, |byte| accept(byte) && byte != b'/');
    let at =
        text.slice(password, stop).iter().rposition(|byte| *byte == b'@').map(|offset| password + offset);
    let numeric_port = text.slice(password, stop).iter().all(u8::is_ascii_digit);
    if stop == text.len() && !whole {
        return (!numeric_port || stop == password).then_some(password);
    }
    let end = at?;
    let value = text.slice(password, end);
    let host = text.at(end + 1);
    let template = matches!(value.first(), Some(b'<' | b'$' | b'{' | b'[' | b'%' | b'*'))
        || [&b"password"[..], b"pass", b"pwd", b"secret", b"token"]
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word));
    if value.len() >= 3
        && !template
        && !placeholder(value)
        && (host.is_ascii_alphanumeric() || matches!(host, b'[' | b'_'))
    {
        push(out, password, end, 9);
    }
    None
}

/// Looks for the credential after `Basic ` or `Bearer ` that begins at `value`.
///
/// Answers `value` when the credential runs into the end of the text.
pub(crate) fn authorization(
    text: Text<'_>,
    word_start: usize,
    value: usize,
    basic: bool,
    out: &mut Candidates,
) -> Option<usize> {
    if word(text.before(word_start, 1)) {
        return None;
    }
    let accept = |byte: u8| base64(byte) || matches!(byte, b'_' | b'-' | b'.' | b'~');
    let mut end = text.run(value, WEB_TOKEN, accept);
    let cut = (end == text.len() && end > value).then_some(value);
    while matches!(text.before(end, 1), b'.' | b'-') {
        end -= 1;
    }
    let token = text.slice(value, end);
    if placeholder(token) || token.len() < if basic { 8 } else { 16 } {
        return cut;
    }
    let credible = if basic {
        URL_SAFE
            .decode(
                token
                    .iter()
                    .map(|byte| match byte {
                        b'+' => b'-',
                        b'/' => b'_',
                        other => *other,
                    })
                    .collect::<Vec<_>>(),
            )
            .is_ok_and(|plain| plain.contains(&b':') && plain.iter().all(|byte| (0x20..0x7f).contains(byte)))
    } else {
        token.iter().any(u8::is_ascii_digit) && checks::entropy(token) >= 3.0
    };
    if credible {
        push(out, value, end, 7);
    }
    cut
}

/// Looks for `user:password` behind curl's `-u`, which begins at `value`.
///
/// Answers where an unfinished value begins when the text ends inside it.
pub(crate) fn curl_user(text: Text<'_>, value: usize, whole: bool, out: &mut Candidates) -> Option<usize> {
    let quote = text.at(value);
    let start = value + usize::from(matches!(quote, b'"' | b'\''));
    let end = text.run(start, VALUE, |byte| {
        !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b'`') && byte < 0x80
    });
    if end == text.len() && !whole {
        return (end > start).then_some(start);
    }
    let pair = text.slice(start, end);
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let (user, password) = pair.split_at(colon);
    let credible = user.first().is_some_and(u8::is_ascii_alphanumeric)
        && password.len() >= 5
        && !matches!(password.get(1), Some(b'$' | b'<' | b'{' | b'/'))
        && password.iter().any(|byte| byte.is_ascii_digit() || byte.is_ascii_punctuation() && *byte != b':')
        && !placeholder(pair);
    if credible {
        push(out, start, end, 5);
    }
    None
}

/// Looks for a web-hook address whose telling path begins at `path`: the whole address is the secret.
pub(crate) fn webhook(text: Text<'_>, path: usize, out: &mut Candidates) {
    let accept = |byte: u8| word(byte) || matches!(byte, b'-' | b'/' | b'.' | b':');
    let start = text.run_back(path, 40, accept);
    let end = text.run(path, 200, |byte| word(byte) || matches!(byte, b'-' | b'/'));
    let tail = text.slice(path, end);
    let parts = tail.split(|byte| *byte == b'/').filter(|part| part.len() >= 8).count();
    if text.slice(start, path).starts_with(b"https://") && parts >= 2 && !placeholder(tail) {
        push(out, start, end, 9);
    }
}

/// Looks for a Telegram bot token whose number is the digit run `start..end`.
pub(crate) fn telegram(text: Text<'_>, start: usize, end: usize, out: &mut Candidates) {
    if !(8..=10).contains(&(end - start))
        || text.at(end) != b':'
        || text.at(end + 1) != b'A'
        || !opens(text, start)
    {
        return;
    }
    let stop = text.run(end + 1, 37, base64url);
    if stop - end - 1 == 35 {
        push(out, start, stop, 9);
    }
}

/// Looks for a Discord bot token: three base64 parts, the first of which is the number of an account.
pub(crate) fn discord(text: Text<'_>, start: usize, end: usize, out: &mut Candidates) {
    if !(23..=28).contains(&(end - start)) || !opens(text, start) || text.at(end) != b'.' {
        return;
    }
    let second = text.run(end + 1, 8, base64url);
    if second - end - 1 != 6 || text.at(second) != b'.' {
        return;
    }
    let stop = text.run(second + 1, 46, base64url);
    let length = stop - second - 1;
    let mixed = |from: usize, to: usize| {
        let part = text.slice(from, to);
        part.iter().any(u8::is_ascii_uppercase) && part.iter().any(u8::is_ascii_lowercase)
    };
    if (25..=45).contains(&length) && mixed(start, end) && mixed(second + 1, stop) {
        push(out, start, stop, 8);
    }
}

/// Looks for a Mailchimp key: 32 hexadecimal digits and the data centre.
pub(crate) fn mailchimp(text: Text<'_>, start: usize, end: usize, out: &mut Candidates) {
    if end - start != 32 || text.slice(end, end + 3) != b"-us" || !opens(text, start) {
        return;
    }
    let stop = text.run(end + 3, 3, |byte| byte.is_ascii_digit());
    let hexadecimal = text.slice(start, end).iter().all(u8::is_ascii_hexdigit);
    if hexadecimal && stop > end + 3 && !word(text.at(stop)) {
        push(out, start, stop, 8);
    }
}

/// Looks for forty characters of base64 in quotes or alone: the form of an AWS secret key.
pub(crate) fn quoted_key(text: Text<'_>, start: usize, out: &mut Candidates) {
    let quote = text.before(start, 1);
    let end = text.run(start, 42, base64);
    let value = text.slice(start, end);
    let alone = quote == 0 && text.at(end) == 0;
    if value.len() != 40 || !((matches!(quote, b'"' | b'\'' | b'`') && text.at(end) == quote) || alone) {
        return;
    }
    let classes = [u8::is_ascii_uppercase, u8::is_ascii_lowercase, u8::is_ascii_digit];
    let symbols = value.iter().filter(|byte| matches!(byte, b'/' | b'+')).count();
    let words = value.iter().filter(|byte| **byte == b'/').count() > 4 || value.contains(&b'=');
    if classes.iter().all(|class| value.iter().any(class))
        && symbols > 0
        && !words
        && checks::entropy(value) >= 4.2
    {
        push(out, start, end, 5);
    }
}
