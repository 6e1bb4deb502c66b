# SPDX-License-Identifier: Apache-2.0
"""test_openapi.py LOSSD: the OpenAPI document is valid, current, and true of what the server takes and answers."""

import json
import pathlib
import sys
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "golden")]
from lossd_server import lossd  # noqa: E402
from run import read_cases  # noqa: E402

try:
    from jsonschema import Draft202012Validator
    from openapi_spec_validator import validate
except ImportError as missing:
    print(f"SKIPPED, AND NOTHING WAS CHECKED: {missing}. pip install -r tests/requirements.txt")
    sys.exit(77)

FILES = [ROOT / "tests" / "golden" / "own.jsonl", ROOT.parent / "shared" / "golden" / "tf_losses.jsonl"]


def ask(url, body=None):
    """Status and document of a GET, or of a POST where there is a body."""
    data = None if body is None else body.encode("utf-8")
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


class Schemas:
    """Validators by the name of a component."""

    def __init__(self, document):
        self.components = document["components"]
        self.made = {}

    def check(self, name, value, what):
        if name not in self.made:
            self.made[name] = Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": self.components})
        errors = [f"{error.json_path}: {error.message[:200]}" for error in self.made[name].iter_errors(value)]
        return [f"{what} is no {name}: {error}" for error in errors[:3]]


def check_document(url):
    committed = (ROOT / "api" / "openapi.json").read_bytes()
    with urllib.request.urlopen(url + "/openapi.json", timeout=30) as answer:
        served = answer.read()
    document = json.loads(served)
    validate(document)
    ids = [o["operationId"] for path in document["paths"].values() for o in path.values()]
    faults = [] if served == committed else ["/openapi.json is not api/openapi.json"]
    faults += [] if len(ids) == len(set(ids)) else ["operationIds are not unique"]
    for path in document["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                for link in response.get("links", {}).values():
                    faults += [] if link["operationId"] in ids else [f"a link leads to {link['operationId']}"]
    return document, faults


def check_catalog(url, schemas):
    _, catalog = ask(url + "/v1/losses")
    faults = schemas.check("LossList", catalog, "/v1/losses")
    for loss in catalog["losses"]:
        status, answer = ask(f"{url}/v1/losses/{loss['name']}", json.dumps(loss["example"]))
        faults += [] if status == 200 else [f"the example of {loss['name']} is answered {status}: {answer}"]
        faults += schemas.check(loss["name"], loss["example"], f"the example of {loss['name']}")
        faults += schemas.check("Answer", answer, f"the answer to the example of {loss['name']}")
        for name in loss["aliases"]:
            status, same = ask(f"{url}/v1/losses/{name}")
            faults += [] if same == loss else [f"{name} is not described as {loss['name']}"]
    return faults


def check_cases(url, schemas):
    """What is answered fits the schemas, and what the schemas refuse is refused."""
    faults, count = [], 0
    _, catalog = ask(url + "/v1/losses")
    canonical = {name: loss["name"] for loss in catalog["losses"] for name in [loss["name"], *loss["aliases"]]}
    for path in FILES:
        for case, body in read_cases(path) if path.exists() else ():
            if case["loss"] not in canonical or "/" in case["loss"] or case.get("query", "").startswith("nonfinite=literal"):
                continue
            status, answer = ask(f"{url}/v1/losses/{case['loss']}" + ("?" + case["query"] if "query" in case else ""), body)
            if status == 200:
                faults += schemas.check(canonical[case["loss"]], case["request"], f"the request of {case['id']}")
                faults += schemas.check("Answer", answer, f"the answer to {case['id']}")
            else:
                faults += schemas.check("Problem", answer, f"the refusal of {case['id']}")
            count += 1
    print(f"{count} requests compared with the document")
    return faults


def main(program):
    with lossd(program) as (url, _):
        document, faults = check_document(url)
        schemas = Schemas(document)
        faults += check_catalog(url, schemas)
        faults += check_cases(url, schemas)
    for fault in faults[:20]:
        print(fault)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
