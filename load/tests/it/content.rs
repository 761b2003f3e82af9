//! Behaviours and faults of the content.

use serde_json::{Value, json};

use crate::support::{Reply, anthropic, exchange, mock, openai, streamed, unary};

fn content(reply: &Reply) -> Value {
    reply.json()["choices"][0]["message"]["content"].clone()
}

#[test]
fn texts_are_chosen_by_the_model_name() {
    let mock = mock();
    assert_eq!(content(&unary(&mock, "m!echo")), "hello there");
    assert_eq!(content(&unary(&mock, "m!say=two words")), "two words");
    assert_eq!(content(&unary(&mock, "m!chunks=2")), "The harbour");
    assert!(content(&unary(&mock, "m!unicode")).as_str().unwrap().contains("東京"));
    assert_eq!(content(&unary(&mock, "m!big=1")).as_str().unwrap().len(), 1024 * 1024);
    assert_eq!(content(&unary(&mock, "m!say=x")), "x");
}

#[test]
fn refusals_have_each_providers_shape() {
    let mock = mock();
    let reply = unary(&mock, "m!refusal").json();
    let choice = &reply["choices"][0];
    assert!(choice["message"]["refusal"].is_string() && choice["message"]["content"].is_null());
    assert_eq!(choice["finish_reason"], "stop");
    assert!(streamed(&mock, "m!refusal").text().contains("\"delta\":{\"refusal\":"));
    let reply = exchange(&mock, &anthropic("claude!refusal", &json!({}))).json();
    assert_eq!(reply["stop_reason"], "refusal");
}

#[test]
fn tools_are_called_in_each_providers_shape() {
    let mock = mock();
    let function = |name: &str, schema: Value| json!({"type": "function", "function": {"name": name, "parameters": schema}});
    let city = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let tools = json!([
        function("now", json!({"type": "object", "properties": {}})),
        function("weather", city.clone())
    ]);
    let reply = exchange(&mock, &openai("m!tools", &json!({"tools": tools}))).json();
    let calls = reply["choices"][0]["message"]["tool_calls"].as_array().unwrap();
    assert_eq!(
        (&calls[0]["function"]["arguments"], &reply["choices"][0]["finish_reason"]),
        (&json!("{}"), &json!("tool_calls"))
    );
    assert!(
        calls[1]["id"].as_str().unwrap().starts_with("call_") && calls[1]["id"].as_str().unwrap().len() == 29
    );
    let named = json!({"tools": tools, "tool_choice": {"type": "function", "function": {"name": "weather"}}});
    let reply = exchange(&mock, &openai("m", &named)).json();
    // A call that was forced by name finishes with `stop`, as the real API does.
    assert_eq!(reply["choices"][0]["finish_reason"], "stop");

    let joined = |reply: &Reply| -> String {
        let pieces = reply.events();
        pieces
            .iter()
            .filter_map(|event| event.pointer("/choices/0/delta/tool_calls/0/function/arguments")?.as_str())
            .collect()
    };
    let ask =
        |fault: &str| openai(&format!("m!tools!{fault}"), &json!({"tools": [tools[1]], "stream": true}));
    let reply = exchange(&mock, &ask("split-args"));
    assert_eq!(joined(&reply), r#"{"city":"sample city"}"#);
    assert_eq!(reply.text().matches("\"arguments\":\"").count(), 1 + joined(&reply).len());
    assert_eq!(joined(&exchange(&mock, &ask("bad-args"))), r#"{"city": "Par"#);

    let tools = json!([{"name": "now", "input_schema": {"type": "object"}}, {"name": "weather", "input_schema": city}]);
    let reply = exchange(&mock, &anthropic("claude!tools", &json!({"tools": tools}))).json();
    assert_eq!((&reply["stop_reason"], &reply["content"][0]["input"]), (&json!("tool_use"), &json!({})));
    assert_eq!(reply["content"][1]["input"], json!({"city": "sample city"}));
    let reply = exchange(&mock, &anthropic("claude!tools", &json!({"tools": [tools[0]], "stream": true})));
    assert_eq!(reply.text().matches("input_json_delta").count(), 1);
    let reply = exchange(&mock, &anthropic("claude!tools!bad-args", &json!({"tools": tools})));
    assert_eq!(reply.json()["stop_reason"], "tool_use");
}

#[test]
fn structured_output_is_valid_json_of_the_schema() {
    let mock = mock();
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    let format =
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}});
    assert_eq!(content(&exchange(&mock, &openai("m", &format))), r#"{"n":1}"#);
    let object = json!({"response_format": {"type": "json_object"}});
    let text = content(&exchange(&mock, &openai("m", &object)));
    assert!(serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap().is_object());
    let format = json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}});
    let reply = exchange(&mock, &anthropic("claude", &format)).json();
    assert_eq!(reply["content"][0]["text"], r#"{"n":1}"#);
}

#[test]
fn thinking_carries_a_signature_that_is_checked_on_return() {
    let mock = mock();
    let first = exchange(&mock, &anthropic("claude!thinking", &json!({}))).json();
    let block = first["content"][0].clone();
    assert_eq!(
        (&block["type"], first["usage"]["output_tokens_details"]["thinking_tokens"].as_i64()),
        (&json!("thinking"), Some(19))
    );
    let turn = |block: &Value| {
        json!({"messages": [
            {"role": "user", "content": "a"}, {"role": "assistant", "content": [block, {"type": "text", "text": "b"}]},
            {"role": "user", "content": "c"}]})
    };
    assert_eq!(exchange(&mock, &anthropic("claude", &turn(&block))).status(), 200);
    let mut changed = block;
    changed["thinking"] = json!("something else");
    let reply = exchange(&mock, &anthropic("claude", &turn(&changed)));
    assert!(reply.status() == 400 && reply.text().contains("Invalid `signature`"));
}

#[test]
fn usage_is_what_the_fault_says() {
    let mock = mock();
    let usage = |fault: &str| unary(&mock, &format!("m!{fault}")).json()["usage"].clone();
    let given = usage("usage=1000:500:200:0");
    assert_eq!((&given["prompt_tokens"], &given["completion_tokens"]), (&json!(1200), &json!(500)));
    assert_eq!(given["prompt_tokens_details"]["cached_tokens"], 200);
    assert!(usage("usage-missing").is_null());
    assert_eq!(usage("usage-negative")["completion_tokens"], -7);
    assert!(usage("usage-huge")["prompt_tokens"].as_i64().unwrap() > 1_i64 << 53);
    let reply = exchange(&mock, &anthropic("claude!usage-missing", &json!({"stream": true})));
    assert!(!reply.text().contains("\"usage\""));
}

#[test]
fn marked_prefixes_are_written_once_and_then_read() {
    let mock = mock();
    let system = json!({"system": [{"type": "text", "text": "long ".repeat(100), "cache_control": {"type": "ephemeral"}}]});
    let usage = || exchange(&mock, &anthropic("claude", &system)).json()["usage"].clone();
    let (first, second) = (usage(), usage());
    assert!(first["cache_creation_input_tokens"].as_i64() > Some(0) && first["cache_read_input_tokens"] == 0);
    assert_eq!(second["cache_read_input_tokens"], first["cache_creation_input_tokens"]);
}

#[test]
fn fields_are_unknown_null_or_out_of_order() {
    let mock = mock();
    for reply in
        [unary(&mock, "m!unknown-fields").json(), streamed(&mock, "m!unknown-fields").events()[3].clone()]
    {
        assert_eq!(reply["x_mock"], json!({"a": [1, null]}));
    }
    assert!(content(&unary(&mock, "m!null-content")).is_null());
    let nulls = streamed(&mock, "m!null-content").events();
    assert!(nulls.iter().filter_map(|event| event.pointer("/choices/0/delta/content")).all(Value::is_null));
    let reply = unary(&mock, "m!index-gap").json();
    assert_eq!(reply["choices"][0]["index"], 3);
    assert_eq!(streamed(&mock, "m!index-gap").events()[0]["choices"][0]["index"], 3);
    let reply = unary(&mock, "m!leading-space");
    assert!(reply.body.starts_with(b"         \n") && reply.json()["object"] == "chat.completion");
}

#[test]
fn several_choices_interleave_and_each_finishes() {
    let mock = mock();
    let reply = exchange(&mock, &openai("m", &json!({"n": 2, "stream": true})));
    let finishes =
        reply.events().iter().filter(|event| event["choices"][0]["finish_reason"] == "stop").count();
    assert_eq!(finishes, 2);
    assert_eq!(reply.events()[1]["choices"][0]["index"], 1);
    assert!(!reply.text().contains("\"usage\""));
}

#[test]
fn the_providers_own_blocks_come_before_the_text() {
    let mock = mock();
    let kinds = |fault: &str| {
        let reply = exchange(&mock, &anthropic(&format!("claude!{fault}"), &json!({}))).json();
        let blocks = reply["content"].as_array().unwrap().iter();
        blocks.map(|block| block["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds("server-tool"), ["server_tool_use", "web_search_tool_result", "text"]);
    assert_eq!(kinds("redacted-thinking"), ["redacted_thinking", "text"]);
    let reply = exchange(&mock, &anthropic("claude!server-tool", &json!({"stream": true})));
    assert_eq!(reply.text().matches("event: content_block_start").count(), 3);
    assert!(reply.streamed_text().starts_with("The harbour"));
}
