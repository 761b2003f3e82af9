//! The accept loop and its listening modes.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::{Command, Listening, Shared};

/// Pause after a failed accept (out of file descriptors) or bind, so that the loop does not spin.
const RETRY: Duration = Duration::from_millis(20);

/// Serves until it is told to stop.
pub(crate) async fn run(
    first: StdListener,
    addr: SocketAddr,
    shared: Arc<Shared>,
    mut orders: watch::Receiver<Command>,
) {
    let mut listener = TcpListener::from_std(first).ok();
    let mut connections = JoinSet::new();
    loop {
        let Command::Listen(mode) = *orders.borrow_and_update() else { return };
        if mode == Listening::Refuse {
            listener = None;
            connections.shutdown().await;
            if orders.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(socket) = &listener else {
            // The same port again; tokio sets SO_REUSEADDR, so connections in TIME_WAIT do not hold it.
            listener = TcpListener::bind(addr).await.ok();
            if listener.is_none() {
                tokio::time::sleep(RETRY).await;
            }
            continue;
        };
        tokio::select! {
            changed = orders.changed() => if changed.is_err() { return },
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => admit(stream, mode, &shared, &mut connections),
                Err(_) => tokio::time::sleep(RETRY).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

fn admit(stream: TcpStream, mode: Listening, shared: &Arc<Shared>, connections: &mut JoinSet<()>) {
    match mode {
        Listening::Open | Listening::Refuse => {
            connections.spawn(Connection::new(stream, Arc::clone(shared)).serve());
        }
        Listening::ResetOnAccept => {
            let _ = stream.set_zero_linger();
        }
        Listening::HangOnAccept => {
            connections.spawn(async move {
                let _held = stream;
                std::future::pending::<()>().await;
            });
        }
    }
}
