"""The official Python SDK against the gateway (or the mock directly): every test with an OpenAI and an Anthropic model.

Environment: see README.md beside this folder. Only `openai` is needed.
"""

import asyncio
import functools
import json
import os
import unittest

import openai
from pydantic import BaseModel

BASE_URL = os.environ.get("BASE_URL", "http://127.0.0.1:8000/v1")
API_KEY = os.environ.get("API_KEY", "sk-test")
IS_MOCK = os.environ.get("TARGET", "sentinel") == "mock"
OPENAI_MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")
ANTHROPIC_MODEL = os.environ.get("ANTHROPIC_MODEL", "claude-sonnet-4-5")
MODELS = (OPENAI_MODEL, ANTHROPIC_MODEL)

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tell me about the harbour."}]


def function(name, properties):
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}


TOOLS = [function("get_time", {}), function("get_weather", {"city": {"type": "string"}})]
CALL_BOTH = [{"role": "user", "content": "Call get_time and get_weather for Paris."}]


class Person(BaseModel):
    name: str
    age: int


def for_each_model(test):
    """Runs a test once for each model, so that one failing model does not hide the other."""

    @functools.wraps(test)
    def run(self):
        for model in MODELS:
            with self.subTest(model=model):
                test(self, model)

    return run


class SdkTest(unittest.TestCase):
    def setUp(self):
        self.client = openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0, timeout=30)

    def create(self, model, messages=HELLO, **more):
        return self.client.chat.completions.create(model=model, messages=messages, **more)


class UnaryTest(SdkTest):
    @for_each_model
    def test_an_answer_has_text_finish_reason_and_consistent_usage(self, model):
        answer = self.create(model)
        self.assertEqual(answer.object, "chat.completion")
        self.assertTrue(answer.id.startswith("chatcmpl-"))
        choice = answer.choices[0]
        self.assertEqual((choice.index, choice.message.role, choice.finish_reason), (0, "assistant", "stop"))
        self.assertIn("harbour", choice.message.content)
        usage = answer.usage
        self.assertGreater(usage.prompt_tokens, 0)
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)

    @for_each_model
    def test_limits_and_stop_sequences_end_the_text(self, model):
        answer = self.create(model, max_tokens=2)
        self.assertEqual(answer.choices[0].finish_reason, "length")
        answer = self.create(model, stop=["lights"])
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertNotIn("lights", answer.choices[0].message.content)

    @for_each_model
    def test_images_are_accepted(self, model):
        for url in (f"data:image/png;base64,{PIXEL}", "https://example.com/a.png"):
            parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
            answer = self.create(model, [{"role": "user", "content": parts}])
            self.assertTrue(answer.choices[0].message.content)

    @for_each_model
    def test_structured_output_parses_into_its_class(self, model):
        answer = self.client.chat.completions.parse(model=model, messages=HELLO, response_format=Person)
        self.assertIsInstance(answer.choices[0].message.parsed, Person)

    def test_json_mode_answers_with_an_object(self):
        messages = [{"role": "user", "content": "Answer as JSON."}]
        answer = self.create(OPENAI_MODEL, messages, response_format={"type": "json_object"})
        self.assertIsInstance(json.loads(answer.choices[0].message.content), dict)

    def test_several_choices_come_in_order(self):
        answer = self.create(OPENAI_MODEL, n=2)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1])

    def test_refusals_are_refusals(self):
        message = self.create(f"{OPENAI_MODEL}!refusal").choices[0].message
        self.assertIsNone(message.content)
        self.assertTrue(message.refusal)
        if not IS_MOCK:
            self.assertEqual(self.create(f"{ANTHROPIC_MODEL}!refusal").choices[0].finish_reason, "content_filter")

    @for_each_model
    def test_raw_responses_show_their_headers(self, model):
        raw = self.client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
        self.assertTrue(raw.headers.get("x-request-id"))
        self.assertTrue(raw.parse().choices)
        if not IS_MOCK:
            self.assertTrue(raw.headers.get("x-sentinel-provider"))
            self.assertEqual(raw.headers.get("x-sentinel-attempts"), "1")

    def test_models_are_listed(self):
        self.assertTrue(list(self.client.models.list()))


class StreamTest(SdkTest):
    @for_each_model
    def test_a_stream_has_the_same_text_one_role_and_one_finish(self, model):
        whole = self.create(model).choices[0].message.content
        chunks = list(self.create(model, stream=True))
        self.assertEqual(len({chunk.id for chunk in chunks}), 1)
        self.assertTrue(all(chunk.usage is None for chunk in chunks))
        choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
        self.assertEqual(choices[0].delta.role, "assistant")
        self.assertEqual("".join(choice.delta.content or "" for choice in choices), whole)
        self.assertEqual([choice.finish_reason for choice in choices if choice.finish_reason], ["stop"])

    @for_each_model
    def test_usage_comes_last_and_only_when_asked_for(self, model):
        chunks = list(self.create(model, stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[-1].choices, [])
        self.assertGreater(chunks[-1].usage.completion_tokens, 0)
        self.assertTrue(all(chunk.usage is None for chunk in chunks[:-1]))

    @for_each_model
    def test_errors_inside_a_stream_are_raised(self, model):
        seen = []
        with self.assertRaises(openai.APIError):
            for chunk in self.create(f"{model}!stream-error=3", stream=True):
                seen += chunk.choices
        self.assertTrue(any(choice.delta.content for choice in seen))

    @for_each_model
    def test_text_survives_any_split(self, model):
        chunks = self.create(f"{model}!unicode!split=1", stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        self.assertIn("東京の夜", text)
        self.assertIn("👩\u200d🚀", text)

    @for_each_model
    def test_the_asynchronous_client_streams_too(self, model):
        async def text(model):
            async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0) as client:
                stream = await client.chat.completions.create(model=model, messages=HELLO, stream=True)
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

        self.assertIn("harbour", asyncio.run(text(model)))


class ToolTest(SdkTest):
    def check(self, calls):
        self.assertEqual([call["name"] for call in calls], ["get_time", "get_weather"])
        self.assertEqual(json.loads(calls[0]["arguments"]), {})
        self.assertIn("city", json.loads(calls[1]["arguments"]))
        self.assertEqual(len({call["id"] for call in calls}), 2)

    @for_each_model
    def test_parallel_calls_and_their_results_go_round(self, model):
        choice = self.create(model, CALL_BOTH, tools=TOOLS).choices[0]
        self.assertEqual(choice.finish_reason, "tool_calls")
        calls = choice.message.tool_calls
        self.check([{"id": call.id, **call.function.model_dump()} for call in calls])
        results = [{"role": "tool", "tool_call_id": call.id, "content": f"result {i}"} for i, call in enumerate(calls)]
        answer = self.create(model, [*CALL_BOTH, choice.message, *results], tools=TOOLS)
        self.assertIn("result 0; result 1", answer.choices[0].message.content)

    @for_each_model
    def test_streamed_calls_join_by_index(self, model):
        calls, finishes = {}, []
        for chunk in self.create(model, CALL_BOTH, tools=TOOLS, stream=True):
            for choice in chunk.choices:
                finishes += [choice.finish_reason] if choice.finish_reason else []
                for part in choice.delta.tool_calls or []:
                    call = calls.setdefault(part.index, {"id": part.id, "name": part.function.name, "arguments": ""})
                    call["arguments"] += part.function.arguments or ""
        self.assertEqual((sorted(calls), finishes), ([0, 1], ["tool_calls"]))
        self.check([calls[0], calls[1]])

    @for_each_model
    def test_one_call_at_a_time_and_forced_calls(self, model):
        answer = self.create(model, CALL_BOTH, tools=TOOLS, parallel_tool_calls=False)
        self.assertEqual(len(answer.choices[0].message.tool_calls), 1)
        named = {"type": "function", "function": {"name": "get_weather"}}
        answer = self.create(model, HELLO, tools=TOOLS, tool_choice=named)
        self.assertEqual(answer.choices[0].message.tool_calls[0].function.name, "get_weather")
        answer = self.create(model, CALL_BOTH, tools=TOOLS, tool_choice="none")
        self.assertIsNone(answer.choices[0].message.tool_calls)


class ErrorTest(SdkTest):
    #: Fault, status at the mock, status through the gateway. Its own key being refused is not the client's fault.
    STATUSES = (
        (400, 400, 400), (401, 401, 502), (403, 403, 502), (404, 404, 404), (409, 409, 409), (413, 413, 413),
        (422, 422, 422), (429, 429, 429), (500, 500, 502), (503, 503, 503), (504, 504, 504), (529, 529, 503),
    )
    CLASSES = {
        400: openai.BadRequestError, 401: openai.AuthenticationError, 403: openai.PermissionDeniedError,
        404: openai.NotFoundError, 409: openai.ConflictError, 422: openai.UnprocessableEntityError,
        429: openai.RateLimitError,
    }

    @for_each_model
    def test_statuses_become_the_sdks_exception_classes(self, model):
        for fault, direct, through in self.STATUSES:
            status = direct if IS_MOCK else through
            expected = self.CLASSES.get(status, openai.InternalServerError if status >= 500 else openai.APIStatusError)
            for stream in (False, True):
                with self.subTest(model=model, fault=fault, stream=stream):
                    with self.assertRaises(expected) as caught:
                        list(self.create(f"{model}!{fault}", stream=stream))
                    self.assertEqual(caught.exception.status_code, status)
                    self.assertTrue(caught.exception.body["message"])

    def test_rate_limits_keep_their_hint(self):
        with self.assertRaises(openai.RateLimitError) as caught:
            self.create(f"{OPENAI_MODEL}!429=7")
        self.assertGreaterEqual(float(caught.exception.response.headers["retry-after"]), 1)

    def test_bad_requests_name_the_field(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.create(OPENAI_MODEL, temperature=3)
        self.assertEqual(caught.exception.param, "temperature")
        with self.assertRaises(openai.BadRequestError):
            self.create(OPENAI_MODEL, [])

    def test_a_missing_model_is_not_found(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.create("no-such-model")
        self.assertEqual(caught.exception.code, "model_not_found")

    @for_each_model
    def test_one_failure_is_survived(self, model):
        patient = self.client.with_options(max_retries=2)
        answer = patient.chat.completions.create(model=f"{model}!flaky=1", messages=HELLO)
        self.assertTrue(answer.choices[0].message.content)

    def test_a_silent_upstream_runs_into_the_clients_timeout(self):
        with self.assertRaises(openai.APITimeoutError):
            self.client.with_options(timeout=1).chat.completions.create(model=f"{OPENAI_MODEL}!hang", messages=HELLO)


if __name__ == "__main__":
    unittest.main()
