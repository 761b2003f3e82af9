"""Runs drill on the scenarios in `load/drill` and judges its output.

drill 0.9.1 ends with status 0 even when every request failed, so the verdict comes from its statistics. It knows no
split by status either: for the saturation scenario the daemon's own counter says what the failures were.
"""

import json
import os
import re
import subprocess
import urllib.request

LINE = re.compile(r"^(?P<name>[A-Za-z0-9' ./%-]+?)\s{2,}(?P<value>[0-9.]+)\s*(?P<unit>[a-z%/]*)", re.MULTILINE)


def run_all(rig, folder, binary):
    """Runs every plan; those that need the daemon's own features are left out when there is only the mock."""
    service = rig.services.get("sentinel") or rig.services["direct"]
    limited = rig.limited() if service.name != "direct" else None
    results = []
    for plan in sorted(folder.glob("*.yml")):
        if limited or "needs-daemon" not in first_line(plan):
            results.append(run_one(limited if "expects-429" in first_line(plan) else service, plan, binary))
    return results


def first_line(plan):
    return plan.read_text().splitlines()[0]


def run_one(service, plan, binary):
    base = f"http://{service.unary}"
    environment = {**os.environ, "NO_COLOR": "1", "BASE": base, "LIMITED_BASE": base}
    command = [binary, "--benchmark", str(plan), "--stats", "--nanosec", "--quiet", "--timeout", "30"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    result = parse(done.stdout)
    result["name"] = plan.stem
    result["passed"], result["why"] = verdict(result, done, plan, service)
    return result


def parse(output):
    """Reads the totals; drill prints a block for each named request and one for all of them at the end."""
    totals = {}
    for match in LINE.finditer(output):
        totals[match["name"].strip().lower()] = (match["value"] + " " + match["unit"]).strip()
    number = lambda name: int(float(totals.get(name, "0").split()[0]))
    return {
        "requests": number("total requests"),
        "succeeded": number("successful requests"),
        "failed": number("failed requests"),
        "rate": totals.get("requests per second", "-"),
        "median": totals.get("median time per request", "-"),
        "p99": totals.get("99.0'th percentile", "-"),
    }


def verdict(result, done, plan, service):
    if done.returncode != 0:
        return False, f"drill ended with status {done.returncode}: {done.stderr.strip()[-300:]}"
    if result["requests"] == 0:
        return False, "no statistics in drill's output"
    if "expects-429" not in first_line(plan):
        return result["failed"] == 0, f"{result['failed']} failed requests"
    if result["failed"] == 0 or result["succeeded"] == 0:
        return False, "saturation must refuse some requests and admit some"
    others = other_failures(service)
    return not others, f"failures that are no 429: {others}"


def other_failures(service):
    """Failed chat requests by status, without 429, from the daemon's Prometheus text."""
    with urllib.request.urlopen(f"http://{service.unary}/metrics/prometheus", timeout=10) as answer:
        text = answer.read().decode()
    found = {}
    for line in text.splitlines():
        match = re.match(r'sentinel_requests_total\{.*route="/v1/chat/completions".*status="(\d+)".*\} ([0-9.]+)', line)
        if match and match[1] not in ("200", "429") and float(match[2]) > 0:
            found[match[1]] = float(match[2])
    return json.dumps(found) if found else ""
