//! Secrets: keys, tokens, passwords.
//!
//! Six families, each with its own file or function: formats with a vendor prefix, web tokens, key blocks, passwords in
//! addresses, `Authorization` headers, and values assigned to a name that says secret. The prefilter automaton proposes
//! places; nothing here searches.

mod assign;
mod formats;
mod vendors;

use super::checks;

pub(crate) use assign::{Assigned, Keyword, assigned};
pub(crate) use formats::{
    authorization, curl_user, discord, jwt, mailchimp, pem, quoted_key, telegram, userinfo, vendor, webhook,
};
pub(crate) use vendors::FORMATS;

/// Longest password or assigned value that is read, in bytes.
pub(crate) const VALUE: usize = 256;
/// Longest key block that is read, in bytes: a 16,384-bit RSA key fits.
pub(crate) const BLOCK: usize = 16 * 1024;
/// Longest web token that is read, in bytes.
pub(crate) const WEB_TOKEN: usize = 8 * 1024;

/// Says whether a value only stands for a secret: `xxxx`, `<token>`, `${TOKEN}`, `your_key`, `...`.
pub(crate) fn placeholder(value: &[u8]) -> bool {
    const STANDS_FOR: &[&[u8]] = &[
        b"xxxx",
        b"your",
        b"example",
        b"placeholder",
        b"changeme",
        b"change_me",
        b"redacted",
        b"dummy",
        b"insert",
        b"replace",
        b"todo",
        b"****",
        b"....",
        b"...",
        b"<",
        b"${",
        b"{{",
        b"$(",
        b"%(",
        b"fake",
        b"sample",
        b"secret_here",
        b"_here",
        b"put_",
        b"12345678901234567890",
        b"[redacted",
        b"process.env",
        b"os.environ",
        b"getenv",
        b"env.",
        b"...",
    ];
    let lower = value.to_ascii_lowercase();
    // A long random value may hold any word by chance; the documentation's own examples are real enough.
    let random = value.len() >= 40 && checks::entropy(value) > 4.2;
    let named = STANDS_FOR.iter().any(|word| memchr::memmem::find(&lower, word).is_some());
    (named && !random) || repeats(&lower)
}

/// Says whether most of the value is one character.
pub(crate) fn repeats(value: &[u8]) -> bool {
    let tail = value.iter().rev().take(value.len() / 2 + 1);
    let mut run = 0_usize;
    let mut best = 0_usize;
    let mut last = 0_u8;
    for byte in tail {
        run = if *byte == last { run + 1 } else { 1 };
        last = *byte;
        best = best.max(run);
    }
    best * 3 >= value.len().max(1) && best >= 4
}

/// Says whether the value is a UUID.
pub(crate) fn uuid(value: &[u8]) -> bool {
    value.len() == 36
        && value.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
