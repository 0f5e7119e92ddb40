"""Draws time series as panels of one page, in the manner of Grafana: lines or stacked areas, an axis, a legend, marks."""

import html
import math

WIDTH, HEIGHT = 640, 250
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 34, 52
COLOURS = ["#73bf69", "#5794f2", "#f2cc0c", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#c0d8a8"]


def number(value, unit):
    """A value as people read it."""
    if unit == "s":
        return f"{value * 1e6:.0f} µs" if 0 < value < 0.001 else f"{value * 1000:.3g} ms" if 0 < value < 1 else f"{value:.3g} s"
    if unit == "percentunit":
        return f"{value * 100:.0f} %"
    suffix = "/s" if unit in ("reqps", "ops") else ""
    return (f"{value / 1000:.3g}k" if abs(value) >= 1000 else f"{value:.3g}") + suffix


def ticks(top):
    """Round values from 0 to at least `top`, three to six of them."""
    rough = (top or 1) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    return [step * place for place in range(math.ceil((top or 1) / step) + 1)]


def stacked(series):
    """The upper edges of series on top of one another."""
    sums, edges = {}, []
    for name, points in series:
        for at, value in points.items():
            sums[at] = sums.get(at, 0) + value
        edges.append((name, {at: sums[at] for at in points}))
    return edges


def path(points, x, y, gap_s):
    """A line that is interrupted where values are missing: what is not known is not drawn."""
    words, last = [], None
    for at in sorted(points):
        words.append(f"{'M' if last is None or at - last > gap_s else 'L'}{x(at):.1f} {y(points[at]):.1f}")
        last = at
    return " ".join(words)


def panel(title, unit, kind, series, begin, end, marks):
    """One SVG. `series`: `(name, {time: value})`; `marks`: `(time, words)`, drawn as vertical lines."""
    edges = stacked(series) if kind == "bars" else series
    scale = ticks(max((value for _, points in edges for value in points.values()), default=1))
    x = lambda at: LEFT + (at - begin) / (end - begin) * (WIDTH - LEFT - RIGHT)
    y = lambda value: HEIGHT - BOTTOM - value / scale[-1] * (HEIGHT - TOP - BOTTOM)
    out = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}"><text x="12" y="21" class="title">{html.escape(title)}</text>']
    for value in scale:
        out.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" class="grid"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" class="axis" text-anchor="end">{number(value, unit)}</text>')
    for second in range(0, int(end - begin) + 1, 20):
        out.append(f'<text x="{x(begin + second):.1f}" y="{HEIGHT - BOTTOM + 15}" class="axis" text-anchor="middle">{second} s</text>')
    for at, _ in marks:
        out.append(f'<path d="M{x(at):.1f} {TOP}V{HEIGHT - BOTTOM}" class="mark"/>')
    # The highest area first, so that the lower ones stay visible.
    for place, (_, points) in reversed(list(enumerate(edges))):
        line = path(points, x, y, gap_s=4)
        if kind == "bars" and points:
            area = f"{line} L{x(max(points)):.1f} {y(0):.1f} L{x(min(points)):.1f} {y(0):.1f}Z"
            out.append(f'<path d="{area}" fill="{COLOURS[place % 8]}"/>')
        out.append(f'<path d="{line}" fill="none" stroke="{COLOURS[place % 8]}" stroke-width="1.5"/>')
    at = 12
    for place, (name, _) in enumerate(series):
        out.append(f'<rect x="{at}" y="{HEIGHT - 21}" width="10" height="4" fill="{COLOURS[place % 8]}"/>')
        out.append(f'<text x="{at + 15}" y="{HEIGHT - 15}" class="axis">{html.escape(name)}</text>')
        at += 30 + 6.6 * len(name)
    return "".join(out) + "</svg>"


def page(title, panels, below):
    """All panels in two columns."""
    return f"""<!doctype html><meta charset="utf-8"><title>{html.escape(title)}</title><style>
body {{ margin: 0; padding: 12px; background: #111217; color: #ccccdc; font: 13px sans-serif }}
h1 {{ font-size: 18px; font-weight: 500; margin: 4px 4px 12px }}
p {{ margin: 12px 4px 0 }}
div {{ display: grid; grid-template-columns: 1fr 1fr; gap: 8px }}
svg {{ background: #181b1f; border: 1px solid #2c2f36; border-radius: 2px; font: 11px sans-serif }}
.title {{ fill: #ccccdc; font-size: 13px; font-weight: 600 }} .axis {{ fill: #9a9ba8 }} .grid {{ stroke: #2c2f36 }}
.mark {{ stroke: #f2495c; stroke-dasharray: 3 3 }}
</style><h1>{html.escape(title)}</h1><div>{"".join(panels)}</div><p>{html.escape(below)}</p>
"""
