//! Faults below the content: connection, framing, coding, pace, headers.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::{Effect, FaultInfo, count, duration, number};
use crate::mock::answer::{Answer, Body, Ending, Framing};

const MIB: usize = 1024 * 1024;

/// A row whose effect is on the laid-out answer and needs no context.
macro_rules! row {
    ($name:literal, $argument:literal, $rows:literal, $does:literal, |$answer:ident, $value:ident| $effect:expr) => {
        FaultInfo {
            name: $name,
            argument: $argument,
            rows: $rows,
            does: $does,
            effect: Effect::Answer(|$answer: &mut Answer, _, $value: &str| $effect),
        }
    };
}

pub(super) const FAULTS: &[FaultInfo] = &[
    row!(
        "reset",
        "",
        "U03",
        "TCP reset once the request is read, before any byte of the head",
        |answer, _value| {
            answer.silent = true;
            end(answer, Ending::Reset)
        }
    ),
    row!("reset-head", "", "U03", "TCP reset right after the head", |answer, _value| {
        answer.head_only = true;
        end(answer, Ending::Reset)
    }),
    row!(
        "reset-after",
        "deltas (3)",
        "U27",
        "TCP reset after so many deltas (half of a whole body)",
        |answer, value| { stop(answer, value, false, Ending::Reset) }
    ),
    row!("close", "", "U03", "closes in order before any byte of the head", |answer, _value| {
        answer.silent = true;
        end(answer, Ending::Close)
    }),
    row!("close-head", "", "U27", "closes in order right after the head", |answer, _value| {
        answer.head_only = true;
        end(answer, Ending::Close)
    }),
    row!(
        "close-after",
        "deltas (3)",
        "U27",
        "closes in order after so many deltas, body unfinished",
        |answer, value| { stop(answer, value, false, Ending::Close) }
    ),
    row!(
        "end-after",
        "deltas (3)",
        "U36",
        "ends the body properly after so many deltas: complete HTTP, incomplete stream",
        |answer, value| { stop(answer, value, true, Ending::KeepAlive) }
    ),
    row!("hang", "", "U06", "reads the request and never answers", |answer, _value| {
        answer.silent = true;
        end(answer, Ending::Hang)
    }),
    row!("hang-head", "", "U07", "sends the head and then nothing", |answer, _value| {
        answer.head_only = true;
        end(answer, Ending::Hang)
    }),
    row!(
        "hang-after",
        "deltas (3)",
        "U08",
        "sends so many deltas (half of a whole body) and then nothing",
        |answer, value| { stop(answer, value, false, Ending::Hang) }
    ),
    row!("latency", "duration (50ms)", "", "waits before the head", |answer, value| {
        answer.pace.before_head = duration(value, Duration::from_millis(50))?;
        Some(())
    }),
    row!("head-gap", "duration (50ms)", "U07", "waits between the head and the body", |answer, value| {
        answer.pace.after_head = duration(value, Duration::from_millis(50))?;
        Some(())
    }),
    row!("delay", "duration (20ms)", "", "waits between two events of a stream", |answer, value| {
        answer.pace.between_events = duration(value, Duration::from_millis(20))?;
        Some(())
    }),
    row!("drip", "duration a byte (1s)", "U09", "writes the body byte by byte", |answer, value| {
        answer.pace.split = 1;
        answer.pace.after_split = duration(value, Duration::from_secs(1))?;
        Some(())
    }),
    row!(
        "split",
        "bytes (1)",
        "U32 U33",
        "writes the body in pieces of so many bytes, each its own chunk",
        |answer, value| {
            answer.pace.split = count(value, 1)?.max(1);
            Some(())
        }
    ),
    row!(
        "length-short",
        "bytes (10)",
        "U26",
        "Content-Length smaller than the body, whose rest follows",
        |answer, value| { whole(answer, Framing::Length(-i64::try_from(number(value, 10)?).ok()?)) }
    ),
    row!(
        "length-long",
        "bytes (10)",
        "U26",
        "Content-Length larger than the body, then closes",
        |answer, value| {
            whole(answer, Framing::Length(i64::try_from(number(value, 10)?).ok()?));
            end(answer, Ending::Close)
        }
    ),
    row!(
        "bad-chunk",
        "event (2)",
        "U27",
        "a chunk size that is no number before that event",
        |answer, value| {
            chunked(answer);
            let last = answer.events_mut().map_or(0, |events| events.len().saturating_sub(1));
            answer.framing = Framing::ChunkedBadSize(count(value, 2)?.min(last));
            Some(())
        }
    ),
    row!("no-final-chunk", "", "U27", "chunked, closed without the last chunk", |answer, _value| {
        chunked(answer);
        answer.framing = Framing::ChunkedUnfinished;
        end(answer, Ending::Close)
    }),
    row!(
        "close-delimited",
        "",
        "U28",
        "no length at all: the body ends with the connection",
        |answer, _value| {
            answer.framing = Framing::UntilClose;
            end(answer, Ending::Close)
        }
    ),
    row!("cut", "", "U25", "half of the body, with the length of that half", |answer, _value| {
        let body = answer.joined_body();
        let half = body.len() / 2;
        answer.body = Body::Whole(body.into_iter().take(half).collect());
        Some(())
    }),
    row!("gzip", "", "U29", "compresses with gzip, asked or not", |answer, _value| encoded(
        answer, "gzip", gzip
    )),
    row!("deflate", "", "U29", "compresses with deflate (zlib), asked or not", |answer, _value| {
        encoded(answer, "deflate", deflate)
    }),
    row!("br", "", "U29", "encodes as brotli (stored), asked or not", |answer, _value| encoded(
        answer,
        "br",
        brotli_stored
    )),
    row!("gzip-bomb", "MiB (16)", "U29", "gzip of so many MiB of spaces before the JSON", |answer, value| {
        let spaces = count(value, 16)?.min(1024) * MIB;
        encoded(answer, "gzip", |body| {
            let mut bomb = vec![b' '; spaces];
            bomb.extend_from_slice(&body);
            gzip(bomb)
        })
    }),
    row!(
        "idle-close",
        "",
        "U48",
        "announces keep-alive, but closes as soon as the answer is out",
        |answer, _value| { end(answer, Ending::Close) }
    ),
    row!(
        "stale",
        "",
        "U48",
        "closes the connection, unanswered, when the next request arrives on it",
        |answer, _value| { end(answer, Ending::CloseOnNext) }
    ),
    row!("headers", "count (200)", "U46", "adds so many header lines", |answer, value| {
        for index in 0..count(value, 200)?.min(10_000) {
            answer.header(format!("x-filler-{index}"), "filler");
        }
        Some(())
    }),
    row!("big-header", "bytes (1048576)", "U46", "adds a header of that size", |answer, value| {
        answer.header("x-big", "b".repeat(count(value, MIB)?.min(64 * MIB)));
        Some(())
    }),
    row!(
        "header-lf",
        "",
        "U46",
        "a header value with a bare line feed that forges another header",
        |answer, _value| {
            answer.header("x-forging", "a\nx-forged: yes");
            Some(())
        }
    ),
    row!("set-cookie", "", "U46", "sets a cookie and names its server", |answer, _value| {
        answer.header("set-cookie", "__cf_bm=mock; path=/; HttpOnly; Secure").header("server", "cloudflare");
        Some(())
    }),
    row!(
        "hop-by-hop",
        "",
        "U46",
        "adds hop-by-hop headers, one of them by way of Connection",
        |answer, _value| {
            answer
                .header("connection", "x-secret-hop")
                .header("x-secret-hop", "1")
                .header("keep-alive", "timeout=5")
                .header("proxy-authenticate", "Basic")
                .header("upgrade", "h2c");
            Some(())
        }
    ),
    row!("latin1", "", "U30", "declares ISO-8859-1 and sends a byte above 127", |answer, _value| {
        set_type(answer, Some("application/json; charset=iso-8859-1"));
        insert_in_text(answer, b"\xE9")
    }),
    row!("bad-utf8", "", "U31", "an invalid UTF-8 sequence inside the text", |answer, _value| {
        insert_in_text(answer, b"\xC3\x28")
    }),
    row!("no-content-type", "", "U30", "leaves the content type out", |answer, _value| {
        set_type(answer, None);
        Some(())
    }),
    row!("text-plain", "", "U30", "declares text/plain", |answer, _value| {
        set_type(answer, Some("text/plain"));
        Some(())
    }),
];

#[expect(clippy::unnecessary_wraps, reason = "every effect says whether its argument was usable")]
fn end(answer: &mut Answer, ending: Ending) -> Option<()> {
    answer.ending = ending;
    Some(())
}

fn stop(answer: &mut Answer, deltas: &str, marks_end: bool, ending: Ending) -> Option<()> {
    answer.stop_after = Some(count(deltas, 3)?);
    answer.stop_marks_end = marks_end;
    end(answer, ending)
}

/// Turns a stream into one body, since only that has a length.
#[expect(clippy::unnecessary_wraps, reason = "every effect says whether its argument was usable")]
fn whole(answer: &mut Answer, framing: Framing) -> Option<()> {
    answer.body = Body::Whole(answer.joined_body());
    answer.framing = framing;
    Some(())
}

/// Turns a whole body into events of a quarter each, so that chunk faults have chunks to work on.
fn chunked(answer: &mut Answer) {
    if let Body::Whole(body) = &answer.body {
        let size = body.len().div_ceil(4).max(1);
        answer.body = Body::Events(body.chunks(size).map(super::super::answer::Event::control).collect());
        answer.framing = Framing::Chunked;
    }
}

#[expect(clippy::unnecessary_wraps, reason = "every effect says whether its argument was usable")]
fn encoded(answer: &mut Answer, coding: &'static str, encode: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Option<()> {
    let is_stream = matches!(answer.body, Body::Events(_));
    answer.body = Body::Whole(encode(answer.joined_body()));
    answer.framing = if is_stream { Framing::Chunked } else { Framing::Length(0) };
    answer.header("content-encoding", coding);
    Some(())
}

fn gzip(body: Vec<u8>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing into memory cannot fail.
    let _ = encoder.write_all(&body);
    encoder.finish().unwrap_or_default()
}

fn deflate(body: Vec<u8>) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let _ = encoder.write_all(&body);
    encoder.finish().unwrap_or_default()
}

/// Wraps bytes as uncompressed brotli meta-blocks (RFC 7932, section 9.2): valid brotli without an encoder.
fn brotli_stored(body: Vec<u8>) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(body.len() + 16);
    for (index, block) in body.chunks(1 << 16).enumerate() {
        let length = (block.len() - 1) as u32;
        // Bits from the lowest: [WBITS 0 = 16 bit window], ISLAST 0, MNIBBLES 00, MLEN-1, ISUNCOMPRESSED 1.
        let bits = if index == 0 { (length << 4) | (1 << 20) } else { (length << 3) | (1 << 19) };
        encoded.extend_from_slice(bits.to_le_bytes().get(..3).unwrap_or_default());
        encoded.extend_from_slice(block);
    }
    // ISLAST 1, ISLASTEMPTY 1; an empty body also needs the window bits before them.
    encoded.push(if body.is_empty() { 0b110 } else { 0b11 });
    encoded
}

fn set_type(answer: &mut Answer, content_type: Option<&'static str>) {
    answer.remove_header("content-type");
    if let Some(content_type) = content_type {
        answer.header("content-type", content_type);
    }
}

/// Puts bytes at the start of the first text of the answer, in either wire format and layout.
#[expect(clippy::unnecessary_wraps, reason = "every effect says whether its argument was usable")]
fn insert_in_text(answer: &mut Answer, inserted: &[u8]) -> Option<()> {
    const STARTS: [&[u8]; 3] = [b"\"content\": \"", b"\"content\":\"", b"\"text\":\""];
    let position = |bytes: &[u8]| {
        STARTS.iter().find_map(|start| {
            bytes
                .windows(start.len())
                .position(|window| window == *start)
                .map(|position| position + start.len())
        })
    };
    match &mut answer.body {
        Body::Whole(body) => {
            if let Some(at) = position(body) {
                body.splice(at..at, inserted.iter().copied());
            }
        }
        Body::Events(events) => {
            if let Some(event) = events.iter_mut().find(|event| event.is_delta)
                && let Some(at) = position(&event.bytes)
            {
                event.bytes.to_mut().splice(at..at, inserted.iter().copied());
            }
        }
    }
    Some(())
}
