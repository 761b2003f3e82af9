//! The chain's rules on examples, and random tampering that must always be named.

use proptest::prelude::*;
use sentinel_domain::audit::{AuditEvent, AuditRecord, RecoveryReason};

use super::*;

type Stored = (Hash, Vec<u8>);

fn record(n: u64) -> AuditRecord {
    AuditRecord {
        request_id: format!("request-{n}"),
        status: 200,
        prompt_tokens: n,
        ..AuditRecord::default()
    }
}

fn append(head: &mut Head, rows: &mut Vec<Stored>, mut record: AuditRecord) {
    let canonical = head.seal(&mut record);
    rows.push((head.hash, canonical));
}

fn chain(length: u64) -> (Vec<Stored>, Head) {
    let (mut rows, mut head) = (Vec::new(), Head::default());
    for n in 1..=length {
        append(&mut head, &mut rows, record(n));
    }
    (rows, head)
}

fn walk(mut verifier: Verifier, rows: &[Stored], head: Option<Head>) -> Verdict {
    for (hash, canonical) in rows {
        verifier.push(Row { position: None, hash: *hash, canonical });
    }
    verifier.finish(head)
}

fn verify(rows: &[Stored], head: Head) -> Option<(BreakKind, u64)> {
    let verdict = walk(Verifier::from_beginning(None).witness(head), rows, None);
    verdict.first_break.map(|found| (found.kind, found.sequence))
}

/// Gives a row new content with a right hash of its own.
fn forge(row: &Stored, change: impl FnOnce(&mut AuditRecord)) -> Stored {
    let line = crate::audit::canonical::with_hash(&row.1, &row.0.to_string());
    let mut record: AuditRecord = serde_json::from_slice(&line).unwrap();
    change(&mut record);
    let mut canonical = Vec::new();
    write_canonical(&record, &mut canonical);
    (Hash::of(&Hash::from_hex(&record.prev_hash).unwrap(), &canonical), canonical)
}

#[test]
fn an_untouched_chain_is_good() {
    for length in [0, 1, 2, 50] {
        let (rows, head) = chain(length);
        let verdict = walk(Verifier::from_beginning(None).witness(head), &rows, Some(head));
        assert_eq!((verdict.first_break, verdict.entries, verdict.head), (None, length, head));
    }
}

#[test]
fn each_kind_of_tampering_is_named_with_its_sequence() {
    type Change<'a> = &'a dyn Fn(&mut Vec<Stored>);
    let (rows, head) = chain(9);
    let tampered = |change: Change<'_>| {
        let mut rows = rows.clone();
        change(&mut rows);
        verify(&rows, head)
    };
    let cases: [(&str, Change<'_>, (BreakKind, u64)); 10] = [
        ("flipped content", &|rows| rows[4].1[12] ^= 1, (BreakKind::Altered, 5)),
        ("flipped hash", &|rows| rows[4].0.0[0] ^= 1, (BreakKind::Altered, 5)),
        ("deleted", &|rows| drop(rows.remove(4)), (BreakKind::Deleted, 5)),
        ("swapped", &|rows| rows.swap(4, 5), (BreakKind::Swapped, 5)),
        ("doubled", &|rows| rows.insert(4, rows[3].clone()), (BreakKind::Inserted, 4)),
        ("cut head", &|rows| drop(rows.drain(..3)), (BreakKind::HeadCut, 1)),
        ("cut tail", &|rows| rows.truncate(6), (BreakKind::TailCut, 7)),
        ("emptied", &|rows| rows.clear(), (BreakKind::TailCut, 1)),
        ("rewritten", &|rows| rows[4] = forge(&rows[4], |r| r.status = 500), (BreakKind::Rewritten, 5)),
        ("rewritten last", &|rows| rows[8] = forge(&rows[8], |r| r.status = 500), (BreakKind::Rewritten, 9)),
    ];
    for (name, change, expected) in cases {
        assert_eq!(tampered(change), Some(expected), "{name}");
    }
}

#[test]
fn a_replaced_chain_differs_from_the_head_kept_apart() {
    let (_, head) = chain(5);
    let (mut rows, mut other) = (Vec::new(), Head::default());
    for n in 11..=20 {
        append(&mut other, &mut rows, record(n));
    }
    assert_eq!(verify(&rows, head), Some((BreakKind::Rewritten, 5)));
}

#[test]
fn an_expired_head_is_no_break_and_a_cut_one_is() {
    let (mut rows, mut head) = chain(6);
    let anchor = AuditEvent::Anchor { sequence: 3, hash: rows[2].0.to_string() };
    append(&mut head, &mut rows, AuditRecord { event: Some(anchor), ..AuditRecord::default() });
    append(&mut head, &mut rows, record(8));
    // The expiry may be at work in slices: fewer rows gone than announced is fine, more is not.
    for (gone, expected) in [(0, None), (2, None), (3, None), (4, Some((BreakKind::HeadCut, 4)))] {
        assert_eq!(verify(&rows[gone..], head), expected, "{gone} rows gone");
    }
    let unannounced = chain(6);
    assert_eq!(verify(&unannounced.0[2..], unannounced.1), Some((BreakKind::HeadCut, 1)));
}

#[test]
fn an_anchor_with_another_hash_does_not_vouch() {
    let (mut rows, mut head) = chain(6);
    let anchor = AuditEvent::Anchor { sequence: 3, hash: rows[1].0.to_string() };
    append(&mut head, &mut rows, AuditRecord { event: Some(anchor), ..AuditRecord::default() });
    assert_eq!(verify(&rows[3..], head).map(|found| found.0), Some(BreakKind::HeadCut));
}

#[test]
fn what_was_found_at_a_start_stays_a_break_unless_it_was_only_an_unclean_stop() {
    for (reason, expected) in [
        (RecoveryReason::UncleanStop, None),
        (RecoveryReason::TailMissing, Some((BreakKind::TailCut, 5))),
        (RecoveryReason::StoreReplaced, Some((BreakKind::StoreReplaced, 5))),
        (RecoveryReason::HeadMissing, Some((BreakKind::HeadLost, 5))),
    ] {
        let (mut rows, mut head) = chain(4);
        let event = AuditEvent::Recovered { reason, expected_sequence: 4, found_sequence: 4, aborted: 0 };
        append(&mut head, &mut rows, AuditRecord { event: Some(event), ..AuditRecord::default() });
        append(&mut head, &mut rows, record(6));
        assert_eq!(verify(&rows, head), expected, "{reason:?}");
    }
}

#[test]
fn heads_survive_their_stored_form() {
    let (_, head) = chain(3);
    assert_eq!(Head::from_bytes(&head.to_bytes()).unwrap(), head);
    assert!(Head::from_bytes(&[0; 39]).is_err());
    assert!(Head::from_bytes(&[]).is_err());
}

/// One act of a forger on a chain.
#[derive(Debug, Clone)]
enum Act {
    Flip { row: usize, byte: usize, bit: u8 },
    FlipHash { row: usize, byte: usize, bit: u8 },
    Delete(usize),
    Swap(usize, usize),
    Double { row: usize, to: usize },
    Forge(usize),
    CutHead(usize),
    CutTail(usize),
}

fn acts(length: usize) -> impl Strategy<Value = Act> {
    let row = 0..length;
    prop_oneof![
        (row.clone(), 0..400_usize, 0..8_u8).prop_map(|(row, byte, bit)| Act::Flip { row, byte, bit }),
        (row.clone(), 0..32_usize, 0..8_u8).prop_map(|(row, byte, bit)| Act::FlipHash { row, byte, bit }),
        row.clone().prop_map(Act::Delete),
        (row.clone(), row.clone())
            .prop_filter("two rows", |(a, b)| a != b)
            .prop_map(|(a, b)| Act::Swap(a, b)),
        (row.clone(), row.clone()).prop_map(|(row, to)| Act::Double { row, to }),
        row.clone().prop_map(Act::Forge),
        (1..length).prop_map(Act::CutHead),
        (1..length).prop_map(Act::CutTail),
    ]
}

/// Does it, and says which sequence must be named.
fn commit(act: &Act, rows: &mut Vec<Stored>) -> u64 {
    let length = rows.len();
    let first = match *act {
        Act::Flip { row, byte, bit } => {
            let bytes = &mut rows[row].1;
            let at = byte % bytes.len();
            bytes[at] ^= 1 << bit;
            row
        }
        Act::FlipHash { row, byte, bit } => {
            rows[row].0.0[byte] ^= 1 << bit;
            row
        }
        Act::Delete(row) => {
            rows.remove(row);
            row
        }
        Act::Swap(a, b) => {
            rows.swap(a, b);
            a.min(b)
        }
        Act::Double { row, to } => {
            let copy = rows[row].clone();
            rows.insert(to, copy);
            row.min(to)
        }
        Act::Forge(row) => {
            rows[row] = forge(&rows[row], |record| record.latency_ms += 1);
            row
        }
        Act::CutHead(count) => {
            rows.drain(..count);
            0
        }
        Act::CutTail(count) => {
            rows.truncate(length - count);
            length - count
        }
    };
    first as u64 + 1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn random_tampering_is_always_named_where_it_begins(
        (length, act) in (2..12_usize).prop_flat_map(|length| (Just(length), acts(length))),
    ) {
        let (mut rows, head) = chain(length as u64);
        let first = commit(&act, &mut rows);
        let (kind, sequence) = verify(&rows, head).expect("tampering was not noticed");
        // A chain that lost its first row, or whose first row is out of place, can only be called cut from 1 on.
        prop_assert!(
            sequence == first || (kind == BreakKind::HeadCut && sequence <= first),
            "{act:?} was called {kind} at {sequence}, expected {first}"
        );
    }
}
