//! Embeds the dashboard's files, compressed once here rather than for every browser.
//!
//! Chart.js comes from `src/dashboard/node_modules` (`npm ci` there). Without it the program builds all the same, and
//! the dashboard shows numbers and tables without charts.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

/// The library as npm delivers it, under the dashboard's folder.
const CHARTS: &str = "node_modules/chart.js/dist/chart.umd.min.js";
/// The line of the page that loads it.
const CHARTS_TAG: &str = r#"<script src="/dashboard/assets/chart.js" defer></script>"#;

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("src/dashboard");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/dashboard/assets");
    println!("cargo::rerun-if-changed=src/dashboard/{CHARTS}");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder.join("assets"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a file name is not UTF-8")?;
        files.push((name.to_owned(), fs::read_to_string(&path)?));
    }
    let has_charts = match fs::read_to_string(folder.join(CHARTS)) {
        Ok(text) => {
            // The map is not embedded, so nothing may point to it.
            let lines = text.lines().filter(|line| !line.starts_with("//# sourceMappingURL="));
            files.push(("chart.js".to_owned(), lines.collect::<Vec<_>>().join("\n")));
            true
        }
        Err(_) => {
            println!(
                "cargo::warning=the dashboard is built without charts; for charts run `npm ci` in src/dashboard"
            );
            false
        }
    };
    files.sort();
    let mut table = String::from("pub(super) static FILES: &[Asset] = &[\n");
    for (name, text) in files {
        let text = if has_charts { text } else { text.replace(CHARTS_TAG, "") };
        row(&mut table, &out, &name, text.as_bytes())?;
    }
    table.push_str("];\n");
    writeln!(
        table,
        "/// Whether the library for charts is embedded.\npub const HAS_CHARTS: bool = {has_charts};"
    )?;
    fs::write(out.join("dashboard.rs"), table)?;
    Ok(())
}

/// Writes a file as it is and compressed, and its row of the table.
fn row(table: &mut String, out: &Path, name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let media = match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => return Err(format!("{name}: no media type is known for it").into()),
    };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    let (plain, packed) = (out.join(name), out.join(format!("{name}.gz")));
    fs::write(&plain, bytes)?;
    fs::write(&packed, encoder.finish()?)?;
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    let etag = format!("\"{:08x}-{:x}\"", sum.sum(), bytes.len());
    writeln!(
        table,
        "    Asset {{ name: {name:?}, media: {media:?}, etag: {etag:?}, plain: include_bytes!({plain:?}), packed: \
         include_bytes!({packed:?}) }},"
    )?;
    Ok(())
}
