# SPDX-License-Identifier: Apache-2.0
"""The pages of the losses, from the catalog: generate.py LOSSD [FOLDER] writes them, here unless a folder is given.

What a page says is the descriptor's; answers and curves are a running server's. Standard library alone.
"""

import http.client
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "support"))

from curves import picture, sweep  # noqa: E402
from lossd_server import lossd  # noqa: E402

NOTE = "<!-- Generated from the catalog by docs/losses/generate.py: change the loss's descriptor instead. -->\n"

SHAPES = {"elementwise": "one a number: the shape of the inputs",
          "rowwise": "one a row: the main input's shape without the reduced axis",
          "samplewise": "one a sample",
          "batchwise": "one a sample, which depends on the whole batch",
          "whole": "one of the whole tensor"}

# Groups of the index, in order, by the inputs that tell a loss's task.
GROUPS = (("Classes, from logits", {"logits", "log_probabilities"}),
          ("Numbers and probabilities", None),  # what is elementwise and nothing else
          ("Distributions, vectors and masks", {"labels"}),
          ("Pairs and embeddings", {"x1", "anchor", "query", "embeddings", "distances"}),
          ("Ranking", {"scores"}),
          ("Preferences", {"chosen"}),
          ("Whole tensors", {"values"}))


def group_of(loss):
    names = {each["name"] for each in loss["inputs"]}
    for title, told_by in GROUPS:
        if told_by is not None and told_by != {"labels"} and names & told_by:
            return title
    return GROUPS[1 if loss["kind"] == "elementwise" else 2][0]


class Client:
    def __init__(self, url):
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def ask(self, method, target, body=None):
        self.connection.request(method, target, body, {"Content-Type": "application/json"} if body else {})
        answer = self.connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise RuntimeError(f"{method} {target} {body}: {answer.status} {text}")
        return text

    def compute(self, name, body):
        return self.ask("POST", f"/v1/losses/{name}", json.dumps(body))


def cell(text):
    return text.replace("|", "\\|")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(cell(each) for each in row) + " |" for row in rows]) + "\n"


def words(names):
    return ", ".join(f"`{name}`" for name in names)


def value(default):
    return "none" if default is None else f"`{json.dumps(default)}`"


def range_of(parameter):
    if "words" in parameter:
        return "one of " + words(parameter["words"])
    marks = {"minimum": "≥", "exclusive_minimum": ">", "maximum": "≤", "exclusive_maximum": "<"}
    return ", ".join(f"{marks[key]} {bound:g}" for key, bound in (parameter["range"] or {}).items())


def aliases(loss):
    told = []
    for name in loss["aliases"]:
        sets = loss["alias_defaults"].get(name, {})
        told.append(f"`{name}`" + (" (" + ", ".join(f"{key} {json.dumps(v)}" for key, v in sets.items()) + ")" if sets else ""))
    return "Also: " + ", ".join(told) + ".\n\n" if told else ""


def inputs(loss):
    rows = []
    for each in loss["inputs"]:
        notes = [each["summary"]]
        if not each["required"]:
            notes.append("May be left out" + (f", but then so must `{each['together_with']}`." if "together_with" in each else "."))
        rows.append((f"`{each['name']}`", each["shape"], each["domain"],
                     "main" if each["main"] else "yes" if each["differentiable"] else "no", " ".join(notes),
                     words(each["aliases"])))
    return table(("input", "shape", "values", "gradient", "", "also"), rows)


def parameters(loss):
    rows = [(f"`{each['name']}`", each["type"], "required" if each["required"] else value(each["default"]), range_of(each),
             each["summary"], words(each["aliases"])) for each in loss["parameters"]]
    return "\n## Parameters\n\n" + table(("parameter", "type", "default", "range", "", "also"), rows) if rows else ""


def page(loss, client):
    name, example = loss["name"], loss["example"]
    body = {**example, "gradients": True}
    answer = client.compute(name, body)
    return f"""{NOTE}
# {name}

{loss["summary"]}

    {loss["formula"]}

{aliases(loss)}![Loss and gradient]({name}.svg)

## Inputs

{inputs(loss)}{parameters(loss)}
## Losses

{SHAPES[loss["kind"]].capitalize()}. Reduction unless another is asked for: `{loss["default_reduction"]}`. Collection in a
registry: `{loss["collection"]}`. Batches {"can" if loss["accumulable"] else "cannot"} be accumulated. A loss is within
{loss["accuracy"]["ulp"]} ulp of the true value.

## Edge cases

{loss["edge_cases"]}

## In other libraries

{loss["elsewhere"]}

Source: {loss["source"]}.

## Example

```console
$ curl -s http://127.0.0.1:8080/v1/losses/{name} --json '{json.dumps(body)}'
{answer}
```
"""


def index(losses):
    text = NOTE + "\n# The losses\n\nWhat weights, reductions, registries and formats do is the same for all: [the API](../api.md).\n"
    for title, _ in GROUPS:
        members = [loss for loss in losses if group_of(loss) == title]
        if members:
            rows = [(f"[{loss['name']}]({loss['name']}.md)", loss["summary"], words(loss["aliases"])) for loss in members]
            text += f"\n## {title}\n\n" + table(("loss", "", "also"), rows)
    return text


def generate(program, folder):
    with lossd(program) as (url, _):
        client = Client(url)
        losses = json.loads(client.ask("GET", "/v1/losses"))["losses"]
        (folder / "README.md").write_text(index(losses), encoding="utf-8")
        for loss in losses:
            (folder / f"{loss['name']}.md").write_text(page(loss, client), encoding="utf-8")
            (folder / f"{loss['name']}.svg").write_text(picture(loss, sweep(loss, client.compute)), encoding="utf-8")
    known = {loss["name"] for loss in losses} | {"README"}
    for path in folder.iterdir():
        if path.suffix in (".md", ".svg") and path.stem not in known:
            path.unlink()


if __name__ == "__main__":
    generate(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else HERE)
