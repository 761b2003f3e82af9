//! The head that is kept apart from the rows, so that a cut tail shows.
//!
//! One line of fixed length, overwritten in place: it fits into one sector, so neither a killed process nor a power cut
//! leaves half of it, and it needs no space that a full disk might refuse.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::chain::{Hash, Head};
use super::error::AuditError;

/// Length of the file.
const LENGTH: usize = 128;

/// What a head file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptHead {
    /// The chain's id.
    pub(crate) chain: String,
    pub(crate) head: Head,
}

/// The open head file.
#[derive(Debug)]
pub(crate) struct HeadFile {
    file: File,
    path: PathBuf,
    /// What the file says, as far as this process wrote it.
    written: Option<KeptHead>,
    dirty: bool,
}

impl HeadFile {
    /// Reads a head file; `None` if there is none or it is unreadable.
    pub(crate) fn read(path: &Path) -> Result<Option<KeptHead>, AuditError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(parse(&text)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(None),
            Err(error) => Err(AuditError::file("read", path)(error)),
        }
    }

    /// Opens or makes the file.
    pub(crate) fn open(path: &Path) -> Result<Self, AuditError> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(AuditError::file("open", path))?;
        Ok(Self { file, path: path.to_path_buf(), written: None, dirty: false })
    }

    /// Overwrites the file; `sync` brings it and what was written before to the disk.
    pub(crate) fn write(&mut self, kept: &KeptHead, sync: bool) -> Result<(), AuditError> {
        if self.written.as_ref() != Some(kept) {
            let text = format!("{} {} {}", kept.chain, kept.head.sequence, kept.head.hash);
            let line = format!("{text:<width$}\n", width = LENGTH - 1);
            self.file.write_all_at(line.as_bytes(), 0).map_err(AuditError::file("write", &self.path))?;
            self.written = Some(kept.clone());
            self.dirty = true;
        }
        if sync { self.sync() } else { Ok(()) }
    }

    /// Brings the file to the disk, if anything was written since the last time.
    pub(crate) fn sync(&mut self) -> Result<(), AuditError> {
        if self.dirty {
            self.file.sync_data().map_err(AuditError::file("sync", &self.path))?;
            self.dirty = false;
        }
        Ok(())
    }
}

fn parse(text: &str) -> Option<KeptHead> {
    let mut parts = text.split_ascii_whitespace();
    let chain = parts.next()?.to_owned();
    let sequence = parts.next()?.parse().ok()?;
    let hash = Hash::from_hex(parts.next()?)?;
    parts.next().is_none().then_some(KeptHead { chain, head: Head { sequence, hash } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_its_file_and_a_damaged_one_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("head");
        assert_eq!(HeadFile::read(&path).unwrap(), None);
        let mut file = HeadFile::open(&path).unwrap();
        for sequence in [u64::MAX, 7] {
            let kept = KeptHead { chain: "0".repeat(32), head: Head { sequence, hash: Hash([7; 32]) } };
            file.write(&kept, true).unwrap();
            assert_eq!(HeadFile::read(&path).unwrap(), Some(kept));
            assert_eq!(std::fs::metadata(&path).unwrap().len() % LENGTH as u64, 0);
        }
        for damaged in ["", "x", "a 1 zz", "a b c d"] {
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(HeadFile::read(&path).unwrap(), None, "{damaged:?}");
        }
    }
}
