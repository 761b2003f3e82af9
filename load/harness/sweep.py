"""Every fault of the mock through the gateway, for both providers, unary and streamed, with what a client must see.

The expectations are those of the gateway's contract: an honest status before the first output, an error event without
`[DONE]` after it, the same text whatever the framing, never a provider's page or key. With a second target behind it,
everything that fails before the first output must end in that target's answer instead.
"""

import http.client
import json
import socket
import time
import urllib.request

from . import services

OPENAI, ANTHROPIC = "gpt-4o-mini", "claude-sonnet-4-5"
TEXT = "The harbour lights were still on when the first boats came in, and nobody on the pier spoke until every rope was made fast."
#: A client's patience with one answer; the gateway's own limits are far below.
PATIENCE = 30


def unary(*statuses, **more):
    return {"stream": False, "statuses": statuses, **more}


def stream(*statuses, **more):
    return {"stream": True, "statuses": statuses, **more}


def both(*statuses, **more):
    return [unary(*statuses, **more), stream(*statuses, **more)]


#: Complete streams: the whole text, one [DONE], at the very end.
WHOLE = stream(200, whole=True)
#: Streams that break after their first output: an error event, no [DONE].
BROKEN = stream(200, broken=True)
#: Streams whose break may be seen before or after the head is out.
BROKEN_OR_502 = stream(200, 502, broken=True)
#: Streams whose last event is missing. OpenAI's finish reason says that the answer is whole; an Anthropic stream without
#: message_stop is cut.
UNMARKED = [stream(200, whole=True, only=OPENAI), stream(200, broken=True, only=ANTHROPIC)]
FINE = [unary(200, text=True), WHOLE]

#: Rows of the fault catalogue, fault, what must be seen. `only` limits a row to one provider.
ROWS = [
    ("U03", "reset", both(502)), ("U03", "close", both(502)), ("U03", "reset-head", both(502)), ("U27", "close-head", both(502)),
    ("U06", "hang", both(504)), ("U07", "hang-head", both(504)), ("U08", "hang-after=3", [unary(504), BROKEN]),
    ("U27", "reset-after=3", [unary(502), BROKEN]), ("U27", "close-after=3", [unary(502), BROKEN]),
    ("U36", "end-after=3", [BROKEN]), ("U09", "drip=100us", FINE),
    ("U10", "429=2", both(429, retry_after=True)), ("U11", "429=date", both(429, retry_after=True)),
    ("U11", "429=past-date", both(429)), ("U12", "429-ms=350", both(429, retry_after=True)),
    ("U13", "429=-5", both(429)), ("U13", "429=abc", both(429)), ("U13", "429=NaN", both(429)), ("U13", "429=1e9", both(429)),
    ("U13", "429=999999999", both(429)), ("U13", "429=empty", both(429)), ("U13", "429=two", both(429)),
    ("U14", "429", both(429, retry_after=True)),
    ("U15", "quota", both(429, code="upstream_quota", only=OPENAI)), ("U15", "spend-cap", both(429, only=OPENAI)),
    ("U15", "credit", both(429, code="upstream_quota", only=ANTHROPIC)), ("U15", "402", both(429, code="upstream_quota")),
    ("U16", "flaky=1", [unary(200, text=True, attempts="2")]),
    ("U18", "500", both(502)), ("U18", "502", both(502)), ("U18", "503", both(503)), ("U18", "504", both(504)), ("U18", "520", both(502)),
    ("U19", "529", both(503)), ("U19", "stream-overloaded=0", [stream(503, only=ANTHROPIC), stream(502, 503, only=OPENAI)]), ("U19", "stream-overloaded=3", [BROKEN]),
    ("U20", "401", both(502, code="upstream_auth")), ("U20", "403", both(502, code="upstream_auth")),
    ("U21", "400", both(400)), ("U21", "404", both(404)), ("U21", "408", both(408)), ("U21", "409", both(409)), ("U21", "422", both(422)),
    ("U21", "context-length", both(400, code="context_length_exceeded")), ("U22", "413", both(413)),
    ("U23", "204", both(502)), ("U23", "206", [unary(502)]), ("U23", "100", both(200, 502)), ("U23", "103", both(200, 502)),
    ("U23", "418", both(400, 418, 502)), ("U23", "999", both(502)),
    ("U24", "html", both(502, code="upstream_invalid_response")), ("U24", "html=502", both(502)), ("U24", "html=404", both(404, 502)),
    ("U25", "cut", [unary(502), BROKEN_OR_502]), ("U25", "leading-space", [unary(200, text=True)]),
    ("U26", "length-short", [unary(502)]), ("U26", "length-long", [unary(502)]),
    ("U27", "bad-chunk=6", [BROKEN]), ("U27", "bad-chunk=0", both(502)), ("U27", "no-final-chunk", [unary(502, 200)]),
    # The gateway's HTTP client reads no HTTP/1.1 body that has no length; an honest error is all that can be asked.
    ("U28", "close-delimited", both(200, 502)),
    ("U29", "gzip", both(200, 502)), ("U29", "deflate", both(200, 502)), ("U29", "br", both(200, 502)), ("U29", "gzip-bomb=32", [unary(502)]),
    ("U30", "latin1", [unary(200, 502)]), ("U30", "no-content-type", [unary(200, 502)]), ("U30", "text-plain", [unary(200, 502)]),
    ("U31", "bad-utf8", [unary(502), BROKEN_OR_502]),
    ("U32", "unicode!split=1", both(200, contains="👩\u200d🚀")), ("U33", "split=1", [WHOLE]), ("U33", "split=7", [WHOLE]),
    ("U34", "crlf", [WHOLE]), ("U34", "cr", [WHOLE]), ("U34", "mixed-eol", [WHOLE]), ("U34", "crlf!split=1", [WHOLE]), ("U34", "cr!split=1", [WHOLE]),
    ("U35", "no-space", [WHOLE]), ("U35", "bom", [WHOLE]), ("U35", "comments", [WHOLE]), ("U35", "ids", [WHOLE]), ("U35", "multi-line", [WHOLE]),
    ("U36", "no-blank", UNMARKED), ("U36", "no-done", UNMARKED), ("U37", "done-twice", [WHOLE]), ("U37", "after-done", [WHOLE]),
    ("U38", "giant-event=50", [BROKEN]), ("U38", "endless-line", [BROKEN]), ("U38", "big=32", [unary(200, 502, 504)]),
    ("U39", "burst=100000", [stream(200, ends=True)]),
    ("U40", "usage-missing", FINE), ("U40", "usage-negative", both(200, sane_usage=True)), ("U40", "usage-huge", both(200, sane_usage=True)),
    ("U40", "usage-twice", [WHOLE]),
    ("U41", "unknown-events", [WHOLE]), ("U41", "unknown-fields", FINE), ("U41", "empty-choices", [WHOLE]),
    ("U41", "null-content", both(200, 502)), ("U41", "index-gap", both(200)),
    ("U43", "error-200", both(502)), ("U44", "stream-error=3", [BROKEN]), ("U44", "stream-error=0", [stream(502)]),
    ("U45", "redirect", both(502)),
    ("U46", "headers", both(200, 502)), ("U46", "big-header", both(200, 502)), ("U46", "header-lf", both(200, 502, without="x-forged")),
    ("U46", "set-cookie", both(200, without="set-cookie")), ("U46", "hop-by-hop", both(200, without="x-secret-hop")),
    ("U47", "echo-auth", both(400)), ("U47", "echo-auth=401", both(502)), ("U47", "echo-auth=500", both(502)),
    ("U48", "idle-close", FINE), ("U48", "idle-close", FINE), ("U48", "stale", FINE), ("U48", "stale", FINE), ("U48", "stale", FINE),
    ("U51", "ping-only=50ms", [stream(504)]),
    ("-", "refusal", both(200)), ("-", "thinking", FINE), ("-", "server-tool", FINE), ("-", "redacted-thinking", FINE),
]
#: What a second target must save: failures before the first output.
SAVED = (
    "reset", "close", "reset-head", "hang", "hang-head", "429=2", "429", "quota", "500", "502", "503", "504", "529", "401", "403",
    "204", "html", "cut", "length-short", "length-long", "bad-chunk=0", "bad-utf8", "error-200", "redirect", "999",
)
SAVED_STREAMS = ("reset", "hang-head", "close-head", "500", "529", "429=2", "stream-overloaded=0", "stream-error=0", "html", "end-after=0", "ping-only=50ms")


#: How soon the upstream must see that a client has left, and how often that is tried on a machine that may be busy.
ABORT_LIMIT, ABORT_TRIES = 0.1, 3


def run(address, mock):
    """Runs every row and returns one result for each, in order. `mock` is the upstream, whose counters show aborts."""
    results = []
    for row, fault, expectations in ROWS:
        for expected in expectations:
            for model in (OPENAI, ANTHROPIC):
                if expected.get("only", model) == model:
                    results.append(one(address, row, f"{model}!{fault}", expected))
    for fault in SAVED:
        results.append(one(address, "FO", f"fo!{fault}", unary(200, text=True)))
    for fault in SAVED_STREAMS:
        results.append(one(address, "FO", f"fo!{fault}", WHOLE))
    for model in (OPENAI, ANTHROPIC):
        results.append(leaving(address, mock, "C05", f"{model}!hang", reads_first=False))
        results.append(leaving(address, mock, "C06", f"{model}!delay=200ms", reads_first=True))
        results.append(failing_always(address, mock, f"{model}!500!chunks=1"))
    return results


def failing_always(address, mock, model):
    """An upstream that only fails: its breaker opens soon, and from then on refuses at once and says when to come back."""
    start = time.monotonic()
    answers = [ask(address, model, False) for _ in range(40)]
    took = time.monotonic() - start
    calls = counter(mock, "by_model").get(model, 0)
    last = answers[-1]
    problems = [] if calls <= 10 else [f"{calls} calls reached an upstream that only fails"]
    if last["status"] != 503:
        problems.append(f"status {last['status']} while the breaker must be open")
    problems += check_error(last["raw"], last["headers"], {"retry_after": True})
    return {"row": "U17", "model": model, "stream": False, "status": last["status"], "seconds": round(took, 2), "problems": problems}


def leaving(address, mock, row, model, reads_first):
    """A client that hangs up: before the first event, or in the middle of its stream."""
    delays = []
    for _ in range(ABORT_TRIES):
        body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": f"{time.monotonic_ns()}"}]})
        aborted, arrived = counter(mock, "aborted"), counter(mock, "requests")
        with socket.create_connection(address.split(":"), timeout=PATIENCE) as client:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            client.sendall((head + body).encode())
            wait_for(lambda: counter(mock, "requests") > arrived)
            if reads_first:
                client.recv(1024)
            left_at = time.time()
        if not wait_for(lambda: counter(mock, "aborted") > aborted):
            delays.append(PATIENCE)
            break
        delays.append(counter(mock, "last_abort_unix_us") / 1e6 - left_at)
    best = min(delays)
    problems = [] if best <= ABORT_LIMIT else [f"the upstream saw the client leave after {best * 1000:.0f} ms"]
    return {"row": row, "model": model, "stream": True, "status": None, "seconds": round(best, 4), "problems": problems}


def counter(mock, name):
    with urllib.request.urlopen(f"http://{mock}/__mock/counters", timeout=PATIENCE) as answer:
        return json.load(answer)[name]


def wait_for(reached, limit=5.0):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if reached():
            return True
        time.sleep(0.01)
    return False


def one(address, row, model, expected):
    start = time.monotonic()
    try:
        answer = ask(address, model, expected["stream"])
        problems = check(answer, expected)
        status = answer["status"]
    except (OSError, http.client.HTTPException) as error:
        problems, status = [f"no answer: {error!r}"], None
    return {
        "row": row,
        "model": model,
        "stream": expected["stream"],
        "status": status,
        "seconds": round(time.monotonic() - start, 2),
        "problems": problems,
    }


def ask(address, model, is_stream):
    body = {"model": model, "messages": [{"role": "user", "content": f"Tell me about the harbour, {time.monotonic_ns()}."}]}
    if is_stream:
        body.update(stream=True, stream_options={"include_usage": True})
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    raw = response.read()
    connection.close()
    return {"status": response.status, "headers": {name.lower(): value for name, value in response.getheaders()}, "raw": raw.decode("utf-8", "replace")}


def data_lines(raw):
    return [line[5:].strip() for line in raw.splitlines() if line.startswith("data:")]


def check(answer, expected):
    """The list of everything that is not as it must be."""
    raw, headers, status = answer["raw"], answer["headers"], answer["status"]
    problems = []
    if status not in expected["statuses"]:
        problems.append(f"status {status}, expected {' or '.join(map(str, expected['statuses']))}: {raw[:160]!r}")
    if "<html" in raw.lower() or services.KEY in raw or "\ufffd" in raw:
        problems.append("the answer shows a page, a key or broken text of the upstream")
    if expected.get("without") in headers:
        problems.append(f"header {expected['without']} came through")
    if status != 200:
        return problems + check_error(raw, headers, expected)
    if expected["stream"]:
        return problems + check_stream(raw, expected)
    message = json.loads(raw)["choices"][0]["message"]
    if expected.get("text") and message["content"] != TEXT:
        problems.append(f"text {message['content']!r}")
    if expected.get("contains", "") not in (message["content"] or ""):
        problems.append("text is damaged")
    if expected.get("attempts") not in (None, headers.get("x-sentinel-attempts")):
        problems.append(f"attempts {headers.get('x-sentinel-attempts')}")
    if expected.get("sane_usage"):
        problems += check_usage(json.loads(raw))
    return problems


def check_error(raw, headers, expected):
    try:
        error = json.loads(raw)["error"]
    except (ValueError, KeyError, TypeError):
        return [f"no error object: {raw[:160]!r}"]
    problems = [f"error without {name}" for name in ("message", "type", "param", "code", "request_id") if name not in error]
    if expected.get("code") not in (None, error.get("code")):
        problems.append(f"code {error.get('code')}, expected {expected['code']}")
    after = headers.get("retry-after")
    if expected.get("retry_after") and not (after and after.isdigit() and 1 <= int(after) <= 300):
        problems.append(f"retry-after {after!r}")
    if after is not None and not (after.isdigit() and int(after) <= 300):
        problems.append(f"retry-after {after!r} is no sane number of seconds")
    return problems


def check_stream(raw, expected):
    lines = data_lines(raw)
    events = [json.loads(line) for line in lines if line != "[DONE]"]
    failed = [event for event in events if event.get("error")]
    done = lines.count("[DONE]")
    problems = []
    if expected.get("broken"):
        if not failed or done:
            problems.append(f"a broken stream needs an error event and no [DONE]; {len(failed)} and {done} came")
        return problems
    if failed:
        return [f"error event {failed[0]['error']}"]
    if done != 1 or lines[-1] != "[DONE]":
        problems.append(f"{done} times [DONE]")
    text = "".join(choice["delta"].get("content") or "" for event in events for choice in event.get("choices", []))
    if expected.get("whole") and text != TEXT:
        problems.append(f"text {text[:200]!r}")
    if expected.get("contains", "") not in text:
        problems.append("text is damaged")
    if expected.get("sane_usage"):
        problems += [problem for event in events if event.get("usage") for problem in check_usage(event)]
    return problems


def check_usage(body):
    cost = body.get("cost_usd")
    return [f"cost {cost}"] if cost is not None and cost < 0 else []


def table(results):
    lines = ["", "## Faults", "", "| row | model | stream | status | seconds | as it must be |", "|---" * 6 + "|"]
    for item in results:
        verdict = "yes" if not item["problems"] else "**no**: " + "; ".join(item["problems"]).replace("|", "/")
        mode = "yes" if item["stream"] else "no"
        lines.append(f"| {item['row']} | `{item['model']}` | {mode} | {item['status']} | {item['seconds']} | {verdict} |")
    return "\n".join(lines) + "\n"
