// The official Node SDK against the gateway (or the mock directly): every test with an OpenAI and an Anthropic model.
// Environment: see ../README.md.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

const baseURL = process.env.BASE_URL ?? "http://127.0.0.1:8000/v1";
const isMock = process.env.TARGET === "mock";
const openaiModel = process.env.OPENAI_MODEL ?? "gpt-4o-mini";
const anthropicModel = process.env.ANTHROPIC_MODEL ?? "claude-sonnet-4-5";
const client = new OpenAI({ baseURL, apiKey: process.env.API_KEY ?? "sk-test", maxRetries: 0, timeout: 30_000 });

const hello = [{ role: "user", content: "Tell me about the harbour." }];
const callBoth = [{ role: "user", content: "Call get_time and get_weather for Paris." }];
const tool = (name, properties) => ({
  type: "function",
  function: { name, parameters: { type: "object", properties, required: Object.keys(properties) } },
});
const tools = [tool("get_time", {}), tool("get_weather", { city: { type: "string" } })];

const create = (model, messages = hello, more = {}) => client.chat.completions.create({ model, messages, ...more });

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

for (const model of [openaiModel, anthropicModel]) {
  test(`${model}: an answer has text, finish reason and consistent usage`, async () => {
    const answer = await create(model);
    assert.match(answer.choices[0].message.content, /harbour/);
    assert.equal(answer.choices[0].finish_reason, "stop");
    const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
    assert.equal(total_tokens, prompt_tokens + completion_tokens);
  });

  test(`${model}: a stream has the same text, one role, one finish, usage last`, async () => {
    const whole = (await create(model)).choices[0].message.content;
    const chunks = await collect(await create(model, hello, { stream: true, stream_options: { include_usage: true } }));
    const choices = chunks.flatMap((chunk) => chunk.choices);
    assert.equal(choices[0].delta.role, "assistant");
    assert.equal(choices.map((choice) => choice.delta.content ?? "").join(""), whole);
    assert.deepEqual(choices.map((choice) => choice.finish_reason).filter(Boolean), ["stop"]);
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.ok(chunks.at(-1).usage.completion_tokens > 0);
  });

  test(`${model}: parallel calls and their results go round`, async () => {
    const { message, finish_reason } = (await create(model, callBoth, { tools })).choices[0];
    assert.equal(finish_reason, "tool_calls");
    assert.deepEqual(message.tool_calls.map((call) => call.function.name), ["get_time", "get_weather"]);
    assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), {});
    const results = message.tool_calls.map((call, i) => ({ role: "tool", tool_call_id: call.id, content: `result ${i}` }));
    const answer = await create(model, [...callBoth, message, ...results], { tools });
    assert.match(answer.choices[0].message.content, /result 0; result 1/);
  });

  test(`${model}: streamed calls join by index`, async () => {
    const calls = [];
    for await (const chunk of await create(model, callBoth, { tools, stream: true })) {
      for (const part of chunk.choices[0]?.delta.tool_calls ?? []) {
        calls[part.index] ??= { name: part.function.name, arguments: "" };
        calls[part.index].arguments += part.function.arguments ?? "";
      }
    }
    assert.deepEqual(calls.map((call) => call.name), ["get_time", "get_weather"]);
    assert.deepEqual(JSON.parse(calls[0].arguments), {});
    assert.ok("city" in JSON.parse(calls[1].arguments));
  });

  test(`${model}: structured output is JSON of the schema`, async () => {
    const schema = { type: "object", properties: { age: { type: "integer" } }, required: ["age"], additionalProperties: false };
    const response_format = { type: "json_schema", json_schema: { name: "person", strict: true, schema } };
    const answer = await create(model, hello, { response_format });
    assert.equal(typeof JSON.parse(answer.choices[0].message.content).age, "number");
  });

  test(`${model}: an image is accepted`, async () => {
    const url = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    const content = [{ type: "text", text: "What is it?" }, { type: "image_url", image_url: { url } }];
    assert.ok((await create(model, [{ role: "user", content }])).choices[0].message.content);
  });

  test(`${model}: statuses become the SDK's exception classes`, async () => {
    const cases = [
      ["400", OpenAI.BadRequestError, OpenAI.BadRequestError],
      ["401", OpenAI.AuthenticationError, OpenAI.InternalServerError],
      ["403", OpenAI.PermissionDeniedError, OpenAI.InternalServerError],
      ["404", OpenAI.NotFoundError, OpenAI.NotFoundError],
      ["409", OpenAI.ConflictError, OpenAI.ConflictError],
      ["422", OpenAI.UnprocessableEntityError, OpenAI.UnprocessableEntityError],
      ["429", OpenAI.RateLimitError, OpenAI.RateLimitError],
      ["500", OpenAI.InternalServerError, OpenAI.InternalServerError],
      ["529", OpenAI.InternalServerError, OpenAI.InternalServerError],
    ];
    for (const [fault, direct, through] of cases) {
      for (const stream of [false, true]) {
        await assert.rejects(create(`${model}!${fault}`, hello, { stream }), isMock ? direct : through, `${fault} ${stream}`);
      }
    }
  });

  test(`${model}: an error inside a stream is thrown`, async () => {
    const stream = await create(`${model}!stream-error=3`, hello, { stream: true });
    await assert.rejects(collect(stream), OpenAI.APIError);
  });
}

test("headers come with the answer", async () => {
  const { response, request_id } = await create(openaiModel).withResponse();
  assert.ok(response.headers.get("x-request-id"));
  assert.equal(request_id, response.headers.get("x-request-id"));
  if (!isMock) assert.ok(response.headers.get("x-sentinel-provider"));
});

test("leaving a stream ends it", async () => {
  const stream = await create(`${openaiModel}!delay=50ms`, hello, { stream: true });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) break;
  }
  assert.ok(stream.controller.signal.aborted);
});

test("models are listed", async () => {
  assert.ok((await client.models.list()).data.length > 0);
});
