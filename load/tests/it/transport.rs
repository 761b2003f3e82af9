//! Faults of connection, framing, coding, pace and headers.

use std::io::{Read as _, Write as _};

use serde_json::json;
use tokio::time::Instant;

use crate::support::{
    End, Reply, anthropic, connect, exchange, mock, openai, read_one, read_reply, request, streamed, unary,
    until_silent,
};

#[test]
fn connections_end_where_the_fault_says() {
    let mock = mock();
    type Check = fn(&Reply) -> bool;
    let cases: &[(&str, End, Check)] = &[
        ("reset", End::Reset, |reply| reply.raw.is_empty()),
        ("close", End::Closed, |reply| reply.raw.is_empty()),
        ("hang", End::Open, |reply| reply.raw.is_empty()),
        ("reset-head", End::Reset, |reply| reply.body.is_empty()),
        ("close-head", End::Closed, |reply| {
            reply.status() == 200 && reply.body.is_empty() && !reply.is_complete
        }),
        ("hang-head", End::Open, |reply| reply.status() == 200 && reply.body.is_empty()),
        ("reset-after", End::Reset, |_| true),
        ("close-after", End::Closed, |reply| {
            reply.streamed_text() == "The harbour lights" && !reply.is_complete
        }),
        ("hang-after", End::Open, |reply| {
            reply.streamed_text() == "The harbour lights" && !reply.is_complete
        }),
        ("end-after", End::Closed, |reply| {
            reply.streamed_text() == "The harbour lights"
                && reply.is_complete
                && !reply.text().contains("[DONE]")
        }),
    ];
    for (fault, end, check) in cases {
        let reply = until_silent(&mock, &openai(&format!("m!{fault}"), &json!({"stream": true})));
        assert_eq!(reply.end, *end, "{fault}");
        assert!(check(&reply), "{fault}: {}", reply.text());
    }
    let reply = until_silent(&mock, &openai("m!hang-after=1", &json!({"stream": true})));
    assert_eq!((reply.end, reply.streamed_text().as_str()), (End::Open, "The"));
    let reply = unary(&mock, "m!close-after=1");
    assert!(reply.end == End::Closed && !reply.is_complete && reply.json().is_null());
}

#[test]
fn framing_is_wrong_where_the_fault_says() {
    let mock = mock();
    let declared = |reply: &Reply| reply.header("content-length").parse::<usize>().unwrap();
    let reply = unary(&mock, "m!length-short");
    assert_eq!(declared(&reply) + 10, reply.body.len());
    let reply = unary(&mock, "m!length-long=7");
    assert_eq!((declared(&reply), reply.end), (reply.body.len() + 7, End::Closed));
    let reply = streamed(&mock, "m!bad-chunk");
    assert!(!reply.is_complete && reply.raw.windows(4).any(|window| window == b"zz\r\n"));
    for reply in [streamed(&mock, "m!no-final-chunk"), unary(&mock, "m!no-final-chunk")] {
        assert!(!reply.is_complete && reply.end == End::Closed && !reply.body.is_empty());
    }
    for reply in [streamed(&mock, "m!close-delimited"), unary(&mock, "m!close-delimited")] {
        assert!(reply.header("content-length").is_empty() && reply.header("transfer-encoding").is_empty());
        assert!(reply.text().contains("harbour"));
    }
    let reply = unary(&mock, "m!cut");
    assert!(reply.is_complete && reply.json().is_null() && reply.body.starts_with(b"{"));
}

#[test]
fn bodies_are_encoded_as_declared() {
    let mock = mock();
    let reply = unary(&mock, "m!gzip");
    assert_eq!(reply.header("content-encoding"), "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&reply.body[..]).read_to_string(&mut text).unwrap();
    assert!(text.contains("harbour"));
    let reply = streamed(&mock, "m!deflate");
    let mut text = String::new();
    flate2::read::ZlibDecoder::new(&reply.body[..]).read_to_string(&mut text).unwrap();
    assert!(text.ends_with("data: [DONE]\n\n"));
    // A stored brotli stream: three bytes of header, the body itself, one byte of end.
    let reply = unary(&mock, "m!br");
    assert_eq!(reply.header("content-encoding"), "br");
    let inner: serde_json::Value = serde_json::from_slice(&reply.body[3..reply.body.len() - 1]).unwrap();
    assert_eq!(inner["object"], "chat.completion");
    let reply = unary(&mock, "m!gzip-bomb=2");
    let mut size = 0;
    let mut decoder = flate2::read::GzDecoder::new(&reply.body[..]);
    let mut block = [0; 65536];
    while let Ok(count @ 1..) = decoder.read(&mut block) {
        size += count;
    }
    assert!(size > 2 * 1024 * 1024 && reply.body.len() < 64 * 1024, "{} to {size}", reply.body.len());
}

#[test]
fn text_is_broken_where_the_fault_says() {
    let mock = mock();
    for reply in [unary(&mock, "m!bad-utf8"), streamed(&mock, "m!bad-utf8")] {
        assert!(String::from_utf8(reply.body.clone()).is_err() && reply.is_complete);
    }
    let reply = exchange(&mock, &anthropic("claude!bad-utf8", &json!({"stream": true})));
    assert!(String::from_utf8(reply.body).is_err());
    let reply = unary(&mock, "m!latin1");
    assert!(reply.header("content-type").ends_with("iso-8859-1") && reply.body.contains(&0xE9));
    assert!(unary(&mock, "m!no-content-type").headers("content-type").is_empty());
    assert_eq!(unary(&mock, "m!text-plain").header("content-type"), "text/plain");
}

#[test]
fn pace_is_as_slow_as_asked() {
    let mock = mock();
    let timed = |model: &str| {
        let start = Instant::now();
        let reply = streamed(&mock, model);
        assert!(reply.is_complete, "{model}");
        start.elapsed().as_millis()
    };
    assert!(timed("m!latency=60ms") >= 60);
    assert!(timed("m!head-gap=60ms") >= 60);
    assert!(timed("m!chunks=5!delay=10ms") >= 70);
    let reply = unary(&mock, "m!say=x!drip=100us");
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "x");
}

#[test]
fn split_bodies_join_to_the_same_text() {
    let mock = mock();
    for fault in ["split=1", "split=3", "split=1000"] {
        let reply = streamed(&mock, &format!("m!unicode!{fault}"));
        assert!(reply.is_complete && reply.streamed_text().contains("👩\u{200d}🚀"), "{fault}");
    }
    let largest = streamed(&mock, "m!split=2").raw;
    assert!(String::from_utf8_lossy(&largest).contains("\r\n2\r\nda\r\n2\r\nta\r\n"));
}

#[test]
fn headers_are_as_strange_as_asked() {
    let mock = mock();
    let reply = unary(&mock, "m!headers");
    assert_eq!(reply.head.lines().filter(|line| line.starts_with("x-filler-")).count(), 200);
    assert_eq!(unary(&mock, "m!big-header=100000").header("x-big").len(), 100_000);
    assert_eq!(unary(&mock, "m!header-lf").header("x-forged"), "yes");
    assert!(unary(&mock, "m!set-cookie").header("set-cookie").contains("__cf_bm"));
    assert_eq!(unary(&mock, "m!hop-by-hop").header("connection"), "x-secret-hop");
}

#[test]
fn kept_connections_die_before_their_second_use() {
    let mock = mock();
    for fault in ["idle-close", "stale"] {
        let mut stream = connect(&mock);
        let ask = request(&openai(&format!("m!{fault}"), &json!({})), "");
        stream.write_all(&ask).unwrap();
        let first = read_one(&mut stream);
        assert_eq!((first.status(), first.is_complete), (200, true), "{fault}");
        assert!(first.headers("connection").is_empty());
        // The second request meets a closed connection: at once, or when it arrives.
        let second = stream.write_all(&ask).map(|()| read_reply(&mut stream));
        assert!(
            second.is_err() || second.is_ok_and(|reply| reply.raw.is_empty() && reply.end != End::Open),
            "{fault}"
        );
    }
}

#[test]
fn a_kept_connection_serves_many_and_pipelined_requests() {
    let mock = mock();
    let mut stream = connect(&mock);
    let ask = request(&openai("m", &json!({})), "");
    let last = request(&openai("m", &json!({})), "connection: close\r\n");
    stream.write_all(&[ask.clone(), ask, last].concat()).unwrap();
    let reply = read_reply(&mut stream);
    assert_eq!(String::from_utf8_lossy(&reply.raw).matches("HTTP/1.1 200 OK").count(), 3);
    assert_eq!((mock.counters().connections, mock.counters().requests), (1, 3));
}
