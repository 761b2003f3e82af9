//! Streams: what counts as their beginning, every way to end, silence, slow readers, cut-offs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sentinel_domain::error::ErrorCode;
use sentinel_domain::outcome::FailureClass;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::*;
use super::support::*;

/// Serves a stream of these lines and then closes, or waits for the client to close.
async fn serving(lines: &'static [&'static str], then_hang: bool) -> u16 {
    let (port, _) = upstream(move |_, mut socket| async move {
        request(&mut socket).await;
        write(&mut socket, STREAM_HEAD).await;
        // An empty piece would be the end of the body.
        if !lines.is_empty() {
            piece(&mut socket, sse(lines)).await;
        }
        if then_hang {
            closed(&mut socket).await;
        }
    })
    .await;
    port
}

#[actix_rt::test]
async fn a_stream_passes_every_event_in_order_up_to_its_real_end() {
    let port =
        serving(&["role", "text 1", ": ping", "text 2", "text 3", "stop", "done", "text 4"], true).await;
    let gateway = Gateway::new(port, Settings::default());
    let mut stream = gateway.stream().await.unwrap();
    assert_eq!(texts(&mut stream).await, ["role", "text 1", "text 2", "text 3", "stop", "DONE"]);
    assert!(stream.next().await.is_none());
    gateway.idle().await;
}

#[actix_rt::test]
async fn a_stream_of_single_bytes_arrives_whole() {
    let (port, _) = upstream(|_, mut socket| async move {
        request(&mut socket).await;
        write(&mut socket, STREAM_HEAD).await;
        for byte in sse(&["role", "text é", "text 語", "stop", "done"]).bytes() {
            piece(&mut socket, [byte]).await;
            tokio::task::yield_now().await;
        }
    })
    .await;
    let gateway = Gateway::new(port, Settings::default());
    let mut stream = gateway.stream().await.unwrap();
    assert_eq!(texts(&mut stream).await, ["role", "text é", "text 語", "stop", "DONE"]);
}

/// Before the first meaningful event everything is an ordinary failed attempt, so another target can take over.
#[actix_rt::test]
async fn a_failure_before_the_answer_begins_is_a_failed_attempt() {
    let table = [
        ("silence", &[][..], true, FailureClass::FirstByteTimeout),
        ("pings only", &[": ping", ": ping"], true, FailureClass::FirstByteTimeout),
        ("role only", &["role"], true, FailureClass::FirstByteTimeout),
        ("error event", &["role", "fail"], true, FailureClass::Overloaded),
        ("end", &["role"], false, FailureClass::Broken),
        ("half an event", &["role", "half"], false, FailureClass::Malformed),
    ];
    for (name, lines, hang, class) in table {
        let port = serving(lines, hang).await;
        let gateway = Gateway::new(port, Settings { first_byte: 100 * MS, ..Settings::default() });
        assert_eq!(gateway.stream().await.unwrap_err().class, class, "{name}");
        gateway.idle().await;
    }
}

#[actix_rt::test]
async fn endless_events_that_never_begin_an_answer_are_cut_off() {
    let (port, _) = upstream(|_, mut socket| async move {
        request(&mut socket).await;
        write(&mut socket, STREAM_HEAD).await;
        while piece(&mut socket, sse(&["role"])).await {}
    })
    .await;
    let gateway = Gateway::new(port, Settings::default());
    assert_eq!(gateway.stream().await.unwrap_err().class, FailureClass::Malformed);
}

#[actix_rt::test]
async fn an_empty_answer_with_a_real_end_is_an_answer() {
    let port = serving(&["stop", "done"], false).await;
    let gateway = Gateway::new(port, Settings::default());
    assert_eq!(texts(&mut gateway.stream().await.unwrap()).await, ["stop", "DONE"]);
}

#[actix_rt::test]
async fn a_stream_that_dies_after_its_beginning_says_so_and_never_ends_well() {
    let table = [
        (&["text 1", "text 2"][..], false, "!stream_broken"),
        (&["text 1", "text 2", "fail"], true, "!stream_broken"),
        (&["text 1", "text 2"], true, "!idle_timeout"),
        (&["text 1", "text 2", ": ping"], true, "!idle_timeout"),
        (&["text 1", "text 2", "half"], true, "!idle_timeout"),
    ];
    for (lines, hang, end) in table {
        let port = serving(lines, hang).await;
        let gateway = Gateway::new(port, Settings { idle: 100 * MS, ..Settings::default() });
        let mut stream = gateway.stream().await.unwrap();
        assert_eq!(texts(&mut stream).await, ["text 1", "text 2", end], "{lines:?}");
        gateway.idle().await;
    }
}

#[actix_rt::test]
async fn pings_alone_do_not_keep_a_silent_stream_alive_but_slow_bytes_do() {
    let (port, _) = upstream(|_, mut socket| async move {
        request(&mut socket).await;
        write(&mut socket, STREAM_HEAD).await;
        // Three times the idle time in all, a byte well within it.
        for bytes in sse(&["text slow but sure"]).as_bytes().chunks(8) {
            piece(&mut socket, bytes).await;
            tokio::time::sleep(30 * MS).await;
        }
        while piece(&mut socket, ": ping\n\n").await {
            tokio::time::sleep(30 * MS).await;
        }
    })
    .await;
    let gateway = Gateway::new(port, Settings { idle: 190 * MS, ..Settings::default() });
    let mut stream = gateway.stream().await.unwrap();
    assert_eq!(texts(&mut stream).await, ["text slow but sure", "!idle_timeout"]);
}

#[actix_rt::test]
async fn a_stream_ends_with_the_requests_deadline() {
    let port = serving(&["text 1"], true).await;
    let gateway = Gateway::new(port, Settings { deadline: 200 * MS, ..Settings::default() });
    let mut stream = gateway.stream().await.unwrap();
    assert!(matches!(stream.next().await, Some(StreamEvent::Chunk(_))));
    match stream.next().await {
        Some(StreamEvent::Failed(failure)) => assert_eq!(failure.error.code, ErrorCode::RequestTimeout),
        other => panic!("{other:?}"),
    }
}

#[actix_rt::test]
async fn a_client_that_leaves_closes_the_upstream_within_a_tenth_of_a_second() {
    let gone = Arc::new(Notify::new());
    let note = Arc::clone(&gone);
    let (port, _) = upstream(move |_, mut socket| {
        let note = Arc::clone(&note);
        async move {
            request(&mut socket).await;
            write(&mut socket, STREAM_HEAD).await;
            piece(&mut socket, sse(&["text 1"])).await;
            closed(&mut socket).await;
            note.notify_one();
        }
    })
    .await;
    let gateway = Gateway::new(port, Settings::default());
    let mut stream = gateway.stream().await.unwrap();
    assert!(matches!(stream.next().await, Some(StreamEvent::Chunk(_))));
    let left = Instant::now();
    drop(stream);
    tokio::time::timeout(SOON, gone.notified()).await.unwrap();
    assert!(left.elapsed() < 100 * MS, "{:?}", left.elapsed());
    gateway.idle().await;
}

#[actix_rt::test]
async fn a_client_that_does_not_read_stops_the_provider_and_not_the_gateways_memory() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let (port, _) = upstream(move |_, mut socket| {
        let count = Arc::clone(&count);
        async move {
            request(&mut socket).await;
            write(&mut socket, STREAM_HEAD).await;
            let line = sse(&[&"x".repeat(16 * 1024)]);
            for _ in 0..8_192 {
                if !piece(&mut socket, &line).await {
                    return;
                }
                count.fetch_add(line.len(), Ordering::Relaxed);
            }
        }
    })
    .await;
    let gateway = Gateway::new(port, Settings::default());
    let stream = gateway.stream().await.unwrap();
    // The flood is over when nothing has moved for a while; the kernel's buffers hold a few MiB.
    let mut before = 0;
    loop {
        tokio::time::sleep(100 * MS).await;
        let now = written.load(Ordering::Relaxed);
        if now == before {
            break;
        }
        before = now;
    }
    assert!(before < 32 * 1024 * 1024, "{before} of 128 MiB were taken");
    drop(stream);
    gateway.idle().await;
}

#[actix_rt::test]
async fn a_running_stream_outlives_a_restart_of_its_actor() {
    let go_on = Arc::new(Notify::new());
    let wait = Arc::clone(&go_on);
    let (port, _) = upstream(move |_, mut socket| {
        let wait = Arc::clone(&wait);
        async move {
            request(&mut socket).await;
            write(&mut socket, STREAM_HEAD).await;
            piece(&mut socket, sse(&["text 1"])).await;
            wait.notified().await;
            piece(&mut socket, sse(&["text 2", "stop", "done"])).await;
        }
    })
    .await;
    let gateway = Gateway::new(port, Settings::default());
    let mut stream = gateway.stream().await.unwrap();
    assert!(gateway.registry.restart("worker-0/provider/p"));
    let mut other = gateway.stream().await.unwrap();
    assert_eq!(gateway.provider.stats().restarts, 1);
    go_on.notify_waiters();
    assert_eq!(texts(&mut stream).await, ["text 1", "text 2", "stop", "DONE"]);
    assert_eq!(texts(&mut other).await, ["text 1", "text 2", "stop", "DONE"]);
}

#[actix_rt::test]
async fn a_cut_ends_live_streams_with_a_reason_and_refuses_later_calls() {
    let port = serving(&["text 1"], true).await;
    let gateway = Gateway::new(port, Settings::default());
    let mut stream = gateway.stream().await.unwrap();
    assert!(matches!(stream.next().await, Some(StreamEvent::Chunk(_))));
    gateway.provider.shared().cut();
    match stream.next().await {
        Some(StreamEvent::Failed(failure)) => assert_eq!(failure.error.code, ErrorCode::Draining),
        other => panic!("{other:?}"),
    }
    assert!(matches!(gateway.call(true).await, Err(CallError::Unavailable)));
    gateway.idle().await;
}

#[actix_rt::test]
async fn a_document_instead_of_a_stream_is_no_answer() {
    let (port, _) = upstream(|_, mut socket| async move {
        request(&mut socket).await;
        write(&mut socket, completion("hello")).await;
    })
    .await;
    let gateway = Gateway::new(port, Settings::default());
    assert_eq!(gateway.stream().await.unwrap_err().class, FailureClass::Malformed);

    let (port, _) = upstream(|_, mut socket| async move {
        request(&mut socket).await;
        let body = "{\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow down\"}}";
        write(&mut socket, answer("200 OK", "content-type: application/json\r\n", body)).await;
    })
    .await;
    let gateway = Gateway::new(port, Settings::default());
    assert_eq!(gateway.stream().await.unwrap_err().class, FailureClass::RateLimited);
}

#[tokio::test]
async fn a_task_that_ends_without_a_word_is_a_failure_and_no_end() {
    let (sender, events) = tokio::sync::mpsc::channel(1);
    drop(sender);
    let decoder = sentinel_wire::dialect::decode_stream(
        sentinel_domain::policy::ProviderKind::OpenAi,
        sentinel_wire::Hints::default(),
        1024,
    );
    let decoder = Arc::new(parking_lot::Mutex::new(decoder));
    let mut stream = AnswerStream { held: [].into(), events, decoder, ended: false };
    assert_eq!(texts(&mut stream).await, ["!local"]);
    assert!(stream.next().await.is_none());
}
