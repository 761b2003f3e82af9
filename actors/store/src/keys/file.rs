//! Stored keys in a file of their own.
//!
//! The embedded database admits one process at a time, and that is the running daemon. Keys must be made and revoked
//! beside it, so they live in `keys.json`: written whole to a temporary file, synced, and renamed over the old
//! one, under an advisory lock that writers take in turn. A reader therefore sees either the old keys or the new, never
//! a part, and notices the exchange by the file's identity, size and time.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record::KeyRecord;
use crate::error::StoreError;

#[derive(Serialize, Deserialize, Default)]
struct Content {
    version: u32,
    keys: Vec<KeyRecord>,
}

const VERSION: u32 = 1;

/// The file of stored keys.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// Takes the data directory; the file need not exist yet.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { path: directory.join("keys.json") }
    }

    /// Returns the file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn version(&self) -> Result<String, StoreError> {
        match std::fs::metadata(&self.path) {
            Ok(meta) => Ok(format!(
                "{}:{}:{}:{}.{}",
                meta.dev(),
                meta.ino(),
                meta.size(),
                meta.mtime(),
                meta.mtime_nsec()
            )),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(StoreError::file(&self.path, &error)),
        }
    }

    pub(super) fn read(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::file(&self.path, &error)),
        };
        let content: Content = serde_json::from_slice(&bytes)
            .map_err(|error| StoreError::Damaged(format!("{}: {error}", self.path.display())))?;
        if content.version != VERSION {
            return Err(StoreError::Damaged(format!(
                "{} has version {}, expected {VERSION}",
                self.path.display(),
                content.version
            )));
        }
        Ok(content.keys)
    }

    pub(super) fn insert(&self, record: KeyRecord) -> Result<(), StoreError> {
        self.change(|keys| {
            let is_taken = keys.iter().any(|key| key.name == record.name && key.revoked_ms.is_none());
            if is_taken {
                return Err(StoreError::Config(format!("there is a key named {:?} already", record.name)));
            }
            keys.push(record);
            Ok(())
        })
    }

    pub(super) fn revoke(&self, id: &str, now_ms: u64) -> Result<KeyRecord, StoreError> {
        self.change(|keys| {
            let key = keys.iter_mut().find(|key| key.id == id).ok_or(StoreError::NotFound("key"))?;
            key.revoked_ms.get_or_insert(now_ms);
            Ok(key.clone())
        })
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<KeyRecord>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let failed = |error: std::io::Error| StoreError::file(&self.path, &error);
        if let Some(directory) = self.path.parent() {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        let lock_path = self.path.with_extension("lock");
        let lock = private(&lock_path, false).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut keys = self.read()?;
        let value = change(&mut keys)?;
        let bytes = serde_json::to_vec_pretty(&Content { version: VERSION, keys })
            .map_err(|error| StoreError::Damaged(error.to_string()))?;
        let fresh_path = self.path.with_extension("new");
        let mut fresh = private(&fresh_path, true).map_err(failed)?;
        fresh.write_all(&bytes).and_then(|()| fresh.sync_all()).map_err(failed)?;
        std::fs::rename(&fresh_path, &self.path).map_err(failed)?;
        // Makes the rename itself survive a power cut.
        if let Some(directory) = self.path.parent() {
            File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        }
        Ok(value)
    }
}

/// Opens a file that only this user may read.
fn private(path: &Path, truncate: bool) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(truncate).mode(0o600).open(path)
}
