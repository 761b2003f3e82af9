"""Interleaved rounds: every service is measured in every round, in an order that rotates.

Whatever else the machine does then hits all of them alike, and ratios within a round are honest even where the
absolute figures are not.
"""

import json
import statistics
import subprocess
import sys


def run(rig, chosen, n_rounds, seconds):
    """Measures all scenarios and returns one result for each."""
    results = []
    for scenario in chosen:
        names = [name for name in rig.services if not scenario.only or name in scenario.only]
        if not names:
            continue
        samples = {name: [] for name in names}
        errors = []
        for index in range(n_rounds):
            turn = index % len(names)
            for name in names[turn:] + names[:turn]:
                sample = measure(rig, rig.services[name], scenario, seconds)
                samples[name].append(sample)
                errors += faults(name, sample)
            print(f"{scenario.name}: round {index + 1} of {n_rounds}", file=sys.stderr)
        results.append({
            "name": scenario.name,
            "title": scenario.title,
            "figures": list(scenario.figures),
            "samples": samples,
            "summary": {name: summarise(rows) for name, rows in samples.items()},
            "budgets": [judge(budget, samples) for budget in scenario.budgets if is_measured(budget, samples)],
            "errors": errors,
        })
    add_cache_budget(results)
    return results


def measure(rig, service, scenario, seconds):
    """One call of the probe; returns its report with the figures of the service's processes on top."""
    command = [rig.args.tool, "probe", *scenario.command(service, seconds)]
    watched = {"service": service.pids, "mock": [process.pid for process in rig.mocks.values()]}
    for label, pids in watched.items():
        if pids:
            command += ["--watch", f"{label}={','.join(map(str, pids))}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise SystemExit(f"{scenario.name} on {service.name}: {done.stderr.strip()}")
    sample = json.loads(done.stdout)
    sample.update(sample["processes"].get("service", {}))
    return sample


def faults(name, sample):
    """What a measurement without injected faults must not show."""
    bad = {status: count for status, count in sample["by_status"].items() if status != "200"}
    found = [f"{name}: {count} answers of status {status}" for status, count in bad.items()]
    found += [f"{name}: {count} times {kind}" for kind, count in sample["errors"].items()]
    if sample["unterminated_streams"]:
        found.append(f"{name}: {sample['unterminated_streams']} streams without terminal event")
    return found


def figure(sample, path):
    """A figure by its dotted path; None where it was not measured."""
    value = sample
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def summarise(rows):
    """Median of every number of the reports."""
    paths = [key for key, value in rows[0].items() if isinstance(value, (int, float))]
    paths += [f"{key}.{name}" for key, value in rows[0].items() if key.endswith("_us") and isinstance(value, dict) for name in value]
    return {path: statistics.median(figure(row, path) or 0 for row in rows) for path in paths}


def is_measured(budget, samples):
    return all(
        samples.get(name) and figure(samples[name][0], budget.figure) is not None
        for name in (budget.service, budget.base)
    )


def judge(budget, samples):
    """Compares round by round, and judges the median of the comparisons."""
    pairs = zip(samples[budget.service], samples[budget.base])
    values = []
    for own, base in pairs:
        ours, theirs = figure(own, budget.figure), figure(base, budget.figure)
        values.append(ours - theirs if budget.kind == "added" else ours / max(theirs, 1e-9))
    return {
        "what": f"{budget.figure} of {budget.service} against {budget.base}" + (f", {budget.note}" if budget.note else ""),
        "kind": budget.kind,
        "limit": budget.limit,
        "median": statistics.median(values),
        "least": min(values),
        "most": max(values),
        "held": statistics.median(values) <= budget.limit,
    }


def add_cache_budget(results):
    """A cache hit against a miss spans two scenarios: the same load with equal and with unique prompts."""
    by_name = {result["name"]: result for result in results}
    hit, miss = by_name.get("cache-hit"), by_name.get("unary-200-c64")
    if not hit or not miss or "sentinel" not in miss["samples"] or "sentinel" not in hit["samples"]:
        return
    pairs = zip(hit["samples"]["sentinel"], miss["samples"]["sentinel"])
    values = [own["cpu_us_per_request"] / max(base["cpu_us_per_request"], 1e-9) for own, base in pairs]
    hit["budgets"].append({
        "what": "cpu_us_per_request of a cache hit against a miss",
        "kind": "ratio",
        "limit": 0.6,
        "median": statistics.median(values),
        "least": min(values),
        "most": max(values),
        "held": statistics.median(values) <= 0.6,
    })
