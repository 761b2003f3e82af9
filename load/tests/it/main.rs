//! Black-box tests of the mock provider over raw sockets: one test for each row of its table of faults.
#![expect(clippy::unwrap_used, reason = "a helper that cannot set a test up fails it")]

mod content;
mod control;
mod probe;
mod status;
mod stream;
mod support;
mod transport;

/// The sources in which a row of the table counts as tested when its name stands there as a string.
const SOURCES: [&str; 5] = [
    include_str!("content.rs"),
    include_str!("control.rs"),
    include_str!("status.rs"),
    include_str!("stream.rs"),
    include_str!("transport.rs"),
];

#[test]
fn every_row_of_the_table_has_a_test() {
    let untested: Vec<_> = sentinel_load::mock::faults()
        .filter(|info| {
            let (quote, mark) = ('"', '!');
            let starts = [format!("{quote}{}", info.name), format!("{mark}{}", info.name)];
            let forms: Vec<_> =
                starts.iter().flat_map(|start| ['"', '=', '!'].map(|end| format!("{start}{end}"))).collect();
            !SOURCES.iter().any(|source| forms.iter().any(|form| source.contains(form)))
        })
        .map(|info| info.name)
        .collect();
    // The generic status is tested through the numbers that it stands for.
    assert_eq!(untested, ["status"]);
}

#[test]
fn the_readme_has_the_table_of_the_code() {
    let readme = include_str!("../../README.md");
    for info in sentinel_load::mock::faults() {
        let shown = |cell: &'static str| if cell.is_empty() { "-" } else { cell };
        let row =
            format!("| `{}` | {} | {} | {} |", info.name, shown(info.argument), shown(info.rows), info.does);
        assert!(readme.contains(&row), "missing or outdated in README.md: {row}");
    }
}
