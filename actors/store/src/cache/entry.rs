//! One stored answer, and its form outside this process: versioned and checksummed.

use bytes::{BufMut as _, Bytes, BytesMut};
use sentinel_domain::{NanoUsd, Usage};
use serde::{Deserialize, Serialize};

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheBody {
    /// A whole answer.
    Unary(Bytes),
    /// A stream's events, in order.
    Events(Vec<Bytes>),
}

/// One complete answer with what is needed to give it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// The answer.
    pub body: CacheBody,
    /// Who answered.
    pub provider: String,
    /// The model that answered.
    pub model: String,
    /// What it used.
    pub usage: Usage,
    /// What it cost, and what a hit saves.
    pub cost: Option<NanoUsd>,
    /// When it was made, milliseconds since 1970-01-01.
    pub created_ms: u64,
}

/// Changes whenever the form below does; other versions are misses.
const VERSION: u8 = 1;
const MAGIC: &[u8; 4] = b"snt\x01";
/// Magic, version, CRC-32 of the rest, length of the head.
const PREFIX: usize = 4 + 1 + 4 + 4;
/// What an entry takes in memory beside its texts, roughly.
const OVERHEAD: usize = 256;

#[derive(Serialize, Deserialize)]
struct Head {
    provider: String,
    model: String,
    usage: Usage,
    cost_nano: Option<i64>,
    created_ms: u64,
    /// Lengths of the events; absent for a whole answer.
    events: Option<Vec<u32>>,
}

impl CacheEntry {
    /// Returns the bytes that it takes in memory, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        let body = match &self.body {
            CacheBody::Unary(body) => body.len(),
            CacheBody::Events(events) => {
                events.iter().map(|event| event.len() + std::mem::size_of::<Bytes>()).sum()
            }
        };
        OVERHEAD + body + self.provider.len() + self.model.len()
    }

    /// Writes the form for a store outside this process, or `None` if it is too large for that.
    #[must_use]
    pub fn encode(&self) -> Option<Bytes> {
        let (events, length) = match &self.body {
            CacheBody::Unary(body) => (None, body.len()),
            CacheBody::Events(events) => {
                let lengths: Result<Vec<u32>, _> =
                    events.iter().map(|event| u32::try_from(event.len())).collect();
                (Some(lengths.ok()?), events.iter().map(Bytes::len).sum())
            }
        };
        let head = serde_json::to_vec(&Head {
            provider: self.provider.clone(),
            model: self.model.clone(),
            usage: self.usage,
            cost_nano: self.cost.map(NanoUsd::nano),
            created_ms: self.created_ms,
            events,
        })
        .ok()?;
        let mut rest = BytesMut::with_capacity(PREFIX + head.len() + length);
        rest.put_slice(MAGIC);
        rest.put_u8(VERSION);
        rest.put_u32(0);
        rest.put_u32(u32::try_from(head.len()).ok()?);
        rest.put_slice(&head);
        match &self.body {
            CacheBody::Unary(body) => rest.put_slice(body),
            CacheBody::Events(events) => events.iter().for_each(|event| rest.put_slice(event)),
        }
        let checksum = crc32fast::hash(rest.get(9..)?);
        rest.get_mut(5..9)?.copy_from_slice(&checksum.to_be_bytes());
        Some(rest.freeze())
    }

    /// Reads that form; anything unexpected is `None`.
    #[must_use]
    pub fn decode(mut bytes: Bytes) -> Option<Self> {
        let prefix = bytes.get(..PREFIX)?;
        let (magic, rest) = prefix.split_first_chunk::<4>()?;
        let (version, rest) = rest.split_first()?;
        let (checksum, rest) = rest.split_first_chunk::<4>()?;
        let (head_length, _) = rest.split_first_chunk::<4>()?;
        let is_ours = magic == MAGIC
            && *version == VERSION
            && u32::from_be_bytes(*checksum) == crc32fast::hash(bytes.get(9..)?);
        let head_end = PREFIX.checked_add(usize::try_from(u32::from_be_bytes(*head_length)).ok()?)?;
        if !is_ours || head_end > bytes.len() {
            return None;
        }
        let mut body = bytes.split_off(head_end);
        let head: Head = serde_json::from_slice(bytes.get(PREFIX..)?).ok()?;
        let body = match head.events {
            None => CacheBody::Unary(body),
            Some(lengths) => {
                let mut events = Vec::with_capacity(lengths.len());
                for length in lengths {
                    let length = usize::try_from(length).ok().filter(|length| *length <= body.len())?;
                    events.push(body.split_to(length));
                }
                if !body.is_empty() {
                    return None;
                }
                CacheBody::Events(events)
            }
        };
        Some(Self {
            body,
            provider: head.provider,
            model: head.model,
            usage: head.usage,
            cost: head.cost_nano.map(NanoUsd::new),
            created_ms: head.created_ms,
        })
    }
}
