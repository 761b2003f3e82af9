//! `sentinel health`: asks a running gateway, for container checks without another program in the image.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Longest wait for the gateway.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks and returns the status line.
///
/// # Errors
/// No answer, or another status than 200.
pub(super) fn ask(address: &str, ready: bool) -> Result<String, String> {
    let path = if ready { "/health/ready" } else { "/health/live" };
    let failed = |error: std::io::Error| format!("no answer from {address}: {error}");
    let resolved =
        address.to_socket_addrs().map_err(failed)?.next().ok_or(format!("{address:?} is no address"))?;
    let mut stream = TcpStream::connect_timeout(&resolved, PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer).map_err(failed)?;
    let text = String::from_utf8_lossy(&answer);
    let line = text.lines().next().unwrap_or_default().to_owned();
    if line.contains(" 200 ") { Ok(line) } else { Err(format!("{path}: {line}")) }
}
