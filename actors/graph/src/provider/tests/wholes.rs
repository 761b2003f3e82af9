//! Calls with a whole answer: every way to fail, caps, credentials, dead pooled connections.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use sentinel_domain::error::ErrorCode;
use sentinel_domain::outcome::FailureClass;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::*;
use super::support::*;

#[actix_rt::test]
async fn a_whole_answer_arrives_over_one_connection_with_our_headers_alone() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let (port, connections) = upstream(move |_, mut socket| {
        let seen = Arc::clone(&seen);
        async move {
            while let Some(head) = request(&mut socket).await {
                seen.lock().push(head);
                write(&mut socket, completion("hello")).await;
            }
        }
    })
    .await;
    let gateway = Gateway::new(port, Settings { keys: vec!["sk-one"], ..Settings::default() });
    for _ in 0..3 {
        assert_eq!(gateway.whole().await.unwrap(), "hello");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1, "kept alive");
    let mut names: Vec<_> = heads.lock()[0].lines().skip(1).map(ToOwned::to_owned).collect();
    names.retain(|line| !line.starts_with("date:"));
    names.sort();
    assert_eq!(
        names,
        [
            "accept-encoding: identity".to_owned(),
            "accept: application/json".to_owned(),
            "authorization: bearer sk-one".to_owned(),
            "content-length: 71".to_owned(),
            "content-type: application/json".to_owned(),
            format!("host: localhost:{port}"),
            format!("user-agent: sentinel/{}", env!("CARGO_PKG_VERSION")),
        ]
    );
    assert!(heads.lock()[0].starts_with("post /v1/chat/completions http/1.1"));
    gateway.idle().await;
}

#[actix_rt::test]
async fn a_refused_connection_fails_at_once() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let gateway = Gateway::new(port, Settings::default());
    let begun = Instant::now();
    assert_eq!(gateway.whole().await.unwrap_err().class, FailureClass::Connect);
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    gateway.idle().await;
}

/// Every answer that is none, with its class.
#[actix_rt::test]
async fn each_bad_answer_has_its_class() {
    let huge_header = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(200));
    let html = answer("200 OK", "content-type: text/html; charset=utf-8\r\n", "<html>");
    let gzip = answer("200 OK", "content-encoding: gzip\r\n", "...");
    let redirect = answer("307 Temporary Redirect", "location: http://127.0.0.1:1/\r\n", "");
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1 << 30);
    let chunks = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}",
        format!("8000\r\n{}\r\n", "x".repeat(0x8000)).repeat(3)
    );
    let table: Vec<(&str, String, FailureClass)> = vec![
        ("empty", answer("200 OK", "", ""), FailureClass::Malformed),
        ("cut json", answer("200 OK", "", "{\"choices\":["), FailureClass::Malformed),
        (
            "not utf-8",
            answer("200 OK", "", "{\"choices\":[]}").replace("choices", "cho\u{0}ces"),
            FailureClass::Malformed,
        ),
        ("closed", String::new(), FailureClass::Broken),
        ("half a head", "HTTP/1.1 200 OK\r\ncont".into(), FailureClass::Broken),
        ("garbage", "\u{1}\u{2}garbage\r\n\r\n".into(), FailureClass::Malformed),
        ("huge header", huge_header, FailureClass::Malformed),
        ("many headers", many_headers, FailureClass::Malformed),
        ("page", html, FailureClass::Malformed),
        ("compressed", gzip, FailureClass::Malformed),
        ("no content", answer("204 No Content", "", ""), FailureClass::Malformed),
        ("partial", answer("206 Partial Content", "", "x"), FailureClass::Malformed),
        ("teapot", answer("418 I'm a teapot", "", "x"), FailureClass::Malformed),
        ("out of range", answer("999 Odd", "", "x"), FailureClass::Malformed),
        ("redirect", redirect, FailureClass::Redirect),
        ("bad request", answer("400 Bad Request", "", "no"), FailureClass::Rejected),
        ("error", answer("500 Oops", "", "no"), FailureClass::ServerError),
        ("announced too large", long, FailureClass::Oversize),
        ("too large in chunks", chunks, FailureClass::Oversize),
        ("cut by length", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".into(), FailureClass::Broken),
        (
            "bad chunk size",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nx\r\n".into(),
            FailureClass::Broken,
        ),
    ];
    for (name, bytes, class) in table {
        let bytes = Arc::new(bytes);
        let (port, connections) = upstream(move |_, mut socket| {
            let bytes = Arc::clone(&bytes);
            async move {
                request(&mut socket).await;
                write(&mut socket, &**bytes).await;
            }
        })
        .await;
        let gateway = Gateway::new(port, Settings::default());
        assert_eq!(gateway.whole().await.unwrap_err().class, class, "{name}");
        assert_eq!(connections.load(Ordering::Relaxed), 1, "{name} was tried again here");
        gateway.idle().await;
    }
}

#[actix_rt::test]
async fn a_reset_connection_is_broken() {
    let (port, _) = upstream(|_, mut socket: TcpStream| async move {
        request(&mut socket).await;
        socket.set_zero_linger().unwrap();
    })
    .await;
    let gateway = Gateway::new(port, Settings::default());
    assert_eq!(gateway.whole().await.unwrap_err().class, FailureClass::Broken);
}

#[actix_rt::test]
async fn bytes_after_an_answer_are_not_taken_for_the_next_one() {
    let (port, _) = upstream(|_, mut socket| async move {
        while request(&mut socket).await.is_some() {
            write(&mut socket, completion("mine") + &completion("stolen")).await;
        }
    })
    .await;
    let gateway = Gateway::new(port, Settings::default());
    for _ in 0..5 {
        assert_eq!(gateway.whole().await.unwrap(), "mine");
    }
}

#[actix_rt::test]
async fn a_provider_that_never_answers_times_out_and_its_connection_is_closed() {
    let gone = Arc::new(Notify::new());
    let note = Arc::clone(&gone);
    let (port, _) = upstream(move |_, mut socket| {
        let note = Arc::clone(&note);
        async move {
            request(&mut socket).await;
            closed(&mut socket).await;
            note.notify_one();
        }
    })
    .await;
    let gateway = Gateway::new(port, Settings { first_byte: 100 * MS, ..Settings::default() });
    let failure = gateway.whole().await.unwrap_err();
    assert_eq!(
        (failure.class, failure.error.code),
        (FailureClass::FirstByteTimeout, ErrorCode::UpstreamTimeout)
    );
    tokio::time::timeout(SOON, gone.notified()).await.unwrap();
    gateway.idle().await;

    let gateway = Gateway::new(port, Settings { deadline: 100 * MS, ..Settings::default() });
    let failure = gateway.whole().await.unwrap_err();
    assert_eq!((failure.class, failure.error.code), (FailureClass::Local, ErrorCode::RequestTimeout));
}

#[actix_rt::test]
async fn an_answer_that_stops_in_the_middle_times_out() {
    let (port, _) = upstream(|_, mut socket| async move {
        request(&mut socket).await;
        write(&mut socket, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
        closed(&mut socket).await;
    })
    .await;
    let gateway = Gateway::new(port, Settings { idle: 100 * MS, ..Settings::default() });
    assert_eq!(gateway.whole().await.unwrap_err().class, FailureClass::IdleTimeout);
}

#[actix_rt::test]
async fn a_caller_that_leaves_while_the_model_thinks_aborts_the_call() {
    for stream in [false, true] {
        let (begun, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (note_begun, note_gone) = (Arc::clone(&begun), Arc::clone(&gone));
        let (port, _) = upstream(move |_, mut socket| {
            let (begun, gone) = (Arc::clone(&note_begun), Arc::clone(&note_gone));
            async move {
                request(&mut socket).await;
                begun.notify_one();
                closed(&mut socket).await;
                gone.notify_one();
            }
        })
        .await;
        let gateway = Gateway::new(port, Settings::default());
        tokio::select! {
            _ = gateway.call(stream) => panic!("there is no answer"),
            () = begun.notified() => {}
        }
        let left = Instant::now();
        tokio::time::timeout(SOON, gone.notified()).await.unwrap();
        assert!(left.elapsed() < 100 * MS, "stream {stream}: {:?}", left.elapsed());
        gateway.idle().await;
    }
}

#[actix_rt::test]
async fn a_dead_connection_out_of_the_pool_is_no_failure_of_the_provider() {
    let (port, connections) = upstream(|number, mut socket| async move {
        request(&mut socket).await;
        write(&mut socket, completion(&format!("from {number}"))).await;
        // The next request on this connection arrives and is never answered, as when the idle time ended just then.
        if number == 0 {
            request(&mut socket).await;
        } else {
            closed(&mut socket).await;
        }
    })
    .await;
    let gateway = Gateway::new(port, Settings::default());
    assert_eq!(gateway.whole().await.unwrap(), "from 0");
    assert_eq!(gateway.whole().await.unwrap(), "from 1");
    assert_eq!(connections.load(Ordering::Relaxed), 2);
}

#[actix_rt::test]
async fn a_refused_credential_is_left_out_and_the_next_one_used() {
    let (port, _) = upstream(|_, mut socket| async move {
        while let Some(head) = request(&mut socket).await {
            let reply = if head.contains("bearer bad") {
                answer("401 Unauthorized", "", "{\"error\":{\"message\":\"Incorrect key: bad-credential\"}}")
            } else if head.contains("bearer spent") {
                answer("429 Too Many Requests", "retry-after: 7\r\n", "slow down")
            } else {
                completion("hello")
            };
            write(&mut socket, reply).await;
        }
    })
    .await;
    let keys = vec!["bad-credential", "spent", "good"];
    let gateway = Gateway::new(port, Settings { keys, ..Settings::default() });
    for class in [FailureClass::Auth, FailureClass::RateLimited] {
        let failure = gateway.whole().await.unwrap_err();
        assert_eq!((failure.class, failure.other_credential), (class, true));
    }
    for _ in 0..5 {
        assert_eq!(gateway.whole().await.unwrap(), "hello");
    }
    assert_eq!(gateway.provider.shared().benched_keys(Instant::now()), (2, 3));

    let gateway = Gateway::new(port, Settings { keys: vec!["bad-credential"], ..Settings::default() });
    assert!(!gateway.whole().await.unwrap_err().other_credential);
}

#[actix_rt::test]
async fn calls_above_the_cap_are_refused_without_a_connection() {
    let (port, connections) = upstream(|_, mut socket| async move {
        request(&mut socket).await;
        closed(&mut socket).await;
    })
    .await;
    let gateway = Gateway::new(port, Settings { max_in_flight: 1, ..Settings::default() });
    tokio::select! {
        biased;
        _ = gateway.call(false) => panic!("there is no answer"),
        second = gateway.call(false) => assert!(matches!(second, Err(CallError::Full)), "{second:?}"),
    }
    assert!(connections.load(Ordering::Relaxed) <= 1);
    gateway.idle().await;
}

#[actix_rt::test]
async fn a_credential_that_the_provider_repeats_is_taken_out() {
    let (port, _) = upstream(|_, mut socket| async move {
        request(&mut socket).await;
        let body = "{\"error\":{\"message\":\"you sent Authorization: Bearer hidden-credential\"}}";
        write(&mut socket, answer("400 Bad Request", "", body)).await;
    })
    .await;
    let keys = vec!["hidden-credential"];
    let gateway = Gateway::new(port, Settings { keys, ..Settings::default() });
    let failure = gateway.whole().await.unwrap_err();
    assert!(!failure.error.message.contains("hidden-credential"), "{}", failure.error.message);
}
