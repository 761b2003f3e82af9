//! The rules of the messages of a chat request.

use sentinel_domain::{ApiError, ErrorCode};

use super::Limits;
use super::validate::{
    Checked, MAX_NAME_CHARS, array, function_name, identifier, invalid, missing, object, required, string,
    wrong_type,
};
use crate::json::{Kind, Value};
use crate::text::Role;

/// Checks all messages and returns their number.
pub(super) fn messages(list: Option<Value<'_>>, limits: &Limits) -> Checked<usize> {
    let list = list.ok_or_else(|| missing("messages"))?;
    array(list, "messages")?;
    let count = list.items().count();
    if count == 0 {
        return Err(ApiError::new(ErrorCode::EmptyMessages, "`messages` must not be empty").param("messages"));
    }
    if count > limits.max_messages {
        let message =
            format!("`messages` must not hold more than {}, and there are {count}", limits.max_messages);
        return Err(ApiError::new(ErrorCode::TooManyMessages, message).param("messages"));
    }
    for (index, message) in list.items().enumerate() {
        At { index }.message(message, limits)?;
    }
    Ok(count)
}

/// One message, by position; puts together paths for refusals.
#[derive(Clone, Copy)]
struct At {
    index: usize,
}

impl At {
    fn path(self, field: &str) -> String {
        format!("messages[{}]{field}", self.index)
    }

    fn message(self, message: Value<'_>, limits: &Limits) -> Checked<()> {
        if !message.is_object() {
            return Err(wrong_type(&self.path(""), "an object", message));
        }
        let mut role = None;
        let mut content = None;
        let mut calls = None;
        let mut function_call = None;
        let mut call_id = None;
        let mut name = None;
        let mut other_answer = false;
        for (key, value) in message.members() {
            let Some(field) = key.as_str() else { continue };
            match field.as_ref() {
                "role" => role = Some(value),
                "content" => content = Some(value),
                "tool_calls" => calls = Some(value),
                "function_call" => function_call = Some(value),
                "tool_call_id" => call_id = Some(value),
                "name" => name = Some(value),
                "refusal" if !value.is_null() => {
                    string(value, &self.path(".refusal"))?;
                    other_answer = true;
                }
                "audio" if !value.is_null() => other_answer = true,
                _ => {}
            }
        }
        let role = self.role(role)?;
        let mut chars = Chars {
            limit: limits.max_message_chars,
            // Texts have at most as many characters as bytes, which settles nearly every message without counting.
            needed: message.span().len() > limits.max_message_chars,
            count: 0,
        };
        match content {
            Some(value) => self.content(value, &mut chars)?,
            None => {
                let answered = calls.is_some() || function_call.is_some() || other_answer;
                if !(role == Role::Assistant && answered) {
                    return Err(missing(&self.path(".content")));
                }
            }
        }
        if let Some(name) = name.filter(|name| !name.is_null()) {
            identifier(name, &self.path(".name"), MAX_NAME_CHARS)?;
        }
        if let Some(calls) = calls.filter(|calls| !calls.is_null()) {
            self.calls(calls, &mut chars)?;
        }
        if let Some(call) = function_call.filter(|call| !call.is_null()) {
            self.function(call, ".function_call", &mut chars)?;
        }
        if role == Role::Tool && message.get("role").is_some_and(|role| role.is("tool")) {
            let id = call_id.ok_or_else(|| missing(&self.path(".tool_call_id")))?;
            identifier(id, &self.path(".tool_call_id"), MAX_NAME_CHARS)?;
        }
        if chars.over() {
            let message = format!("a message must not hold more than {} characters of text", chars.limit);
            return Err(ApiError::new(ErrorCode::MessageTooLong, message).param(self.path("")));
        }
        Ok(())
    }

    fn role(self, role: Option<Value<'_>>) -> Checked<Role> {
        let value = role.ok_or_else(|| missing(&self.path(".role")))?;
        let name = value.as_str().ok_or_else(|| wrong_type(&self.path(".role"), "a string", value))?;
        Role::from_wire(&name).ok_or_else(|| {
            invalid(
                &self.path(".role"),
                "must be one of `system`, `developer`, `user`, `assistant`, `tool`, `function`",
            )
        })
    }

    fn content(self, content: Value<'_>, chars: &mut Chars) -> Checked<()> {
        match content.kind() {
            Kind::String => chars.add(content),
            // Whether a message may be without content depends on the provider; assistants' always may.
            Kind::Null => {}
            Kind::Array => {
                for (at, part) in content.items().enumerate() {
                    self.part(at, part, chars)?;
                }
            }
            _ => return Err(wrong_type(&self.path(".content"), "a string or an array of parts", content)),
        }
        Ok(())
    }

    fn part(self, at: usize, part: Value<'_>, chars: &mut Chars) -> Checked<()> {
        let path = |field: &str| self.path(&format!(".content[{at}]{field}"));
        if !part.is_object() {
            return Err(wrong_type(&path(""), "an object", part));
        }
        let kind = part.get("type").ok_or_else(|| missing(&path(".type")))?;
        let kind = kind.as_str().ok_or_else(|| wrong_type(&path(".type"), "a string", kind))?;
        let field = |name: &'static str| -> Checked<Value<'_>> {
            part.get(name).ok_or_else(|| missing(&path(&format!(".{name}"))))
        };
        match kind.as_ref() {
            "text" => {
                let text = field("text")?;
                if text.kind() != Kind::String {
                    return Err(wrong_type(&path(".text"), "a string", text));
                }
                chars.add(text);
            }
            "refusal" => {
                let text = field("refusal")?;
                if text.kind() != Kind::String {
                    return Err(wrong_type(&path(".refusal"), "a string", text));
                }
                chars.add(text);
            }
            "image_url" => {
                let image = field("image_url")?;
                // Mistral's clients send the address alone.
                if image.kind() != Kind::String {
                    object(image, &path(".image_url"))?;
                    let url = image.get("url").ok_or_else(|| missing(&path(".image_url.url")))?;
                    string(url, &path(".image_url.url"))?;
                }
            }
            "input_audio" => {
                let audio = field("input_audio")?;
                object(audio, &path(".input_audio"))?;
                let data = audio.get("data").ok_or_else(|| missing(&path(".input_audio.data")))?;
                string(data, &path(".input_audio.data"))?;
            }
            "file" => object(field("file")?, &path(".file"))?,
            // Other types belong to a vendor, who knows them.
            _ => {}
        }
        Ok(())
    }

    fn calls(self, calls: Value<'_>, chars: &mut Chars) -> Checked<()> {
        array(calls, &self.path(".tool_calls"))?;
        for (at, call) in calls.items().enumerate() {
            let path = |field: &str| format!(".tool_calls[{at}]{field}");
            if !call.is_object() {
                return Err(wrong_type(&self.path(&path("")), "an object", call));
            }
            let id_path = self.path(&path(".id"));
            identifier(required(call, "id", &id_path)?, &id_path, MAX_NAME_CHARS)?;
            let kind = call.get("type").filter(|kind| !kind.is_null());
            if let Some(kind) = kind {
                string(kind, &self.path(&path(".type")))?;
            }
            if kind.is_none_or(|kind| kind.is("function")) {
                let function = required(call, "function", &self.path(&path(".function")))?;
                self.function(function, &path(".function"), chars)?;
            }
        }
        Ok(())
    }

    fn function(self, function: Value<'_>, field: &str, chars: &mut Chars) -> Checked<()> {
        let path = self.path(field);
        object(function, &path)?;
        let name_path = format!("{path}.name");
        function_name(required(function, "name", &name_path)?, &name_path)?;
        let arguments_path = format!("{path}.arguments");
        let arguments = required(function, "arguments", &arguments_path)?;
        string(arguments, &arguments_path)?;
        chars.add(arguments);
        Ok(())
    }
}

/// Counts the characters of a message's texts against the limit.
struct Chars {
    limit: usize,
    needed: bool,
    count: usize,
}

impl Chars {
    fn add(&mut self, text: Value<'_>) {
        if self.needed {
            self.count = self.count.saturating_add(text.as_str().map_or(0, |text| text.chars().count()));
        }
    }

    fn over(&self) -> bool {
        self.count > self.limit
    }
}
