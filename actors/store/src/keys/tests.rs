//! The file of keys and the ring.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::{KeyBackend, KeyCheck, KeyFile, KeyRecord, KeyRing, KeySpec};
use crate::StoreError;

fn configured(name: &str, secret: &str) -> KeyRecord {
    let spec = KeySpec { name: name.to_owned(), ..KeySpec::default() };
    KeyRecord::configured(spec, Sha256::digest(secret.as_bytes()).into())
}

#[test]
fn configured_keys_are_checked_and_replaced() {
    let ring = KeyRing::new(vec![configured("a", "secret-a")]);
    let KeyCheck::Valid(key) = ring.check("secret-a", 0) else { panic!("not valid") };
    assert_eq!((&*key.name, &*key.id), ("a", "config-a"));
    assert!(key.may_use("anything"));
    ring.configure(vec![configured("b", "secret-b")]);
    assert_eq!(ring.check("secret-a", 0), KeyCheck::Invalid);
    assert!(matches!(ring.check("secret-b", 0), KeyCheck::Valid(_)));
    assert_eq!(ring.all().len(), 1);
    ring.configure(Vec::new());
    assert!(ring.is_empty());
}

#[tokio::test]
async fn a_damaged_file_leaves_the_known_keys_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let file = Arc::new(KeyFile::new(directory.path()));
    let backend = KeyBackend::File(Arc::clone(&file));
    let (_, secret) =
        backend.create(KeySpec { name: "a".to_owned(), ..KeySpec::default() }, 0).await.unwrap();
    let ring = KeyRing::new(Vec::new());
    ring.refresh(&backend).await.unwrap();
    for (content, problem) in [("{", "EOF"), ("{\"version\":9,\"keys\":[]}", "version 9")] {
        std::fs::write(file.path(), content).unwrap();
        let error = ring.refresh(&backend).await.unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
        assert!(matches!(ring.check(secret.expose(), 0), KeyCheck::Valid(_)));
        let spec = KeySpec { name: "b".to_owned(), ..KeySpec::default() };
        assert!(
            matches!(backend.create(spec, 0).await, Err(StoreError::Damaged(_))),
            "nothing is overwritten"
        );
    }
    std::fs::remove_file(file.path()).unwrap();
    ring.refresh(&backend).await.unwrap();
    assert_eq!(ring.check(secret.expose(), 0), KeyCheck::Invalid, "no file means no stored keys");
}

#[test]
fn many_processes_can_add_keys_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let path = directory.path().to_owned();
            std::thread::spawn(move || {
                // Each its own handle, as a process would have.
                let file = KeyFile::new(&path);
                for number in 0..10 {
                    file.insert(configured(&format!("{thread}-{number}"), "x")).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(KeyFile::new(directory.path()).read().unwrap().len(), 40);
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let file = KeyFile::new(directory.path());
    file.insert(configured("a", "x")).unwrap();
    assert_eq!(std::fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
}
