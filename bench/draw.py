# SPDX-License-Identifier: Apache-2.0
"""Draws a group of the table as SVG: a bar a row, how many times better than what was to be reached, on a logarithmic scale.

The line at 1 is what was to be reached (the aim, where there was nothing else), the tick is the aim. Colours follow the
reader's light or dark mode.
"""

import math
from xml.sax.saxutils import escape

WIDTH, LABELS, RIGHT, LINE, TOP = 1180, 560, 110, 24, 64
SPAN = 64  # the scale ends here, 64 times better, and at a quarter
LEAST = 0.25

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-size: 17px; font-weight: 600 }
.note { font-size: 11px; fill: #59636e } .better { fill: #2a78b8 } .worse { fill: #c4551b } .aim { stroke: #1f2328; stroke-width: 2 }
.reach { stroke: #1f2328 } .grid { stroke: #d1d9e0 } .back { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9da7b1 } .better { fill: #58a6e0 } .worse { fill: #f0883e }
  .aim, .reach { stroke: #e6edf3 } .grid { stroke: #3d444d } .back { fill: #0d1117 }
}
"""


def across(times):
    """Where on the scale."""
    place = math.log(min(max(times, LEAST), SPAN) / LEAST) / math.log(SPAN / LEAST)
    return LABELS + place * (WIDTH - LABELS - RIGHT)


def text(x, y, content, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(content)}</text>'


def line(x, top, bottom, kind):
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" class="{kind}"/>'


def bar(row, y):
    """A row's marks; what has no bound is told in numbers alone."""
    marks = [text(LABELS - 10, y + 16, row.what, anchor="end")]
    bound = row.reach if row.reach is not None else row.aim
    if row.measured is None or bound is None:
        return marks + [text(across(1) + 6, y + 16, row.number(row.measured) or "not measured", "note")]
    end = across(row.ahead(bound))
    left, right = sorted((across(1), end))
    marks.append(f'<rect x="{left:.1f}" y="{y + 4}" width="{max(1, right - left):.1f}" height="{LINE - 8}" '
                 f'class="{"better" if row.ahead(bound) >= 1 else "worse"}"/>')
    if row.aim is not None and row.reach is not None:
        marks.append(line(across(row.aim / row.reach if not row.lower else row.reach / row.aim), y + 2, y + LINE - 2, "aim"))
    marks.append(text(WIDTH - RIGHT + 8, y + 16, row.number(row.measured)))
    return marks


def group_svg(title, rows, conditions):
    bottom = TOP + LINE * len(rows)
    height = bottom + 24 + 16 * len(conditions)
    marks = [text(16, 28, title, "title"),
             text(16, 48, "times better than what was to be reached (line at 1; tick: the aim); logarithmic", "note")]
    for times in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64):
        marks.append(line(across(times), TOP, bottom, "reach" if times == 1 else "grid"))
        marks.append(text(across(times), TOP - 4, f"{times:g}", "note", "middle"))
    for i, row in enumerate(rows):
        marks += bar(row, TOP + LINE * i)
    marks += [text(16, bottom + 24 + 16 * i, note, "note") for i, note in enumerate(conditions)]
    body = "\n".join(marks)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img" aria-label="{escape(title)}">\n<style>{STYLE}</style>\n'
            f'<rect width="{WIDTH}" height="{height}" class="back"/>\n{body}\n</svg>\n')
