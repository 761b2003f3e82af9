//! Writes server-sent events: one `data:` line a chunk, a comment in silence, `[DONE]` only after a real end.

use actix_web::web::{Bytes, BytesMut};
use sentinel_domain::{ApiError, RequestId};

use super::error;

/// Ends a stream that really ended.
pub const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// Keeps middleboxes from cutting a silent connection.
pub const PING: Bytes = Bytes::from_static(b": ping\n\n");

/// Frames one chunk. The text must be a single line, as JSON without line breaks is.
#[must_use]
pub fn data(json: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(json.len() + 8);
    frame.extend_from_slice(b"data: ");
    if json.contains(&b'\n') || json.contains(&b'\r') {
        // JSON may hold line breaks between its tokens; as one event they would be several lines.
        frame.extend(json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    } else {
        frame.extend_from_slice(json);
    }
    frame.extend_from_slice(b"\n\n");
    frame.freeze()
}

/// Frames a failure after the answer had begun.
#[must_use]
pub fn failure(error: &ApiError, id: &RequestId) -> Bytes {
    data(error::body(error, id).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_always_one_line() {
        assert_eq!(data(b"{\n\"a\":\r1}"), Bytes::from_static(b"data: { \"a\": 1}\n\n"));
        assert_eq!(data(b"{}"), Bytes::from_static(b"data: {}\n\n"));
    }
}
