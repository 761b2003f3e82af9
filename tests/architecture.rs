//! Keeps the house in order: floors, files, words. Reads the sources as text, so it needs no running code.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Crate and what of the workspace it may depend on, from the ground up.
const FLOORS: &[(&str, &[&str])] = &[
    ("actors/domain", &[]),
    ("actors/wire", &["domain"]),
    ("actors/guard", &["domain"]),
    ("actors/runtime", &["domain"]),
    ("actors/store", &["domain"]),
    ("actors/graph", &["domain", "wire", "guard", "runtime", "store"]),
    ("load", &[]),
];

/// Modules of the root crate, from the ground up: each may use those before it.
const ROOMS: &[&str] = &["config", "telemetry", "gateway", "pipeline", "dashboard", "http", "app"];

/// Longest file, in lines.
const MOST_LINES: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(under: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(under) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            let name = path.file_name().unwrap_or_default();
            if name != "target" && name != "node_modules" {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> BTreeMap<PathBuf, String> {
    let mut files = Vec::new();
    for folder in ["src", "actors", "load", "tests"] {
        rust_files(&root().join(folder), &mut files);
    }
    assert!(files.len() > 30, "the sources were not found");
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(root()).unwrap().to_owned(), text)
        })
        .collect()
}

#[test]
fn crates_depend_only_on_lower_floors() {
    for (folder, allowed) in FLOORS {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let section = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let section = section.split("\n[").next().unwrap_or_default();
        for line in section.lines() {
            let Some(name) = line.strip_prefix("sentinel-") else { continue };
            let name = name.split(['.', ' ', '=']).next().unwrap_or_default();
            assert!(allowed.contains(&name), "{folder} must not depend on sentinel-{name}");
        }
    }
}

#[test]
fn rooms_of_the_binary_import_only_lower_rooms() {
    for (path, text) in sources() {
        let Ok(inside) = path.strip_prefix("src") else { continue };
        let room =
            inside.iter().next().and_then(|part| part.to_str()).unwrap_or_default().trim_end_matches(".rs");
        let Some(floor) = ROOMS.iter().position(|name| *name == room) else {
            assert!(matches!(room, "lib" | "main"), "{} is in no room", path.display());
            continue;
        };
        for higher in &ROOMS[floor + 1..] {
            let import = format!("crate::{higher}::");
            assert!(!text.contains(&import), "{} imports upward: {import}", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in sources() {
        assert!(text.starts_with("//!"), "{} does not begin with //!", path.display());
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines; split it", path.display());
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let words = [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"], ["HA", "CK:"]].map(|parts| parts.concat());
    for (path, text) in sources() {
        for word in &words {
            assert!(!text.contains(word.as_str()), "{} holds {word}", path.display());
        }
    }
}

#[test]
fn tests_neither_sleep_nor_hide() {
    let banned =
        [["#[ig", "nore"], ["#[should", "_panic"], ["thread::sl", "eep("]].map(|parts| parts.concat());
    for (path, text) in sources() {
        for word in &banned {
            assert!(!text.contains(word.as_str()), "{} holds {word}", path.display());
        }
    }
}

#[test]
fn only_the_clock_reads_the_time() {
    // Tokio's monotonic clock can be paused in tests; the standard library's cannot.
    let banned = [["std::time::Ins", "tant"], ["SystemTime::n", "ow("]].map(|parts| parts.concat());
    for (path, text) in sources() {
        let shown = path.to_string_lossy().into_owned();
        let is_clock = shown.ends_with("runtime/src/clock.rs");
        let is_test = shown.starts_with("tests")
            || shown.contains("/tests")
            || shown.contains("/benches/")
            || shown.contains("/contract/");
        let is_load = shown.starts_with("load") || shown.contains("/examples/");
        if is_clock || is_test || is_load {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in &banned {
            assert!(!code.contains(word.as_str()), "{shown} reads the time itself");
        }
    }
}
