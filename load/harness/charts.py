"""Bar charts as plain SVG: one a scenario, one panel a figure, one bar a service, a whisker over the rounds."""

import html

from .rounds import figure

WIDTH, BAR, GAP, LABEL, TOP = 720, 18, 6, 130, 26
COLOURS = {"direct": "#9aa5b1", "nginx": "#4c8c5a", "sentinel": "#2f6fb0", "sentinel-plain": "#8ab4e0"}


def write(out, results):
    for result in results:
        (out / f"{result['name']}.svg").write_text(chart(result))


def chart(result):
    parts, y = [], 30
    for path in result["figures"]:
        rows = [(name, values(samples, path)) for name, samples in result["samples"].items()]
        rows = [(name, found) for name, found in rows if found]
        most = max((max(found) for _, found in rows), default=0)
        if most <= 0:
            continue
        parts.append(text(8, y + 14, path, "bold"))
        y += TOP
        for name, found in rows:
            parts += bar(name, found, most, y)
            y += BAR + GAP
        y += GAP
    title = html.escape(result["title"])
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 8}" viewBox="0 0 {WIDTH} {y + 8}" '
        f'font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="{title}">'
    )
    ground = f'<rect width="{WIDTH}" height="{y + 8}" fill="#ffffff"/>'
    return "\n".join([head, ground, text(8, 18, result["title"], "bold"), *parts, "</svg>"]) + "\n"


def values(samples, path):
    found = [figure(sample, path) for sample in samples]
    return sorted(value for value in found if isinstance(value, (int, float)))


def bar(name, found, most, y):
    scale = (WIDTH - LABEL - 110) / most
    median = found[len(found) // 2]
    least, highest = LABEL + found[0] * scale, LABEL + found[-1] * scale
    middle = y + BAR / 2
    colour = COLOURS.get(name, "#b07a2f")
    shown = f"{median / 2**20:.1f} Mi" if median > 2**20 else f"{median:,.0f}" if median >= 1000 else f"{median:.2f}"
    return [
        text(8, y + 13, name),
        f'<rect x="{LABEL}" y="{y}" width="{max(median * scale, 1):.1f}" height="{BAR}" fill="{colour}"/>',
        f'<path d="M{least:.1f} {middle}H{highest:.1f}M{least:.1f} {middle - 4}v8M{highest:.1f} {middle - 4}v8" stroke="#222"/>',
        text(highest + 8, y + 13, shown),
    ]


def text(x, y, words, weight="normal"):
    return f'<text x="{x:.0f}" y="{y}" font-weight="{weight}" fill="#222">{html.escape(words)}</text>'
