//! Recorded exchanges of real providers, where they are at hand, through the whole crate.
//!
//! What comes out is put together the way the official client does and compared with what was recorded. The
//! recordings are not part of the repository: `SENTINEL_SHARED` names the directory that holds `wire/`; without it
//! the test says that it skipped.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail as tests do")]

#[path = "recorded/client.rs"]
mod client;
#[path = "recorded/expect.rs"]
mod expect;

use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;
use sentinel_domain::policy::ProviderKind;
use sentinel_wire::{
    ChatRequest, Completion, EncodeOptions, Encoded, Limits, StreamItem, UpstreamFailure, dialect,
};
use serde_json::{Value, json};

/// Recordings that are known not to come out as recorded, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("SENTINEL_SHARED").map(PathBuf::from);
    let root = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let wire = root.join("wire");
    if wire.join("index.jsonl").is_file() {
        return Some(wire);
    }
    println!("skipped: no recordings at {}", wire.display());
    None
}

pub(crate) struct Recording {
    pub(crate) id: String,
    pub(crate) kind: ProviderKind,
    pub(crate) status: u16,
    pub(crate) stream: bool,
    pub(crate) tags: Vec<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) raw: String,
    pub(crate) request: Value,
}

impl Recording {
    fn has(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }
}

fn recordings() -> Option<Vec<Recording>> {
    let root = shared()?;
    let index = std::fs::read_to_string(root.join("index.jsonl")).unwrap();
    let read = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let file = std::fs::read_to_string(root.join(row["file"].as_str().unwrap())).unwrap();
        let fixture: Value = serde_json::from_str(&file).unwrap();
        let response = &fixture["response"];
        let headers = response["headers"].as_object().into_iter().flatten();
        Recording {
            id: row["id"].as_str().unwrap().to_owned(),
            kind: if row["wire"] == "anthropic" { ProviderKind::Anthropic } else { ProviderKind::OpenAi },
            status: u16::try_from(response["status"].as_u64().unwrap()).unwrap(),
            stream: response["body_kind"] == "sse",
            tags: row["tags"]
                .as_array()
                .unwrap()
                .iter()
                .map(|tag| tag.as_str().unwrap().to_owned())
                .collect(),
            headers: headers
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            raw: response["raw"].as_str().unwrap().to_owned(),
            request: fixture["request"]["body"].clone(),
        }
    };
    Some(index.lines().map(read).collect())
}

/// A request of the client's that asks for what was recorded, as far as that matters to the answer.
fn encoded(recording: &Recording, include_usage: bool) -> Encoded {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    if recording.stream {
        body["stream"] = true.into();
        if include_usage {
            body["stream_options"] = json!({"include_usage": true});
        }
    }
    // An answer of the older kind is only expected by a client that asked in the older way.
    let request = ChatRequest::parse(Bytes::from(body.to_string()), &Limits::default()).unwrap();
    dialect::encode(recording.kind, &request, "m", &EncodeOptions { created: 5, ..EncodeOptions::default() })
        .unwrap()
}

fn whole(recording: &Recording, hints: &sentinel_wire::Hints) -> Result<Completion, Box<UpstreamFailure>> {
    let body = Bytes::from(recording.raw.clone());
    dialect::decode_unary(
        recording.kind,
        recording.status,
        &recording.headers,
        body,
        hints,
        SystemTime::UNIX_EPOCH,
    )
}

fn streamed(recording: &Recording, hints: &sentinel_wire::Hints, split: usize) -> Vec<StreamItem> {
    let mut decoder = dialect::decode_stream(recording.kind, hints.clone(), 1 << 20);
    let mut items = Vec::new();
    let bytes = recording.raw.as_bytes();
    for piece in bytes.chunks(split.min(bytes.len()).max(1)) {
        decoder.feed(Bytes::copy_from_slice(piece));
        while let Some(item) = decoder.next_item() {
            items.push(item);
        }
    }
    decoder.finish();
    while let Some(item) = decoder.next_item() {
        items.push(item);
    }
    items
}

fn check(recording: &Recording, split: usize) -> Result<(), String> {
    if recording.status != 200 {
        let failure = match whole(recording, &encoded(recording, false).hints) {
            Ok(_) => return Err("a failing status decoded as an answer".to_owned()),
            Err(failure) => failure,
        };
        return expect::failure(recording, &failure);
    }
    if !recording.stream {
        return expect::unary(recording, whole(recording, &encoded(recording, false).hints));
    }
    for include_usage in [true, false] {
        let items = streamed(recording, &encoded(recording, include_usage).hints, split);
        expect::stream(recording, &items, include_usage)
            .map_err(|why| format!("{why} (usage asked for: {include_usage})"))?;
    }
    Ok(())
}

#[test]
fn recorded_answers_come_out_as_recorded_however_they_are_cut() {
    let Some(recordings) = recordings() else { return };
    for (name, split) in [("whole", usize::MAX), ("7 bytes", 7), ("1 byte", 1)] {
        let mut failed = Vec::new();
        // Only streams arrive in pieces; a whole answer is read when it is all there.
        let chosen: Vec<_> = recordings.iter().filter(|one| split == usize::MAX || one.stream).collect();
        for recording in &chosen {
            if let Err(why) = check(recording, split) {
                failed.push((recording.id.clone(), why));
            }
        }
        let (known, new): (Vec<_>, Vec<_>) =
            failed.iter().partition(|(id, _)| EXCEPTIONS.iter().any(|(known, _)| known == id));
        for (id, why) in &failed {
            println!("{name}: {id}: {why}");
        }
        let passed = chosen.len() - failed.len();
        println!(
            "{name}: {passed} of {} as recorded ({:.2} %), {} of them known exceptions",
            chosen.len(),
            passed as f64 * 100.0 / chosen.len() as f64,
            known.len(),
        );
        assert!(new.is_empty(), "{name}: {} recordings do not come out as recorded", new.len());
    }
}

#[test]
fn recorded_requests_are_accepted_and_translated() {
    let Some(recordings) = recordings() else { return };
    let mut refused = Vec::new();
    let mut untranslated = Vec::new();
    let mut count = 0;
    for recording in recordings.iter().filter(|recording| recording.kind == ProviderKind::OpenAi) {
        let mut body = recording.request.clone();
        let Some(fields) = body.as_object_mut() else { continue };
        fields.entry("model").or_insert_with(|| "m".into());
        count += 1;
        let bytes = Bytes::from(body.to_string());
        let request = match ChatRequest::parse(bytes.clone(), &Limits::default()) {
            Ok(request) => request,
            Err(error) => {
                // A provider's own refusal is no request that has to be accepted.
                if recording.status == 200 {
                    refused.push(format!("{}: {error} {:?}", recording.id, error.param));
                }
                continue;
            }
        };
        let slots: Vec<_> =
            request.texts().into_iter().map(|slot| (slot.id, slot.text.into_owned())).collect();
        let same = request.with_texts(&slots).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(same.body()).unwrap(), body, "{}", recording.id);
        let options = EncodeOptions::default();
        let passed = dialect::encode(ProviderKind::OpenAi, &request, request.model(), &options).unwrap();
        if !request.stream() {
            assert_eq!(passed.body, bytes, "{}", recording.id);
        }
        match dialect::encode(ProviderKind::Anthropic, &request, "claude-sonnet-4-5", &options) {
            Ok(encoded) => expect::anthropic_request(&recording.id, &encoded.body),
            Err(error) => untranslated.push(format!("{}: {error} {:?}", recording.id, error.param)),
        }
    }
    println!("{count} requests, {} cannot be translated:\n{}", untranslated.len(), untranslated.join("\n"));
    assert!(refused.is_empty(), "refused:\n{}", refused.join("\n"));
    // What cannot be expressed is said so, and nothing real is refused for another reason.
    assert!(untranslated.iter().all(|line| line.contains("unsupported_parameter")));
}
