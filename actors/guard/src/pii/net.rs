//! E-mail, network and web addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::candidate::{Candidate, Candidates, Proof};
use super::entity::Entity;
use super::text::{Text, word};

/// RFC 5321's limit of a local part.
const LOCAL: usize = 64;
/// RFC 1035's limit of a name.
const DOMAIN: usize = 253;
/// Longest spelling of an IPv6 address with an IPv4 tail.
const V6: usize = 45;
/// Longest web address that is read; the rest of a longer one is left.
const URL: usize = 400;

fn local_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'' | b'&' | b'!' | b'*')
}

/// Looks for an e-mail address around the `@` at `at`.
pub(crate) fn email(text: Text<'_>, at: usize, out: &mut Candidates) {
    let mut start = text.run_back(at, LOCAL + 1, local_byte);
    if at - start > LOCAL {
        return;
    }
    // Punctuation before the name belongs to the sentence.
    while start < at && !word(text.at(start)) {
        start += 1;
    }
    let local = text.slice(start, at);
    if local.is_empty() || local.last() == Some(&b'.') || local.windows(2).any(|pair| pair == b"..") {
        return;
    }
    if text.follows_foreign_letter(start) {
        return;
    }
    let stop = text.run(at + 1, DOMAIN, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    let Some(end) = domain_end(text, at + 1, stop) else { return };
    // `git@host:path` is where a repository is.
    if local == b"git" && matches!(text.at(end), b':' | b'/') {
        return;
    }
    out.push(Candidate::new(Entity::EmailAddress, start, end, Proof::Sure, 5));
}

/// Returns the end of the longest domain in `start..stop` with a plausible top-level domain.
fn domain_end(text: Text<'_>, start: usize, stop: usize) -> Option<usize> {
    let mut end = None;
    let mut label_start = start;
    let mut labels = 0;
    for index in start..=stop {
        let boundary = index == stop || text.at(index) == b'.';
        if !boundary {
            continue;
        }
        let label = text.slice(label_start, index);
        let shaped = !label.is_empty()
            && label.len() <= 63
            && label.first() != Some(&b'-')
            && label.last() != Some(&b'-');
        if !shaped {
            break;
        }
        labels += 1;
        let top = label.len() >= 2 && label.len() <= 24 && label.iter().all(u8::is_ascii_alphabetic);
        let punycode = label.starts_with(b"xn--");
        if labels >= 2 && (top || punycode) && !code_suffix(label) {
            end = Some(index);
        }
        label_start = index + 1;
    }
    end.filter(|end| text.at(*end) != b'_')
}

/// Names after a dot that are files or attributes, never top-level domains.
fn code_suffix(label: &[u8]) -> bool {
    const NAMES: &[&[u8]] = &[
        b"txt", b"json", b"yaml", b"yml", b"html", b"css", b"png", b"jpg", b"jpeg", b"gif", b"svg", b"pdf",
        b"csv", b"xml", b"exe", b"dll", b"setter", b"getter", b"deleter",
    ];
    NAMES.iter().any(|name| label.eq_ignore_ascii_case(name))
}

/// Looks for an IPv4 address that begins at `start`, the first digit of a run.
pub(crate) fn ipv4(text: Text<'_>, start: usize, pass_private: bool, out: &mut Candidates) {
    let previous = text.before(start, 1);
    let further = text.before(start, 2);
    if word(previous)
        || matches!(previous, b'.' | b'-') && word(further)
        || previous == b'/' && further.is_ascii_alphabetic()
    {
        return;
    }
    let stop = text.run(start, 16, |byte| byte.is_ascii_digit() || byte == b'.');
    let mut end = stop;
    if text.before(end, 1) == b'.' {
        end -= 1;
    }
    let Some(address) = parse::<Ipv4Addr>(text.slice(start, end)) else { return };
    let (next, after) = (text.at(end), text.at(end + 1));
    if word(next) || (matches!(next, b'.' | b'-') && word(after)) {
        return;
    }
    if pass_private
        && (address.is_private()
            || address.is_loopback()
            || address.is_link_local()
            || address.is_documentation()
            || address.is_unspecified())
    {
        return;
    }
    let end = prefix_length(text, end, 32);
    if !after_version_word(text, start) {
        out.push(Candidate::new(Entity::IpAddress, start, end, Proof::Sure, 6));
    }
}

/// Says whether the word before `start` makes the four numbers a version or a section.
fn after_version_word(text: Text<'_>, start: usize) -> bool {
    const WORDS: [&[u8]; 13] = [
        b"version",
        b"versions",
        b"ver",
        b"v",
        b"firmware",
        b"release",
        b"rev",
        b"revision",
        b"build",
        b"section",
        b"chapter",
        b"driver",
        b"kernel",
    ];
    let end = text.run_back(start, 4, |byte| matches!(byte, b' ' | b':' | b'=' | b'"' | b'.' | b'#'));
    let begin = text.run_back(end, 12, |byte| byte.is_ascii_alphabetic());
    WORDS.iter().any(|known| known.eq_ignore_ascii_case(text.slice(begin, end)))
}

/// Extends an address over `/24`.
fn prefix_length(text: Text<'_>, end: usize, most: u32) -> usize {
    let stop = text.run(end + 1, 4, |byte| byte.is_ascii_digit());
    let bits = parse::<u32>(text.slice(end + 1, stop));
    if text.at(end) == b'/'
        && bits.is_some_and(|bits| bits <= most)
        && !word(text.at(stop))
        && text.at(stop) != b'/'
    {
        stop
    } else {
        end
    }
}

fn parse<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Looks for an IPv6 or hardware address whose first colon is at `colon`.
pub(crate) fn colons(text: Text<'_>, colon: usize, pass_private: bool, out: &mut Candidates) {
    let start = text.run_back(colon, 5, |byte| byte.is_ascii_hexdigit());
    let previous = text.before(start, 1);
    let double = start == colon && text.at(colon + 1) == b':';
    if colon - start > 4
        || word(previous)
        || previous == b':'
        || (previous == b'.' && word(text.before(start, 2)))
    {
        return;
    }
    let mut end = text.run(start, V6 + 1, |byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
    while end > start && matches!(text.before(end, 1), b'.') {
        end -= 1;
    }
    if text.before(end, 1) == b':' && text.before(end, 2) != b':' {
        end -= 1;
    }
    if end - start > V6 || word(text.at(end)) {
        return;
    }
    let run = text.slice(start, end);
    if mac(run, b':') {
        out.push(Candidate::new(Entity::MacAddress, start, end, Proof::Sure, 6));
        return;
    }
    let Some(address) = parse::<Ipv6Addr>(run) else { return };
    let groups = run.split(|byte| *byte == b':').filter(|group| !group.is_empty());
    // `a::b` and `x[::2]` are code; a real address has a group of three or an IPv4 tail.
    let telling = groups.clone().any(|group| group.len() >= 3) || groups.count() >= 4;
    if !telling || !run.iter().any(u8::is_ascii_digit) || (double && run.len() < 6) {
        return;
    }
    let local = address.is_loopback()
        || address.is_unspecified()
        || matches!(address.segments(), [0xfe80..=0xfebf | 0xfc00..=0xfdff, ..] | [0x2001, 0xdb8, ..]);
    if pass_private && local {
        return;
    }
    let mut end = prefix_length(text, end, 128);
    if text.at(end) == b'%' {
        let zone = text.run(end + 1, 16, |byte| byte.is_ascii_alphanumeric());
        if zone > end + 1 {
            end = prefix_length(text, zone, 128);
        }
    }
    out.push(Candidate::new(Entity::IpAddress, start, end, Proof::Sure, 7));
}

fn mac(run: &[u8], separator: u8) -> bool {
    let pairs = run.len() == 17
        && run.iter().enumerate().all(|(index, byte)| match index % 3 {
            2 => *byte == separator,
            _ => byte.is_ascii_hexdigit(),
        });
    // Broadcast and the null address name nobody.
    pairs && run.iter().any(|byte| *byte != separator && run.first() != Some(byte))
}

/// Looks for a hardware address with hyphens (`AA-BB-...`) or in Cisco's form (`0012.3456.789A`) at `start`.
pub(crate) fn mac_at(text: Text<'_>, start: usize, end: usize, out: &mut Candidates) {
    if !text.opens(start) {
        return;
    }
    let stop = match (end - start, text.at(end)) {
        (2, b'-') if mac(text.slice(start, start + 17), b'-') => start + 17,
        (4, b'.') => {
            let run = text.slice(start, start + 14);
            let shaped = run.len() == 14
                && run.iter().enumerate().all(|(index, byte)| match index {
                    4 | 9 => *byte == b'.',
                    _ => byte.is_ascii_hexdigit(),
                });
            // Three groups of plain digits are a version or a date.
            if !shaped || !run.iter().any(u8::is_ascii_alphabetic) {
                return;
            }
            start + 14
        }
        _ => return,
    };
    if text.closes(stop) {
        out.push(Candidate::new(Entity::MacAddress, start, stop, Proof::Sure, 6));
    }
}

/// Looks for a web address whose `://` is at `colon`.
pub(crate) fn url(text: Text<'_>, colon: usize, out: &mut Candidates) {
    let start = text.run_back(colon, 8, |byte| byte.is_ascii_alphanumeric());
    let scheme = text.slice(start, colon);
    if ![&b"http"[..], b"https", b"ftp", b"ws", b"wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return;
    }
    let mut end = text.run(colon + 3, URL, |byte| {
        !byte.is_ascii_whitespace()
            && !matches!(
                byte,
                b'"' | b'<' | b'>' | b'\\' | b'`' | b'|' | b'{' | b'}' | b'\'' | b')' | b']' | 0x80..
            )
    });
    while matches!(text.before(end, 1), b'.' | b',' | b';' | b':' | b'!' | b'?') {
        end -= 1;
    }
    if end > colon + 6 {
        out.push(Candidate::new(Entity::Url, start, end, Proof::Sure, 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(text: &str, locate: impl Fn(Text<'_>, usize, &mut Candidates)) -> Vec<String> {
        let mut out = Candidates::new();
        for at in 0..text.len() {
            locate(Text::new(text), at, &mut out);
        }
        out.iter().map(|one| text[one.start..one.end].to_owned()).collect()
    }

    fn emails(text: &str) -> Vec<String> {
        spans(text, |view, at, out| {
            if view.at(at) == b'@' {
                email(view, at, out);
            }
        })
    }

    #[test]
    fn addresses_end_where_the_sentence_goes_on() {
        assert_eq!(emails("mail ann.lee+x@corp.example.co.uk."), ["ann.lee+x@corp.example.co.uk"]);
        assert_eq!(emails("<a@b.de>, (c@d.fr)"), ["a@b.de", "c@d.fr"]);
        assert!(
            emails("x@2.0, a..b@c.de, @property, user@host, svc@10.0.0.5, git@code.example.com:a/b")
                .is_empty()
        );
    }

    #[test]
    fn network_addresses_are_told_from_versions_and_code() {
        let v4 = |text: &str| {
            spans(text, |view, at, out| {
                if view.at(at).is_ascii_digit() && !view.before(at, 1).is_ascii_digit() {
                    ipv4(view, at, false, out);
                }
            })
        };
        assert_eq!(v4("Route 10.0.0.0/8."), ["10.0.0.0/8"]);
        assert_eq!(v4("192.168.2.1@eth0"), ["192.168.2.1"]);
        assert!(v4("1.2.3, 1.2.3.4.5, 300.1.1.1, Chrome/1.2.3.4, v1.2.3.4, firmware 4.38.78.16").is_empty());
        let v6 = |text: &str| {
            spans(text, |view, at, out| {
                if view.at(at) == b':' {
                    colons(view, at, false, out);
                }
            })
        };
        assert_eq!(v6("at 2001:db8::1 and [fe80::1%eth0]"), ["2001:db8::1", "fe80::1%eth0"]);
        assert_eq!(v6("::ffff:10.0.0.1"), ["::ffff:10.0.0.1"]);
        assert_eq!(v6("MAC 00:1A:2B:3C:4D:5E,"), ["00:1A:2B:3C:4D:5E"]);
        assert!(v6("a::b std::fmt x[::2] 12:30:45 fe80::1text 00:1A:2B:3C:4D").is_empty());
    }
}
