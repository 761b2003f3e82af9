//! Reads one HTTP/1.1 request from a socket: the head with `httparse`, the body by length or by chunks.
//!
//! Nothing is normalised away: the head is kept byte for byte, since tests assert on what a gateway really sent.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// A head larger than this is refused.
const MAX_HEAD: usize = 256 * 1024;
/// A body larger than this is refused; well above any limit that a gateway in front would use.
const MAX_BODY: usize = 64 * 1024 * 1024;
/// More header lines than this are refused.
const MAX_HEADERS: usize = 128;

/// Why a request cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum RequestError {
    #[error("malformed request head")]
    Head,
    #[error("malformed chunked body")]
    Chunk,
    #[error("request larger than the mock accepts")]
    TooLarge,
}

/// The head of a request whose body may still be on its way.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// The head as it came, with its final blank line.
    pub(crate) raw: Bytes,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    length: BodyLength,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyLength {
    Known(usize),
    Chunked,
}

impl Head {
    /// Takes a complete head off the front of `inbox`; `None` while it is incomplete.
    ///
    /// # Errors
    /// [`RequestError::Head`] for anything that is not HTTP/1.x, [`RequestError::TooLarge`] above the limits.
    pub(crate) fn take(inbox: &mut BytesMut) -> Result<Option<Self>, RequestError> {
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut slots);
        let size = match parsed.parse(inbox) {
            Ok(httparse::Status::Complete(size)) => size,
            Ok(httparse::Status::Partial) if inbox.len() > MAX_HEAD => return Err(RequestError::TooLarge),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(RequestError::Head),
        };
        let mut length = BodyLength::Known(0);
        let mut keep_alive = parsed.version == Some(1);
        let mut expects_continue = false;
        for header in parsed.headers.iter() {
            let value = str::from_utf8(header.value).unwrap_or_default().trim();
            if header.name.eq_ignore_ascii_case("content-length") {
                length = BodyLength::Known(value.parse().map_err(|_| RequestError::Head)?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                length = BodyLength::Chunked;
            } else if header.name.eq_ignore_ascii_case("connection") {
                keep_alive = keep_alive && !value.eq_ignore_ascii_case("close");
            } else if header.name.eq_ignore_ascii_case("expect") {
                expects_continue = value.eq_ignore_ascii_case("100-continue");
            }
        }
        let method = parsed.method.unwrap_or_default().to_owned();
        let target = parsed.path.unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default().to_owned();
        let raw = inbox.split_to(size).freeze();
        Ok(Some(Self { raw, method, path, keep_alive, expects_continue, length }))
    }

    /// Returns the first value of a header, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header_in(&self.raw, name)
    }

    /// Takes a complete body off the front of `inbox`; `None` while it is incomplete.
    ///
    /// # Errors
    /// [`RequestError::Chunk`] for bad chunk framing, [`RequestError::TooLarge`] above the limit.
    pub(crate) fn take_body(&self, inbox: &mut BytesMut) -> Result<Option<Bytes>, RequestError> {
        match self.length {
            BodyLength::Known(0) => Ok(Some(Bytes::new())),
            BodyLength::Known(size) if size > MAX_BODY => Err(RequestError::TooLarge),
            BodyLength::Known(size) if inbox.len() < size => Ok(None),
            BodyLength::Known(size) => Ok(Some(inbox.split_to(size).freeze())),
            BodyLength::Chunked => take_chunked(inbox),
        }
    }
}

/// Returns the first value of a header in a raw head.
pub(crate) fn header_in<'head>(raw: &'head [u8], name: &str) -> Option<&'head str> {
    raw.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let value = line.get(name.len()..)?.strip_prefix(b":")?;
        let matches = line.get(..name.len())?.eq_ignore_ascii_case(name.as_bytes());
        matches.then(|| str::from_utf8(value).unwrap_or_default().trim())
    })
}

/// Decodes a chunked body once its last chunk is there. Trailers are not supported, as no client of ours sends any.
fn take_chunked(inbox: &mut BytesMut) -> Result<Option<Bytes>, RequestError> {
    let mut rest: &[u8] = inbox;
    let mut body = BytesMut::new();
    loop {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) else {
            return if httparse::parse_chunk_size(rest).is_err() {
                Err(RequestError::Chunk)
            } else {
                Ok(None)
            };
        };
        let size = usize::try_from(size).map_err(|_| RequestError::TooLarge)?;
        if body.len().saturating_add(size) > MAX_BODY {
            return Err(RequestError::TooLarge);
        }
        let (Some(data), Some(end)) =
            (rest.get(start..start + size), rest.get(start + size..start + size + 2))
        else {
            return Ok(None);
        };
        if end != b"\r\n" {
            return Err(RequestError::Chunk);
        }
        body.extend_from_slice(data);
        rest = rest.get(start + size + 2..).unwrap_or_default();
        if size == 0 {
            let used = inbox.len() - rest.len();
            inbox.advance(used);
            return Ok(Some(body.freeze()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_whatever_the_split() {
        let wire = b"POST /v1/messages?beta=true HTTP/1.1\r\nHost: a\r\nX-Api-Key: k\r\nContent-Length: 4\r\n\r\nbodyGET";
        for cut in 0..wire.len() {
            let mut inbox = BytesMut::from(&wire[..cut]);
            let early = Head::take(&mut inbox).unwrap();
            inbox.extend_from_slice(&wire[cut..]);
            let head = early.or_else(|| Head::take(&mut inbox).unwrap()).unwrap();
            assert_eq!((head.method.as_str(), head.path.as_str()), ("POST", "/v1/messages"));
            assert_eq!(head.header("x-api-key"), Some("k"));
            assert_eq!(head.take_body(&mut inbox).unwrap().unwrap(), "body");
            assert_eq!(&inbox[..], b"GET");
        }
    }

    #[test]
    fn a_chunked_body_is_joined_and_a_bad_one_refused() {
        let mut inbox = BytesMut::from(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\nX",
        );
        let head = Head::take(&mut inbox).unwrap().unwrap();
        assert_eq!(head.take_body(&mut inbox).unwrap().unwrap(), "abcd");
        assert_eq!(&inbox[..], b"X");
        assert_eq!(head.take_body(&mut BytesMut::from("zz\r\n")), Err(RequestError::Chunk));
        assert_eq!(head.take_body(&mut BytesMut::from("3\r\nabcde")), Err(RequestError::Chunk));
        assert_eq!(head.take_body(&mut BytesMut::from("3\r\nab")), Ok(None));
    }
}
