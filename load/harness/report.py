"""Writes the results as `report.json` and `report.md`."""

import json
import os
import pathlib
import platform
import subprocess
import time

from . import sweep


def machine_facts(rig, args):
    """Where and with what it ran; without this a figure means nothing."""
    cpu = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    facts = {
        "date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load average at the end": " ".join(f"{value:.1f}" for value in os.getloadavg()),
        "rounds": args.rounds,
        "seconds a measurement": args.seconds,
        "workers": args.workers,
        "store": "redis" if args.redis != "none" else "embedded",
        "nginx": version([args.nginx, "-v"]) if "nginx" in rig.services else "not measured",
    }
    for name, service in rig.services.items():
        if service.started_in:
            facts[f"{name}: ready after"] = f"{service.started_in * 1000:.0f} ms"
            facts[f"{name}: resident at the end"] = f"{service.rss() / 2**20:.1f} MiB"
    return facts


def version(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError:
        return "unknown"
    return (done.stdout + done.stderr).strip().splitlines()[0]


def write(out, results, drills, facts, soaked, swept):
    body = {"facts": facts, "scenarios": results, "drill": drills, "soak": soaked, "faults": swept}
    (out / "report.json").write_text(json.dumps(body, indent=1) + "\n")
    parts = (soak_part(soaked) if soaked else "") + (sweep.table(swept) if swept else "")
    (out / "report.md").write_text(markdown(results, drills, facts) + parts)


def soak_part(soaked):
    first, last = soaked["windows"][0], soaked["windows"][-1]
    lines = [
        "",
        "## Soak",
        "",
        f"- {soaked['minutes']:.0f} minutes, {sum(window['answers'] for window in soaked['windows'])} healthy answers",
        f"- resident: {first['rss'] / 2**20:.1f} MiB in the first window, {last['rss'] / 2**20:.1f} MiB in the last, "
        f"{soaked['rss_growth'] / 2**20:+.1f} MiB over the second half",
        f"- descriptors: {first['fds']} to {last['fds']}, {soaked['fds_growth']:+.0f} over the second half",
        f"- passed: {'yes' if soaked['passed'] else 'no: ' + '; '.join(soaked['failures'])}",
        "",
        "| fault | answers of the last window |",
        "|---|---|",
    ]
    lines += [f"| `{fault}` | {json.dumps(counts)} |" for fault, counts in last["faults"].items()]
    return "\n".join(lines) + "\n"


def markdown(results, drills, facts):
    lines = ["# Load report", "", "Medians of interleaved rounds; CPU is process time of the service alone.", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    judged = [(result["name"], budget) for result in results for budget in result["budgets"]]
    if judged:
        lines += ["", "## Budgets", "", "| scenario | what | limit | median | range | held |", "|---|---|---|---|---|---|"]
        for name, budget in judged:
            unit, sign = (" us", "+") if budget["kind"] == "added" else ("x", "")
            show = lambda value: f"{sign if value >= 0 else ''}{value:.2f}{unit}"
            spread = f"{show(budget['least'])} to {show(budget['most'])}"
            verdict = "yes" if budget["held"] else "**no**"
            lines.append(f"| {name} | {budget['what']} | {show(budget['limit'])} | {show(budget['median'])} | {spread} | {verdict} |")
    for result in results:
        lines += ["", f"## {result['title']}", "", f"![{result['name']}]({result['name']}.svg)", ""]
        lines.append("| service | " + " | ".join(result["figures"]) + " |")
        lines.append("|---" * (len(result["figures"]) + 1) + "|")
        for name, summary in result["summary"].items():
            cells = [cell(path, summary.get(path)) for path in result["figures"]]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines += [f"- fault: {text}" for text in sorted(set(result["errors"]))]
    if drills:
        lines += ["", "## drill", "", "| scenario | requests | failed | requests/s | median | p99 | passed |", "|---" * 7 + "|"]
        for item in drills:
            lines.append(
                f"| {item['name']} | {item['requests']} | {item['failed']} | {item['rate']} | {item['median']} | {item['p99']} "
                f"| {'yes' if item['passed'] else '**no**: ' + item['why']} |"
            )
    return "\n".join(lines) + "\n"


def cell(path, value):
    if value is None:
        return "-"
    if path == "rss_max":
        return f"{value / 2**20:.1f} MiB"
    return f"{value:.0f}" if value >= 1000 else f"{value:.2f}"
