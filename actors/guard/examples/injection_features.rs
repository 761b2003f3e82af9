//! Writes the feature identifiers of each text, for the trainer: JSON lines `{"text"}` in, `{"views":[…]}` out.

use std::io::{self, BufRead, BufWriter, Write};

use sentinel_guard::injection::training;

fn main() -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let row: serde_json::Value = serde_json::from_str(&line?)?;
        let text = row.get("text").and_then(|text| text.as_str()).unwrap_or_default();
        let readings = training::features(text).into_iter().map(|(view, ids)| (view.name(), ids));
        let windows = training::window_features(text).into_iter().map(|ids| ("window", ids));
        let views: Vec<_> = readings
            .chain(windows)
            .map(|(view, ids)| serde_json::json!({"view": view, "ids": ids}))
            .collect();
        serde_json::to_writer(&mut out, &serde_json::json!({"views": views}))?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
