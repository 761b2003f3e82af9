//! Sharing one fetch, in every order of coming and going.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::timeout;

use super::{CoalesceLimits, Coalescer, Event, Joined, Listener, Publisher};
use crate::cache::CacheKey;

type Groups = Coalescer<u32, &'static str>;

fn key(name: &str) -> CacheKey {
    CacheKey::new(name, "m", "1", b"request")
}

fn groups() -> Groups {
    Coalescer::new(CoalesceLimits { group_bytes: 100, total_bytes: 250, groups: 3 })
}

fn lead(groups: &Groups, name: &str) -> (Publisher<u32, &'static str>, Listener<u32, &'static str>) {
    match groups.join(key(name)) {
        Joined::Lead(publisher, listener) => (publisher, listener),
        Joined::Follow(_) => panic!("{name} is fetched already"),
        Joined::Alone => panic!("too many groups"),
    }
}

fn follow(groups: &Groups, name: &str) -> Listener<u32, &'static str> {
    match groups.join(key(name)) {
        Joined::Follow(listener) => listener,
        _ => panic!("nobody fetches {name}"),
    }
}

/// Describes the next event, or `waits` if there is none yet.
async fn next(listener: &mut Listener<u32, &'static str>) -> String {
    match timeout(Duration::from_millis(1), listener.next()).await {
        Err(_) => "waits".to_owned(),
        Ok(Event::Item(item)) => item.to_string(),
        Ok(Event::End) => "end".to_owned(),
        Ok(Event::Failed(failure)) => format!("failed: {failure}"),
        Ok(Event::Broken) => "broken".to_owned(),
        Ok(Event::Lagged) => "lagged".to_owned(),
        Ok(Event::Promoted(_)) => "promoted".to_owned(),
    }
}

async fn all(listener: &mut Listener<u32, &'static str>) -> Vec<String> {
    let mut events = Vec::new();
    loop {
        let event = next(listener).await;
        let is_last = event.parse::<u32>().is_err();
        events.push(event);
        if is_last {
            return events;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_joiner_gets_what_was_sent_and_then_the_live_tail() {
    let groups = groups();
    let (publisher, mut first) = lead(&groups, "a");
    assert!(publisher.publish(1, 1));
    assert_eq!(all(&mut first).await, ["1", "waits"]);
    assert!(publisher.publish(2, 1));
    let mut late = follow(&groups, "a");
    assert_eq!(all(&mut late).await, ["1", "2", "waits"]);
    publisher.publish(3, 1);
    publisher.end();
    assert_eq!(all(&mut late).await, ["3", "end"]);
    assert_eq!(all(&mut first).await, ["2", "3", "end"]);
    assert_eq!(next(&mut first).await, "end", "it stays ended");
    assert_eq!((groups.coalesced(), groups.groups()), (1, 0));
    drop((first, late));
    assert_eq!(groups.bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_listener_is_woken() {
    let groups = groups();
    let (publisher, mut listener) = lead(&groups, "a");
    let waiter = tokio::spawn(async move { all(&mut listener).await });
    tokio::task::yield_now().await;
    publisher.publish(1, 1);
    tokio::task::yield_now().await;
    publisher.end();
    assert_eq!(waiter.await.unwrap(), ["1", "end"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_requests_leaving_does_not_end_the_fetch_while_others_listen() {
    let groups = groups();
    let (publisher, first) = lead(&groups, "a");
    let mut second = follow(&groups, "a");
    publisher.publish(1, 1);
    drop(first);
    assert!(publisher.publish(2, 1));
    assert!(timeout(Duration::from_secs(1), publisher.abandoned()).await.is_err());
    assert_eq!(publisher.listeners(), 1);
    assert_eq!(all(&mut second).await, ["1", "2", "waits"]);
    drop(second);
    publisher.abandoned().await;
    assert!(!publisher.publish(3, 1), "nobody listens");
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_fetch_is_not_joined() {
    let groups = groups();
    let (old, listener) = lead(&groups, "a");
    drop(listener);
    let (new, mut listener) = lead(&groups, "a");
    // The old one ending late must not take the new one off the list.
    old.end();
    assert_eq!(groups.groups(), 1);
    new.publish(7, 1);
    assert_eq!(all(&mut listener).await, ["7", "waits"]);
}

#[tokio::test(start_paused = true)]
async fn exactly_one_listener_is_promoted_when_a_fetch_dies_unheard() {
    let groups = groups();
    let (publisher, mut first) = lead(&groups, "a");
    let mut others: Vec<_> = (0..9).map(|_| follow(&groups, "a")).collect();
    drop(publisher);
    let Event::Promoted(publisher) = others[3].next().await else { panic!("not promoted") };
    for listener in others.iter_mut().chain([&mut first]) {
        assert_eq!(next(listener).await, "waits");
    }
    // Who joins now follows the new fetch.
    let mut late = follow(&groups, "a");
    publisher.publish(5, 1);
    publisher.end();
    for listener in others.iter_mut().chain([&mut first, &mut late]) {
        assert_eq!(all(listener).await, ["5", "end"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_promotion_that_is_dropped_goes_to_the_next() {
    let groups = groups();
    let (publisher, mut first) = lead(&groups, "a");
    let mut second = follow(&groups, "a");
    drop(publisher);
    // The text drops the promotion with its publisher.
    assert_eq!(next(&mut first).await, "promoted");
    drop(first);
    assert_eq!(next(&mut second).await, "promoted");
    drop(second);
    assert_eq!(groups.groups(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_everybodys_and_a_break_after_events_restarts_nothing() {
    let groups = groups();
    let (publisher, mut first) = lead(&groups, "a");
    let mut second = follow(&groups, "a");
    publisher.fail("refused");
    assert_eq!(next(&mut first).await, "failed: refused");
    assert_eq!(next(&mut second).await, "failed: refused");

    let (publisher, mut first) = lead(&groups, "a");
    let mut second = follow(&groups, "a");
    publisher.publish(1, 1);
    assert_eq!(next(&mut first).await, "1");
    drop(publisher);
    assert_eq!(next(&mut first).await, "broken");
    assert_eq!(all(&mut second).await, ["1", "broken"]);
    let (_publisher, _listener) = lead(&groups, "a");
}

#[tokio::test(start_paused = true)]
async fn other_keys_never_share() {
    let groups = groups();
    let (a, _listener) = lead(&groups, "a");
    let (_b, mut listener) = lead(&groups, "b");
    a.publish(1, 1);
    a.end();
    assert_eq!(next(&mut listener).await, "waits");
}

#[tokio::test(start_paused = true)]
async fn a_listener_too_far_behind_is_cut_off_and_the_log_stays_bounded() {
    let groups = groups();
    let (publisher, mut quick) = lead(&groups, "a");
    let mut slow = follow(&groups, "a");
    for number in 0..30 {
        assert!(publisher.publish(number, 10));
        assert_eq!(next(&mut quick).await, number.to_string());
        assert!(groups.bytes() <= 110, "{}", groups.bytes());
    }
    assert_eq!(next(&mut slow).await, "lagged");
    assert_eq!(publisher.listeners(), 1);
    // Its beginning is gone, so nobody can join it any more.
    let (_other, _listener) = lead(&groups, "a");
    publisher.end();
    assert_eq!(next(&mut quick).await, "end");
}

#[tokio::test(start_paused = true)]
async fn past_the_total_the_newest_group_keeps_no_history() {
    let groups = groups();
    let mut held = Vec::new();
    for name in ["a", "b", "c"] {
        let (publisher, mut listener) = lead(&groups, name);
        for number in 0..9 {
            publisher.publish(number, 10);
            assert_eq!(next(&mut listener).await, number.to_string());
        }
        held.push((publisher, listener));
    }
    assert!(groups.bytes() <= 260, "{}", groups.bytes());
    assert!(matches!(groups.join(key("a")), Joined::Follow(_)));
    assert!(matches!(groups.join(key("c")), Joined::Lead(..)));
    drop(held);
    assert_eq!(groups.bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_number_of_groups_requests_go_alone() {
    let groups = groups();
    let _held: Vec<_> = ["a", "b", "c"].map(|name| lead(&groups, name)).into();
    assert!(matches!(groups.join(key("d")), Joined::Alone));
    assert!(matches!(groups.join(key("a")), Joined::Follow(_)));
}

#[tokio::test]
async fn a_hundred_identical_requests_on_many_threads_make_one_fetch() {
    let groups: Coalescer<u32, &'static str> = Coalescer::new(CoalesceLimits::default());
    let start = std::sync::Arc::new(std::sync::Barrier::new(4));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (groups, start) = (groups.clone(), std::sync::Arc::clone(&start));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                start.wait();
                runtime.block_on(async move {
                    let (mut fetches, mut tasks) = (0, Vec::new());
                    for _ in 0..25 {
                        let mut listener = match groups.join(key("same")) {
                            Joined::Lead(publisher, listener) => {
                                fetches += 1;
                                tasks.push(tokio::spawn(async move {
                                    // Until everybody has joined, so that no group ends early.
                                    while publisher.listeners() < 100 {
                                        tokio::task::yield_now().await;
                                    }
                                    for number in 0..50 {
                                        publisher.publish(number, 100);
                                        tokio::task::yield_now().await;
                                    }
                                    publisher.end();
                                }));
                                listener
                            }
                            Joined::Follow(listener) => listener,
                            Joined::Alone => panic!("alone"),
                        };
                        tasks.push(tokio::spawn(async move {
                            let mut expected = 0;
                            loop {
                                match listener.next().await {
                                    Event::Item(number) => {
                                        assert_eq!(number, expected);
                                        expected += 1;
                                    }
                                    Event::End => break,
                                    _ => panic!("neither an event nor the end"),
                                }
                            }
                            assert_eq!(expected, 50);
                        }));
                    }
                    for task in tasks {
                        task.await.unwrap();
                    }
                    fetches
                })
            })
        })
        .collect();
    let fetches: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!((fetches, groups.groups(), groups.bytes()), (1, 0, 0));
}

#[derive(Debug, Clone)]
enum Step {
    Join,
    Leave(usize),
    Publish,
    Read(usize),
    Die,
    End,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Join),
        2 => (0usize..8).prop_map(Step::Leave),
        4 => Just(Step::Publish),
        6 => (0usize..8).prop_map(Step::Read),
        1 => Just(Step::Die),
        1 => Just(Step::End),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever comes in whatever order: a listener reads 0, 1, 2 ... without gap or repetition, there is at most one
    /// publisher, and nothing is left when all have gone.
    #[test]
    fn no_listener_ever_misses_or_repeats_an_event(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let groups: Groups = Coalescer::new(CoalesceLimits { group_bytes: 1000, total_bytes: 1000, groups: 1 });
            let mut publisher: Option<Publisher<u32, &'static str>> = None;
            let mut sent = 0;
            let mut listeners: Vec<(Listener<u32, &'static str>, u32)> = Vec::new();
            for step in steps {
                match step {
                    Step::Join => match groups.join(key("a")) {
                        Joined::Lead(new, listener) => {
                            // Whoever still listens to an old answer is not part of the new one.
                            listeners.clear();
                            publisher = Some(new);
                            sent = 0;
                            listeners.push((listener, 0));
                        }
                        Joined::Follow(listener) => listeners.push((listener, 0)),
                        Joined::Alone => panic!("one group is allowed"),
                    },
                    Step::Leave(index) if index < listeners.len() => drop(listeners.swap_remove(index)),
                    Step::Publish => {
                        if let Some(publisher) = &publisher {
                            assert_eq!(publisher.publish(sent, 1), !listeners.is_empty());
                            sent += u32::from(!listeners.is_empty());
                        }
                    }
                    Step::Read(index) if index < listeners.len() => {
                        let (listener, expected) = &mut listeners[index];
                        match timeout(Duration::from_millis(1), listener.next()).await {
                            Ok(Event::Item(number)) => {
                                assert_eq!(number, *expected);
                                *expected += 1;
                            }
                            Ok(Event::Promoted(new)) => {
                                assert!(publisher.is_none() && sent == 0);
                                publisher = Some(new);
                            }
                            Ok(Event::End | Event::Broken) => assert!(publisher.is_none() && *expected == sent),
                            Ok(Event::Failed(_) | Event::Lagged) => panic!("nobody failed or lagged"),
                            Err(_) => assert!(*expected == sent && publisher.is_some()),
                        }
                    }
                    Step::Die => publisher = None,
                    Step::End => publisher.take().into_iter().for_each(Publisher::end),
                    Step::Leave(_) | Step::Read(_) => {}
                }
            }
            drop((publisher, listeners));
            assert_eq!((groups.groups(), groups.bytes()), (0, 0));
        });
    }
}
