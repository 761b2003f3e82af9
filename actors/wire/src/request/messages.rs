//! The rules of the messages of a chat request.

use std::fmt::{self, Arguments, Display, Formatter};

use sentinel_domain::{ApiError, ErrorCode};

use super::Limits;
use super::validate::{
    Checked, MAX_NAME_CHARS, array, check_identifier, check_string, function_name, invalid, missing, object,
    required, wrong_type,
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

/// One message, by position.
#[derive(Clone, Copy)]
struct At {
    index: usize,
}

/// A path below a message, written out only for a refusal.
#[derive(Clone, Copy)]
struct Path<'a> {
    message: usize,
    field: Arguments<'a>,
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "messages[{}]{}", self.message, self.field)
    }
}

impl At {
    fn path(self, field: Arguments<'_>) -> Path<'_> {
        Path { message: self.index, field }
    }

    fn message(self, message: Value<'_>, limits: &Limits) -> Checked<()> {
        if !message.is_object() {
            return Err(wrong_type(self.path(format_args!("")), "an object", message));
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
                    check_string(value, self.path(format_args!(".refusal")))?;
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
                    return Err(missing(self.path(format_args!(".content"))));
                }
            }
        }
        if let Some(name) = name.filter(|name| !name.is_null()) {
            check_identifier(name, self.path(format_args!(".name")), MAX_NAME_CHARS)?;
        }
        if let Some(calls) = calls.filter(|calls| !calls.is_null()) {
            self.calls(calls, &mut chars)?;
        }
        if let Some(call) = function_call.filter(|call| !call.is_null()) {
            function(call, self.path(format_args!(".function_call")), &mut chars)?;
        }
        if role == Role::Tool && message.get("role").is_some_and(|role| role.is("tool")) {
            let id = call_id.ok_or_else(|| missing(self.path(format_args!(".tool_call_id"))))?;
            check_identifier(id, self.path(format_args!(".tool_call_id")), MAX_NAME_CHARS)?;
        }
        if chars.over() {
            let message = format!("a message must not hold more than {} characters of text", chars.limit);
            return Err(ApiError::new(ErrorCode::MessageTooLong, message)
                .param(self.path(format_args!("")).to_string()));
        }
        Ok(())
    }

    fn role(self, role: Option<Value<'_>>) -> Checked<Role> {
        let value = role.ok_or_else(|| missing(self.path(format_args!(".role"))))?;
        let name =
            value.as_str().ok_or_else(|| wrong_type(self.path(format_args!(".role")), "a string", value))?;
        Role::from_wire(&name).ok_or_else(|| {
            invalid(
                self.path(format_args!(".role")),
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
            _ => {
                return Err(wrong_type(
                    self.path(format_args!(".content")),
                    "a string or an array of parts",
                    content,
                ));
            }
        }
        Ok(())
    }

    fn part(self, at: usize, part: Value<'_>, chars: &mut Chars) -> Checked<()> {
        if !part.is_object() {
            return Err(wrong_type(self.path(format_args!(".content[{at}]")), "an object", part));
        }
        // The field of a part, which must be there.
        let field = |name: &str| required(part, name, self.path(format_args!(".content[{at}].{name}")));
        let text = |name: &str| -> Checked<Value<'_>> {
            let value = field(name)?;
            check_string(value, self.path(format_args!(".content[{at}].{name}")))?;
            Ok(value)
        };
        let inner = |name: &str, inner: &str| -> Checked<()> {
            let value = field(name)?;
            object(value, self.path(format_args!(".content[{at}].{name}")))?;
            let value = required(value, inner, self.path(format_args!(".content[{at}].{name}.{inner}")))?;
            check_string(value, self.path(format_args!(".content[{at}].{name}.{inner}")))
        };
        match text("type")?.as_str().as_deref() {
            Some("text") => chars.add(text("text")?),
            Some("refusal") => chars.add(text("refusal")?),
            // Mistral's clients send the address or the data alone.
            Some(kind @ ("image_url" | "input_audio")) if field(kind)?.kind() == Kind::String => {}
            Some("image_url") => inner("image_url", "url")?,
            Some("input_audio") => inner("input_audio", "data")?,
            Some("file") => object(field("file")?, self.path(format_args!(".content[{at}].file")))?,
            // Other types belong to a vendor, who knows them.
            _ => {}
        }
        Ok(())
    }

    fn calls(self, calls: Value<'_>, chars: &mut Chars) -> Checked<()> {
        array(calls, self.path(format_args!(".tool_calls")))?;
        for (at, call) in calls.items().enumerate() {
            object(call, self.path(format_args!(".tool_calls[{at}]")))?;
            let id = required(call, "id", self.path(format_args!(".tool_calls[{at}].id")))?;
            check_identifier(id, self.path(format_args!(".tool_calls[{at}].id")), MAX_NAME_CHARS)?;
            let kind = call.get("type").filter(|kind| !kind.is_null());
            if let Some(kind) = kind {
                check_string(kind, self.path(format_args!(".tool_calls[{at}].type")))?;
            }
            if kind.is_none_or(|kind| kind.is("function")) {
                let callee =
                    required(call, "function", self.path(format_args!(".tool_calls[{at}].function")))?;
                function(callee, self.path(format_args!(".tool_calls[{at}].function")), chars)?;
            }
        }
        Ok(())
    }
}

fn function(function: Value<'_>, path: Path<'_>, chars: &mut Chars) -> Checked<()> {
    object(function, path)?;
    let name = required(function, "name", format_args!("{path}.name"))?;
    function_name(name, format_args!("{path}.name"))?;
    let arguments = required(function, "arguments", format_args!("{path}.arguments"))?;
    check_string(arguments, format_args!("{path}.arguments"))?;
    chars.add(arguments);
    Ok(())
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
