//! One writer for one directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::AuditError;

/// Holds the directory for this process. The system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the directory.
    ///
    /// # Errors
    /// [`AuditError::Locked`] with the holder's process id if somebody has it.
    pub(crate) fn take(directory: &Path) -> Result<Self, AuditError> {
        let path = directory.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(AuditError::file("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = (&file).take(20).read_to_string(&mut text);
                let pid = if read.is_ok() { text.trim() } else { "" };
                let pid = if pid.is_empty() { "unknown" } else { pid }.to_owned();
                return Err(AuditError::Locked { path: directory.to_path_buf(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(AuditError::file("lock", &path)(error)),
        }
        // The name of the holder is for people; a full disk must not prevent a start.
        let noted = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        if let Err(error) = noted {
            tracing::warn!(%error, "the lock file does not name this process");
        }
        Ok(Self { _file: file })
    }
}
