"""What is measured: each scenario is one call of the probe, repeated for every service in every round.

A budget names the figure that it limits and the services that it compares; `report` judges it.
"""

import dataclasses

from . import services


@dataclasses.dataclass(frozen=True)
class Budget:
    """`figure` of `service` against that of `base`: at most `limit` as a ratio, or as a difference in microseconds."""

    figure: str
    service: str
    base: str
    limit: float
    kind: str = "ratio"
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    stream: bool = False
    connections: int = 64
    rate: float = 0.0
    prompt_bytes: int = 200
    same: bool = False
    get: str = ""
    #: Services that take part; empty for all.
    only: tuple = ()
    #: Additional arguments of the probe.
    extra: tuple = ()
    budgets: tuple = ()
    #: The figures that the report shows first.
    figures: tuple = ("cpu_us_per_request", "latency_us.p50", "latency_us.p99", "answers_per_second")

    def command(self, service, seconds):
        """Arguments of the probe for one measurement."""
        address = service.stream if self.stream else service.unary
        arguments = ["--addr", address, "--connections", str(self.connections), "--warm-up", "300ms"]
        if self.get:
            arguments += ["--get", "--path", self.get]
        else:
            model = services.STREAM_MODEL if self.stream else services.UNARY_MODEL
            arguments += ["--model", model, "--prompt-bytes", str(self.prompt_bytes)]
        if self.stream:
            arguments.append("--stream")
        if self.same:
            arguments.append("--same")
        if self.rate:
            arguments += ["--rate", str(self.rate)]
        length = seconds * (3 if self.rate else 1)
        return [*arguments, "--duration", f"{int(length * 1000)}ms", *self.extra]


STREAM_FIGURES = ("cpu_us_per_event", "first_event_us.p50", "first_event_us.p99", "gap_us.p50", "gap_us.p99", "rss_max")


def _unary(connections, prompt_bytes, **fields):
    return Scenario(
        name=f"unary-{prompt_bytes}-c{connections}",
        title=f"unary, {prompt_bytes} B prompt, {connections} connections",
        connections=connections,
        prompt_bytes=prompt_bytes,
        **fields,
    )


def _streams(count, budgets=()):
    return Scenario(
        name=f"streams-{count}",
        title=f"{count} streams of {services.STREAM_CHUNKS} chunks, one every {services.STREAM_DELAY_MS} ms",
        stream=True,
        connections=count,
        budgets=budgets,
        figures=STREAM_FIGURES,
    )


ALL = (
    Scenario("health", "health endpoint", get="/health/live", only=("sentinel",)),
    _unary(1, 200),
    _unary(16, 200),
    _unary(64, 200, budgets=(Budget("cpu_us_per_request", "sentinel", "nginx", 2.0),)),
    _unary(256, 200),
    _unary(64, 2000, budgets=(Budget("cpu_us_per_request", "sentinel", "nginx", 3.0),)),
    Scenario(
        "cache-hit",
        "unary, same 200 B prompt (cache hit), 64 connections",
        same=True,
        only=("sentinel", "sentinel-plain"),
    ),
    Scenario(
        "latency-100",
        "unary, 200 B prompt, 100 requests a second",
        connections=8,
        rate=100,
        figures=("latency_us.p50", "latency_us.p90", "latency_us.p99", "latency_us.max"),
        budgets=(
            Budget("latency_us.p50", "sentinel", "direct", 150, "added"),
            Budget("latency_us.p99", "sentinel", "direct", 500, "added"),
        ),
    ),
    Scenario(
        "ttft",
        "streams started at 20 a second: time to the first event",
        stream=True,
        connections=128,
        rate=20,
        figures=("first_event_us.p50", "first_event_us.p90", "first_event_us.p99"),
        budgets=(
            Budget("first_event_us.p50", "sentinel", "direct", 200, "added"),
            Budget("first_event_us.p99", "sentinel", "direct", 1000, "added"),
        ),
    ),
    _streams(100),
    _streams(500),
    _streams(
        1000,
        budgets=(
            Budget("cpu_us_per_event", "sentinel-plain", "nginx", 1.3, note="redaction off"),
            Budget("cpu_us_per_event", "sentinel", "nginx", 2.0, note="redaction on"),
        ),
    ),
    Scenario(
        "guests",
        "64 connections beside 20 clients that never read and 50 that leave",
        stream=True,
        figures=("answers_per_second", "latency_us.p99", "left", "rss_max"),
        extra=("--never-read", "20", "--leave", "50"),
        only=("sentinel", "nginx"),
    ),
)


def chosen(names):
    """The scenarios whose name starts with one of those given; all for none."""
    prefixes = [name.strip() for name in names.split(",") if name.strip()]
    found = [item for item in ALL if not prefixes or any(item.name.startswith(prefix) for prefix in prefixes)]
    if not found:
        raise SystemExit(f"no scenario is named {names!r}; see --list")
    return found
