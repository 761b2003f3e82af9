//! Content parts of the client's dialect as content blocks.

use sentinel_domain::ApiError;

use super::tools::unsupported;
use crate::json::{Value, Writer};
use crate::request::invalid;

/// Anthropic accepts this many cache breakpoints in a request ("Prompt caching", read 2026-11).
const MAX_MARKS: usize = 4;

/// Hands out cache breakpoints. With more than the provider accepts, the last ones are kept: they cover the longest
/// prefixes.
#[derive(Debug)]
pub(super) struct CacheMarks {
    skip: usize,
}

impl CacheMarks {
    /// Counts the breakpoints in a request.
    pub(super) fn count(root: Value<'_>) -> Self {
        let marked =
            |value: Value<'_>| usize::from(value.get("cache_control").is_some_and(|mark| mark.is_object()));
        let tools = root.get("tools").into_iter().flat_map(|tools| tools.items());
        let mut total: usize = tools.map(|tool| marked(tool) + tool.get("function").map_or(0, marked)).sum();
        for message in root.get("messages").into_iter().flat_map(|messages| messages.items()) {
            total += marked(message);
            for name in ["content", "tool_calls"] {
                total +=
                    message.get(name).into_iter().flat_map(|parts| parts.items()).map(marked).sum::<usize>();
            }
        }
        Self { skip: (total + marked(root)).saturating_sub(MAX_MARKS) }
    }

    /// Writes a breakpoint into the open block, if there is one and it is not over the limit.
    pub(super) fn copy(&mut self, out: &mut Writer, mark: Option<Value<'_>>) {
        let Some(mark) = mark.filter(|mark| mark.is_object()) else { return };
        if self.skip > 0 {
            self.skip -= 1;
        } else {
            out.raw_field("cache_control", mark.raw());
        }
    }
}

/// Which blocks may stand where a part is translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    User,
    Assistant,
    ToolResult,
}

/// What a part turned out to need beside its block.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Needs {
    /// The beta header of the Files API.
    pub(super) files: bool,
}

/// Writes one part as a block, with a breakpoint of its own or of its message. Empty text becomes nothing: the
/// provider refuses it.
pub(super) fn write_part(
    out: &mut Writer,
    part: Value<'_>,
    path: &str,
    place: Place,
    mark: Option<Value<'_>>,
    marks: &mut CacheMarks,
    needs: &mut Needs,
) -> Result<(), ApiError> {
    let mark = part.get("cache_control").or(mark);
    let kind = part.text("type").unwrap_or_default();
    match kind.as_ref() {
        "text" | "input_text" | "output_text" => {
            write_text(out, &part.text("text").unwrap_or_default(), mark, marks);
        }
        "refusal" => write_text(out, &part.text("refusal").unwrap_or_default(), mark, marks),
        "image_url" if place != Place::Assistant => {
            let image = part.get("image_url").unwrap_or(part);
            let url = image.as_str().or_else(|| image.text("url")).unwrap_or_default();
            out.open_object().field("type", "image").key("source");
            write_image(out, &url, &format!("{path}.image_url.url"))?;
            marks.copy(out, mark);
            out.close_object();
        }
        "file" if place != Place::Assistant => {
            out.open_object().field("type", "document");
            write_file(out, part.get("file").unwrap_or(part), &format!("{path}.file"), needs)?;
            marks.copy(out, mark);
            out.close_object();
        }
        // Anthropic's own blocks, from clients that know whom they talk to.
        "image" | "document" | "search_result" | "container_upload" if place != Place::Assistant => {
            out.raw(part.raw());
        }
        _ => {
            let path = format!("{path}.type");
            return Err(unsupported(&path, "this provider has no content of this type here"));
        }
    }
    Ok(())
}

pub(super) fn write_text(out: &mut Writer, text: &str, mark: Option<Value<'_>>, marks: &mut CacheMarks) {
    if text.trim().is_empty() {
        return;
    }
    out.open_object().field("type", "text").field("text", text);
    marks.copy(out, mark);
    out.close_object();
}

fn write_image(out: &mut Writer, url: &str, path: &str) -> Result<(), ApiError> {
    if is_web(url) {
        out.open_object().field("type", "url").field("url", url).close_object();
        return Ok(());
    }
    let (media_type, data) =
        data_url(url).ok_or_else(|| invalid(path, "must be an https address or a base64 data URL"))?;
    let media_type = match media_type {
        "image/jpeg" | "image/jpg" => "image/jpeg",
        "image/png" => "image/png",
        "image/gif" => "image/gif",
        "image/webp" => "image/webp",
        _ => return Err(invalid(path, "must be a JPEG, PNG, GIF or WebP image for this provider")),
    };
    out.open_object()
        .field("type", "base64")
        .field("media_type", media_type)
        .field("data", data)
        .close_object();
    Ok(())
}

fn write_file(out: &mut Writer, file: Value<'_>, path: &str, needs: &mut Needs) -> Result<(), ApiError> {
    if let Some(id) = file.text("file_id") {
        needs.files = true;
        out.key("source").open_object().field("type", "file").field("file_id", &id).close_object();
        return Ok(());
    }
    let path = format!("{path}.file_data");
    let data = file.text("file_data").ok_or_else(|| invalid(&path, "is required for this provider"))?;
    if is_web(&data) {
        out.key("source").open_object().field("type", "url").field("url", &data).close_object();
    } else {
        // OpenAI accepts bare base64 beside a data URL, and means a PDF by it.
        let (media_type, base64) = data_url(&data).unwrap_or(("application/pdf", &data));
        match media_type {
            "application/pdf" => {
                out.key("source").open_object().field("type", "base64").field("media_type", media_type);
                out.field("data", base64).close_object();
            }
            "text/plain" | "text/markdown" | "text/csv" | "application/json" => {
                use base64::Engine as _;
                let text = base64::engine::general_purpose::STANDARD
                    .decode(base64)
                    .ok()
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .ok_or_else(|| invalid(&path, "must be base64 of UTF-8 text"))?;
                out.key("source").open_object().field("type", "text").field("media_type", "text/plain");
                out.field("data", &text).close_object();
            }
            _ => return Err(invalid(&path, "must be a PDF or plain text for this provider")),
        }
    }
    if let Some(name) = file.text("filename") {
        out.field("title", &name);
    }
    Ok(())
}

fn is_web(url: &str) -> bool {
    let scheme = url.get(..8).unwrap_or(url).to_ascii_lowercase();
    scheme.starts_with("https://") || scheme.starts_with("http://")
}

/// Splits `data:TYPE;base64,DATA`; parameters between the two are dropped.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("data:")?;
    let (head, data) = rest.split_once(',')?;
    let head = head.strip_suffix(";base64")?;
    Some((head.split(';').next().unwrap_or(head), data))
}
