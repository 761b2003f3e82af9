"""A long run of mixed load with faults beside it: memory and descriptors must stay flat, healthy traffic untouched.

Every window runs several probes at once: unary chat, cached chat and streams on healthy upstreams, and each of the
faults below on an upstream of its own. Healthy traffic may show no failure at all; what faulty models answer is
recorded, but only an answer that never comes counts as a failure.
"""

import json
import statistics
import subprocess
import sys
import time

from . import rounds, services

#: Faults of the third mock, each as a model of its own; `fault` routes to it.
FAULTS = (
    "500", "503", "429=1", "401", "reset", "close", "hang", "html", "cut", "flaky=0.3", "gzip", "drip=1ms", "bad-utf8",
)
STREAM_FAULTS = (
    "stream-error=3", "stream-overloaded", "hang-after=3", "reset-after=3", "close-after=3", "end-after=3", "no-done",
    "split=7", "crlf", "usage-missing", "burst=2000", "giant-event=2", "ping-only=50ms",
)
WINDOW_SECONDS = 15
#: Growth over the second half of the run that still counts as flat.
FLAT_BYTES = 4 * 2**20
FLAT_FDS = 16


def run(rig, minutes):
    service = rig.services["sentinel"]
    windows, failures = [], []
    deadline = time.monotonic() + minutes * 60
    while time.monotonic() < deadline:
        window = one_window(rig, service)
        windows.append(window)
        failures += window["failures"]
        print(f"soak: {len(windows)} windows, {window['rss'] / 2**20:.1f} MiB, {window['fds']} fds", file=sys.stderr)
    return {"minutes": minutes, "windows": windows, "failures": sorted(set(failures)), **verdict(windows, failures)}


def one_window(rig, service):
    length = ["--duration", f"{WINDOW_SECONDS}s", "--timeout", "20s"]
    healthy = [
        start(rig, service, [*length, "--model", services.UNARY_MODEL, "-c", "8", "--rate", "200"]),
        start(rig, service, [*length, "--model", services.UNARY_MODEL, "-c", "4", "--rate", "100", "--same"]),
        start(rig, service, [*length, "--model", services.STREAM_MODEL, "-c", "32", "--stream", "--leave", "4"]),
    ]
    faulty = [start(rig, service, [*length, "--model", f"fault!{fault}", "--rate", "2"]) for fault in FAULTS]
    faulty += [start(rig, service, [*length, "--model", f"fault!{fault}", "--rate", "2", "--stream"]) for fault in STREAM_FAULTS]
    samples = [finish(process) for process in healthy]
    seen = {}
    for fault, process in zip(FAULTS + STREAM_FAULTS, faulty):
        sample = finish(process)
        seen[fault] = {**sample["by_status"], **sample["errors"]}
    failures = [text for sample in samples for text in rounds.faults("healthy", sample)]
    failures += [f"{fault}: no answer in time" for fault, counts in seen.items() if "timeout" in counts]
    return {
        "rss": service.rss(),
        "fds": service.fds(),
        "answers": sum(sample["answers"] for sample in samples),
        "faults": seen,
        "failures": failures,
    }


def start(rig, service, arguments):
    command = [rig.args.tool, "probe", "--addr", service.unary, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    output, errors = process.communicate(timeout=600)
    if process.returncode != 0:
        raise SystemExit(f"soak: {errors.strip()}")
    return json.loads(output)


def verdict(windows, failures):
    """Compares the middle quarter of the run with its last: whatever leaks has then had half of the run to show."""
    quarter = max(len(windows) // 4, 1)
    middle, last = windows[len(windows) // 2 :][:quarter], windows[-quarter:]
    grown = {
        name: statistics.median(window[name] for window in last) - statistics.median(window[name] for window in middle)
        for name in ("rss", "fds")
    }
    passed = not failures and grown["rss"] <= FLAT_BYTES and grown["fds"] <= FLAT_FDS
    return {"rss_growth": grown["rss"], "fds_growth": grown["fds"], "passed": passed}
