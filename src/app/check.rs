//! `sentinel check` and `sentinel config`: what is in force, and where each value came from.

use std::fmt::Write;

use serde_json::json;

use crate::config::Loaded;
use crate::config::section::Setting;

/// A configuration in which every list has an entry, so that the reference shows every setting.
pub const REFERENCE_EXAMPLE: &str = r#"
[[auth.keys]]
name = "team-a"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
[[providers]]
name = "openai"
[[routes]]
model = "gpt-4o"
targets = [{ provider = "openai" }]
[[guard.pii.patterns]]
entity = "EMPLOYEE_ID"
regex = "EMP-[0-9]{6}"
"#;

/// Writes the effective configuration as a file would hold it, secrets masked.
#[must_use]
pub fn as_text(loaded: &Loaded, with_origins: bool) -> String {
    let mut text = String::new();
    let source = loaded.file.as_ref().map_or("no file".to_owned(), |path| path.display().to_string());
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# effective configuration ({source})");
    let mut table = String::new();
    for setting in &loaded.settings {
        let (in_table, key) = setting.path.rsplit_once('.').unwrap_or(("", &setting.path));
        if in_table != table {
            in_table.clone_into(&mut table);
            let _ = writeln!(text, "\n{}", heading(in_table));
        }
        let origin = if with_origins { format!("  # {}", setting.origin) } else { String::new() };
        let value =
            if setting.shown == "none" { return_comment(key) } else { format!("{key} = {}", setting.shown) };
        let _ = writeln!(text, "{value}{origin}");
    }
    for (index, route) in loaded.config.routes.iter().enumerate() {
        let targets = route
            .targets
            .iter()
            .map(|target| format!("{}/{}", target.provider, target.model.as_deref().unwrap_or(&route.model)));
        let _ =
            writeln!(text, "# routes[{index}] {} -> {}", route.model, targets.collect::<Vec<_>>().join(", "));
    }
    text
}

fn return_comment(key: &str) -> String {
    format!("# {key} is not set")
}

/// Turns `providers[0].retry` into the heading that a file would have.
fn heading(path: &str) -> String {
    let plain =
        path.split('.').map(|part| part.split('[').next().unwrap_or(part)).collect::<Vec<_>>().join(".");
    if path.ends_with(']') { format!("[[{plain}]]") } else { format!("[{plain}]") }
}

/// Writes the effective configuration as JSON: path, value, default, origin.
#[must_use]
pub fn as_json(loaded: &Loaded) -> serde_json::Value {
    let rows = loaded.settings.iter().map(|setting| {
        json!({
            "path": setting.path,
            "value": setting.shown,
            "default": setting.default,
            "origin": setting.origin.to_string(),
        })
    });
    json!({ "file": loaded.file.as_ref().map(|path| path.display().to_string()), "settings": rows.collect::<Vec<_>>() })
}

/// Writes the reference of every setting in Markdown.
#[must_use]
pub fn reference(settings: &[Setting]) -> String {
    let mut text = String::from(
        "# Configuration reference\n\nMade from the code by `sentinel config reference`. Durations are `\"250ms\"`, \
         `\"30s\"`, `\"24h\"`; sizes `\"10MiB\"`. `${NAME}` in a text is read from the environment, and \
         `SENTINEL_SERVER__LISTEN=...` overrides `server.listen`.\n",
    );
    let mut table = None;
    for setting in settings {
        let (in_table, key) = setting.path.rsplit_once('.').unwrap_or(("", &setting.path));
        if table != Some(in_table) {
            table = Some(in_table);
            let _ =
                write!(text, "\n## `{}`\n\n| setting | default | does |\n|---|---|---|\n", heading(in_table));
        }
        let _ = writeln!(text, "| `{key}` | `{}` | {} |", setting.default.replace('|', "\\|"), setting.doc);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, from_text};

    #[test]
    fn what_is_shown_is_itself_a_valid_configuration() {
        let loaded =
            from_text(Some("[limits]\nrpm = 5\n"), &std::collections::BTreeMap::new(), &Flags::default())
                .unwrap();
        let shown = as_text(&loaded, false);
        let again = from_text(Some(&shown), &std::collections::BTreeMap::new(), &Flags::default())
            .unwrap_or_else(|problems| panic!("{problems}\n{shown}"));
        assert_eq!(again.config.limits.caller.rpm, 5);
    }
}
