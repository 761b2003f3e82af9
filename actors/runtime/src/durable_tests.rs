//! Admission, redelivery and giving up.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::{Durable, DurableQueue};

fn queue(capacity: usize, max_attempts: u32) -> DurableQueue<u32> {
    DurableQueue::new(capacity, max_attempts, |_| {})
}

#[test]
fn admission_is_bounded_and_an_unused_slot_gives_its_room_back() {
    let queue = queue(2, 3);
    let (first, second) = (queue.reserve(), queue.reserve());
    assert!(first.is_some() && second.is_some() && queue.reserve().is_none());
    assert_eq!(queue.outstanding(), 2, "a refusal leaves nothing behind");
    drop(first);
    assert!(queue.reserve().is_some());
    let durable = second.map(|slot| slot.fill(7)).expect("room");
    assert_eq!((queue.outstanding(), *durable), (1, 7));
    durable.ack();
    assert_eq!(queue.outstanding(), 0);
}

#[test]
fn dropped_message_comes_back_in_order_and_keeps_its_room() {
    let queue = queue(8, 3);
    for value in 0..3 {
        drop(queue.reserve().expect("room").fill(value));
    }
    assert_eq!((queue.outstanding(), queue.waiting()), (3, 3));
    let first: Vec<_> = queue.drain(2);
    assert_eq!(first.iter().map(|durable| (durable.id(), **durable)).collect::<Vec<_>>(), [(0, 0), (1, 1)]);
    first.into_iter().for_each(Durable::ack);
    assert_eq!((queue.outstanding(), queue.waiting(), queue.redelivered()), (1, 1, 2));
}

#[test]
fn message_that_was_never_begun_is_redelivered_without_end() {
    let queue = queue(1, 1);
    drop(queue.reserve().expect("room").fill(1));
    for _ in 0..100 {
        assert_eq!(queue.drain(10).len(), 1);
    }
    assert_eq!(queue.dead_letters(), 0);
}

#[test]
fn message_begun_too_often_is_a_dead_letter_and_frees_its_room() {
    let letters = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let sink = Arc::clone(&letters);
    let queue = DurableQueue::new(1, 3, move |letter| sink.lock().push((letter.attempts, *letter.value)));
    let mut durable = queue.reserve().expect("room").fill(9_u32);
    durable.attempt();
    drop(durable);
    for _ in 0..2 {
        for mut back in queue.drain(1) {
            back.attempt();
        }
    }
    assert_eq!(*letters.lock(), [(3, 9)]);
    assert_eq!((queue.outstanding(), queue.waiting(), queue.dead_letters()), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn consumer_is_woken_when_something_comes_back() {
    let queue = queue(1, 3);
    let durable = queue.reserve().expect("room").fill(1);
    let (woken, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(1), queue.returned()), async {
        tokio::task::yield_now().await;
        drop(durable);
    });
    assert_eq!(woken, Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Each admitted message is at every moment in exactly one place: held, waiting, acknowledged or dead.
    #[test]
    fn every_message_is_accounted_for(steps in prop::collection::vec(0_u8..5, 0..200)) {
        let queue = queue(8, 3);
        let mut held: Vec<Durable<u32>> = Vec::new();
        let (mut admitted, mut acknowledged) = (0, 0);
        for step in steps {
            match step {
                0 | 1 => if let Some(slot) = queue.reserve() {
                    held.push(slot.fill(admitted));
                    admitted += 1;
                },
                2 => if let Some(durable) = held.pop() {
                    durable.ack();
                    acknowledged += 1;
                },
                3 => if let Some(mut durable) = held.pop() {
                    durable.attempt();
                },
                _ => held.extend(queue.drain(3)),
            }
            prop_assert_eq!(queue.outstanding(), held.len() + queue.waiting());
            prop_assert!(queue.outstanding() <= 8);
            let ended = acknowledged + queue.dead_letters();
            prop_assert_eq!(u64::from(admitted), ended + queue.outstanding() as u64);
        }
    }
}
