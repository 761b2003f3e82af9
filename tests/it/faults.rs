//! Writes `ops/faults.md` from the fault list and the rows that tests name, and checks that the page is current.
//!
//! A test names its rows in its doc comment. What tests of other crates show, and what cannot be injected here, stands
//! in the last column of `faults.tsv`; names of tests there are looked up, so that a renamed one shows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const ROWS: &str = include_str!("faults.tsv");
/// Set to write the page instead of comparing.
const WRITE: &str = "SENTINEL_WRITE_FAULTS";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_sources(under: &Path, all: &mut String) {
    for entry in fs::read_dir(under).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            rust_sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// Returns the tests that name each row: `module::test`.
fn named() -> BTreeMap<String, Vec<String>> {
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut files: Vec<_> =
        fs::read_dir(root().join("tests/it")).unwrap().flatten().map(|entry| entry.path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let module = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut rows: Vec<String> = Vec::new();
        for line in fs::read_to_string(path).unwrap().lines() {
            if let Some(list) = line.strip_prefix("/// Rows: ") {
                rows = list.trim_end_matches('.').split(", ").map(str::to_owned).collect();
            } else if let Some(name) = line.strip_prefix("fn ").and_then(|rest| rest.split('(').next()) {
                for row in rows.drain(..) {
                    named.entry(row).or_default().push(format!("{module}::{name}"));
                }
            }
        }
    }
    named
}

fn page() -> String {
    let named = named();
    let mut elsewhere = String::new();
    for folder in ["actors", "src", "load"] {
        rust_sources(&root().join(folder), &mut elsewhere);
    }
    let mut page = "# Faults: what is injected and what is seen\n\n\
        Written by `SENTINEL_WRITE_FAULTS=1 cargo nextest run --test it faults`; a test checks that it is current.\n\
        `module::test` is a test of `tests/it`, which runs the real binary; a bare name is a test of one of the crates.\n\n\
        | row | fault | what must be seen | seen by |\n|---|---|---|---|\n"
        .to_owned();
    let (mut shown, mut known) = (0, Vec::new());
    for line in ROWS.lines() {
        let columns: Vec<_> = line.split('\t').collect();
        let [id, fault, expected, other] = columns[..] else { panic!("four columns in {line:?}") };
        known.push(id.to_owned());
        let mut seen: Vec<String> =
            named.get(id).into_iter().flatten().map(|name| format!("`{name}`")).collect();
        if other.contains(' ') {
            seen.push(other.to_owned());
        } else {
            for name in other.split(',').filter(|name| !name.is_empty()) {
                assert!(elsewhere.contains(&format!("fn {name}(")), "{id}: there is no test {name}");
                seen.push(format!("`{name}`"));
            }
        }
        if seen.is_empty() {
            seen.push("not shown yet".to_owned());
        } else if !other.starts_with("not ") {
            shown += 1;
        }
        let _ = writeln!(page, "| {id} | {fault} | {expected} | {} |", seen.join(", "));
    }
    let _ = writeln!(page, "\n{shown} of {} rows are shown by tests.", known.len());
    for row in named.keys() {
        assert!(known.contains(row), "a test names the row {row}, which is not in the list");
    }
    page
}

#[test]
fn the_page_of_faults_is_current() {
    let path = root().join("ops/faults.md");
    let page = page();
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "ops/faults.md is not current; run with {WRITE}=1");
}
