# SPDX-License-Identifier: Apache-2.0
"""Draws a loss and its gradient as SVG, as the first number of its first main input changes, the rest as in the example."""

import json
import math
from xml.sax.saxutils import escape

POINTS = 241
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 300, 56, 16, 40, 40

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 } .note { font-size: 11px; fill: #59636e } .back { fill: #ffffff }
.grid { stroke: #d1d9e0 } .zero { stroke: #8c959f } polyline { fill: none; stroke-width: 2 }
.loss { stroke: #2a78b8 } .gradient { stroke: #c4551b; stroke-dasharray: 6 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9da7b1 } .back { fill: #0d1117 } .grid { stroke: #3d444d } .zero { stroke: #6e7681 }
  .loss { stroke: #58a6e0 } .gradient { stroke: #f0883e }
}
"""


def flat(value):
    return [x for each in value for x in flat(each)] if isinstance(value, list) else [value]


def with_first(value, first):
    return [with_first(value[0], first), *value[1:]] if isinstance(value, list) else first


def span(name, numbers):
    """From where to where the number goes."""
    if name == "predictions" and all(0 <= x <= 1 for x in numbers):
        return -0.25, 1.25
    return min(-4, math.floor(numbers[0]) - 2), max(4, math.ceil(numbers[0]) + 2)


def sweep(loss, compute):
    """[(x, loss, gradient)], None where one is not finite. Losses whose samples meet are summed."""
    name = next(each["name"] for each in loss["inputs"] if each["main"])
    example = {**loss["example"], "gradients": [name], "dtype": "float64", "reduction": "sum"}
    low, high = span(name, flat(example[name]))
    points = []
    for i in range(POINTS):
        x = low + (high - low) * i / (POINTS - 1)
        answer = json.loads(compute(loss["name"], {**example, name: with_first(example[name], x)}))
        own = answer["loss"] if not loss["accumulable"] else flat(answer["losses"])[0]
        points.append((x, own, flat(answer["gradients"][name])[0]))
    return points


def bounds(values):
    """What the axis shows: all, but for the outermost fiftieth at either end."""
    ordered = sorted(values) or [0.0]
    cut = len(ordered) // 50
    low, high = min(ordered[cut], 0.0), max(ordered[-1 - cut], 0.0)
    margin = 0.08 * (high - low) or 1.0
    return low - margin, high + margin


def step(extent):
    """A round distance of grid lines, of which there are four to ten."""
    size = 10.0 ** math.floor(math.log10(extent))
    return next(size * part for part in (0.1, 0.2, 0.5, 1.0) if extent / (size * part) <= 10)


def ticks(low, high):
    by = step(high - low)
    return [k * by for k in range(math.ceil(low / by - 1e-9), math.floor(high / by + 1e-9) + 1)]


class Plane:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def place(self, x, y):
        return (LEFT + (x - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM - (y - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - TOP - BOTTOM))

    def curve(self, kind, points):
        """Broken where it is not finite, leaves the plane or jumps."""
        parts, jump = [[]], 0.2 * (self.y[1] - self.y[0])
        last = None
        for x, y in points:
            shown = y is not None and self.y[0] <= y <= self.y[1]
            if not shown or (last is not None and abs(y - last) > jump):
                parts.append([])
            if shown:
                parts[-1].append("{:.1f},{:.1f}".format(*self.place(x, y)))
            last = y if shown else None
        return [f'<polyline class="{kind}" points="{" ".join(part)}"/>' for part in parts if len(part) > 1]

    def grid(self):
        marks = []
        for x in ticks(*self.x):
            at, bottom = self.place(x, self.y[0])
            marks.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{bottom:.1f}"/>')
            marks.append(f'<text class="note" x="{at:.1f}" y="{bottom + 15:.1f}" text-anchor="middle">{x:.6g}</text>')
        for y in ticks(*self.y):
            _, at = self.place(self.x[0], y)
            kind = "zero" if abs(y) < 1e-12 else "grid"
            marks.append(f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
            marks.append(f'<text class="note" x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{y:.6g}</text>')
        return marks


def picture(loss, points):
    name = next(each["name"] for each in loss["inputs"] if each["main"])
    shown = [y for _, *both in points for y in both if y is not None]
    plane = Plane((points[0][0], points[-1][0]), bounds(shown))
    marks = plane.grid()
    marks += plane.curve("loss", [(x, y) for x, y, _ in points])
    marks += plane.curve("gradient", [(x, g) for x, _, g in points])
    title = f"{loss['name']}: loss and gradient"
    marks += [f'<text x="{LEFT}" y="20">{escape(loss["name"])}</text>',
              f'<polyline class="loss" points="{WIDTH - 210},16 {WIDTH - 180},16"/><text x="{WIDTH - 174}" y="20">loss</text>',
              f'<polyline class="gradient" points="{WIDTH - 130},16 {WIDTH - 100},16"/>'
              f'<text x="{WIDTH - 94}" y="20">gradient</text>',
              f'<text class="note" x="{WIDTH / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">first of {escape(name)}, '
              f'the rest as in the example</text>']
    body = "\n".join(marks)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            f'role="img" aria-label="{escape(title)}">\n<style>{STYLE}</style>\n'
            f'<rect width="{WIDTH}" height="{HEIGHT}" class="back"/>\n{body}\n</svg>\n')
