//! The hand-written writer against a generic one that sorts, and the layout of numbers.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sentinel_domain::money::NanoUsd;
use serde_json::Value;

use super::*;

/// Writes any JSON value in the canonical form.
fn write_sorted(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            out.push(b'{');
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_text(key, out);
                out.push(b':');
                write_sorted(value, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_sorted(item, out);
            }
            out.push(b']');
        }
        Value::Number(number) if number.is_f64() => write_float(number.as_f64().unwrap(), out),
        other => out.extend_from_slice(other.to_string().as_bytes()),
    }
}

fn records() -> impl Strategy<Value = AuditRecord> {
    let text = "\\PC{0,8}|[\\x00-\\x1f\"\\\\]{0,4}";
    (
        (text, proptest::option::of(text), proptest::option::of(text), proptest::option::of(text)),
        (any::<u64>(), any::<u32>(), any::<u16>(), any::<bool>()),
        (proptest::option::of(0..1_000_000_000_000_i64), proptest::option::of(0.0..1.0_f64)),
        proptest::collection::btree_map(text, any::<u64>(), 0..4),
        proptest::collection::vec((any::<u64>(), text, text), 0..3),
        (proptest::option::of(text), 0..6_usize),
    )
        .prop_map(|(texts, numbers, floats, pii_detected, steps, (content, event))| AuditRecord {
            request_id: texts.0.clone(),
            client_addr: texts.0,
            key: texts.1,
            model: texts.2,
            error_code: texts.3,
            sequence: numbers.0,
            attempts: numbers.1,
            status: numbers.2,
            stream: numbers.3,
            cost_usd: floats.0.map(NanoUsd::new),
            injection_score: floats.1,
            pii_detected,
            timeline: steps
                .into_iter()
                .map(|(at_ms, step, detail)| TimelineStep { at_ms, step, detail })
                .collect(),
            usage_source: [None, Some(UsageSource::Provider), Some(UsageSource::Estimated)]
                .get(event)
                .copied()
                .flatten(),
            event: events().get(event).cloned(),
            content,
            ..AuditRecord::default()
        })
}

fn events() -> Vec<AuditEvent> {
    let recovered =
        |reason| AuditEvent::Recovered { reason, expected_sequence: 9, found_sequence: 7, aborted: 2 };
    vec![
        AuditEvent::Anchor { sequence: 4, hash: "00ff".into() },
        recovered(RecoveryReason::UncleanStop),
        recovered(RecoveryReason::TailMissing),
        recovered(RecoveryReason::StoreReplaced),
        recovered(RecoveryReason::HeadMissing),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_hand_written_text_is_the_sorted_one(record in records()) {
        let mut written = Vec::new();
        write_canonical(&record, &mut written);
        let mut value = serde_json::to_value(&record).unwrap();
        value.as_object_mut().unwrap().remove("hash");
        let mut sorted = Vec::new();
        write_sorted(&value, &mut sorted);
        prop_assert_eq!(String::from_utf8(written).unwrap(), String::from_utf8(sorted).unwrap());
    }

    #[test]
    fn a_complete_line_reads_back_with_its_hash(mut record in records()) {
        record.hash = "ab".repeat(32);
        let mut canonical = Vec::new();
        write_canonical(&record, &mut canonical);
        let line = with_hash(&canonical, &record.hash);
        let read: AuditRecord = serde_json::from_slice(&line).unwrap();
        prop_assert_eq!(&read.hash, &record.hash);
        prop_assert_eq!(read.request_id, record.request_id);
    }
}

#[test]
fn numbers_have_one_form() {
    for (value, text) in [
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (1.0, "1.0"),
        (0.25, "0.25"),
        (0.0001, "0.0001"),
        (0.00001275, "1.275e-05"),
        (0.0000015, "1.5e-06"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (1.5e300, "1.5e+300"),
        (f64::NAN, "null"),
        (f64::INFINITY, "null"),
    ] {
        let mut out = Vec::new();
        write_float(value, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
    for value in [0, 7, 10, u64::MAX] {
        let mut out = Vec::new();
        write_integer(value, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
    }
}
