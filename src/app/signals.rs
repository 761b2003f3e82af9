//! Signals: a first one to stop begins the drain, a second one ends it, SIGHUP reads the configuration again.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// End after draining; SIGTERM.
    Terminate,
    /// End after draining, without the lame-duck time; SIGINT.
    Interrupt,
    /// Read the configuration again; SIGHUP.
    Reload,
}

impl Wish {
    /// Returns the exit code of a process that this signal ends at once.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Terminate => 143,
            Self::Interrupt => 130,
            Self::Reload => 1,
        }
    }
}

/// Waits for signals. From its making on, none of them ends the process by itself.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals over.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn take() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Terminate,
            _ = self.interrupt.recv() => Wish::Interrupt,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    /// Waits for the next one that asks to end.
    pub async fn next_stop(&mut self) -> Wish {
        loop {
            let wish = self.next().await;
            if wish != Wish::Reload {
                return wish;
            }
        }
    }
}
