//! Events do not depend on how the bytes arrive.

use proptest::prelude::*;

use super::*;

fn events(pieces: &[&[u8]]) -> Vec<(String, String)> {
    let mut decoder = SseDecoder::default();
    let mut all = Vec::new();
    let mut push = |event: SseEvent| {
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        all.push((text(&event.event), text(&event.data)));
    };
    for piece in pieces {
        decoder.feed(Bytes::copy_from_slice(piece));
        while let Some(event) = decoder.next_event().unwrap() {
            push(event);
        }
    }
    while let Some(event) = decoder.finish().unwrap() {
        push(event);
    }
    all
}

fn expect(input: &str, expected: &[(&str, &str)]) {
    let owned: Vec<(String, String)> =
        expected.iter().map(|(event, data)| ((*event).to_owned(), (*data).to_owned())).collect();
    let bytes = input.as_bytes();
    assert_eq!(events(&[bytes]), owned, "whole {input:?}");
    for size in [1, 2, 3, 7] {
        assert_eq!(events(&bytes.chunks(size).collect::<Vec<_>>()), owned, "by {size} {input:?}");
    }
}

#[test]
fn events_are_read_whatever_ends_their_lines() {
    let expected = [("", "a"), ("x", "é\nb"), ("", "c")];
    for end in ["\n", "\r\n", "\r"] {
        let text = format!("data: a{end}{end}event: x{end}data:é{end}data: b{end}{end}data: c{end}{end}");
        expect(&text, &expected);
    }
    expect("data: a\r\n\ndata: b\r\rdata: c\n\r\n", &[("", "a"), ("", "b"), ("", "c")]);
}

#[test]
fn marks_comments_ids_and_unknown_fields_are_skipped() {
    expect("\u{feff}data: a\n\n", &[("", "a")]);
    expect("\u{feff}data: a", &[("", "a")]);
    expect(": ping\n\n:\n\nid: 3\nretry: 5\nother\ndata: a\n\n", &[("", "a")]);
    expect("event: only-a-name\n\ndata: a\n\n", &[("", "a")]);
}

#[test]
fn only_one_space_after_the_colon_is_dropped() {
    expect("data:a\n\ndata:  b\n\ndata\n\ndata:\n\n", &[("", "a"), ("", " b"), ("", ""), ("", "")]);
}

#[test]
fn the_last_event_counts_without_its_blank_line() {
    expect("data: a\n\ndata: b\n", &[("", "a"), ("", "b")]);
    expect("data: a\n\ndata: b", &[("", "a"), ("", "b")]);
}

#[test]
fn an_event_over_the_limit_ends_the_stream() {
    let mut decoder = SseDecoder::new(100);
    for _ in 0..200 {
        decoder.feed(Bytes::from_static(b"x"));
        if decoder.next_event().is_err() {
            break;
        }
    }
    assert_eq!(decoder.next_event(), Err(EventTooLarge { limit: 100 }));
    assert_eq!(decoder.finish(), Err(EventTooLarge { limit: 100 }));
    let mut decoder = SseDecoder::new(100);
    decoder.feed(Bytes::from("data: 0123456789\n".repeat(20)));
    assert!(decoder.next_event().is_err(), "many short lines of one event");
}

#[test]
fn a_whole_event_is_a_slice_of_what_was_fed() {
    let piece = Bytes::from_static(b"data: hello\n\n");
    let mut decoder = SseDecoder::default();
    decoder.feed(piece.clone());
    let event = decoder.next_event().unwrap().unwrap();
    assert!(std::ptr::eq(event.data.as_ptr(), piece[6..].as_ptr()));
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_events(
        text in "(data|event|id|x)?:? ?[a-zé\u{1F600}]{0,4}(\n|\r|\r\n|\n\n|\r\n\r\n){1,2}",
        repeat in 1..6_usize,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let bytes = text.repeat(repeat).into_bytes();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(events(&pieces), events(&[&bytes]));
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut decoder = SseDecoder::new(64);
        decoder.feed(Bytes::from(bytes));
        while let Ok(Some(_)) = decoder.next_event() {}
        let _ = decoder.finish();
    }
}
