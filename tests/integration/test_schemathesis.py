# SPDX-License-Identifier: Apache-2.0
"""schemathesis against the served OpenAPI document: no violation of it, no error of the server. test_schemathesis.py LOSSD.

With all of its checks, four of them in our reading (schemathesis_checks.py). A sample; all phases and at least 20,000 requests
with LOSSD_TEST_LONG.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

from lossd_server import lossd

HERE = pathlib.Path(__file__).resolve().parent
LONG = "LOSSD_TEST_LONG" in os.environ
REPLACED = "positive_data_acceptance,negative_data_rejection,not_a_server_error,response_schema_conformance"
SAMPLE = ["--phases", "examples,fuzzing,stateful", "--max-examples", "3", "--seed", "15"]
WHOLE = ["--max-examples", "20"]
LEAST = 20_000 if LONG else 300


def main(program):
    command = [str(pathlib.Path(sys.executable).with_name("schemathesis")), "run", "--checks", "all", "--exclude-checks", REPLACED,
               "--continue-on-failure", "--generation-database", "none", "--warnings", "off", "--no-color"]
    with tempfile.TemporaryDirectory() as folder, lossd(program) as (url, process):
        environment = os.environ | {"SCHEMATHESIS_HOOKS": "schemathesis_checks", "PYTHONPATH": str(HERE)}
        run = subprocess.run([*command, *(WHOLE if LONG else SAMPLE), url + "/openapi.json"], cwd=folder, env=environment,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        alive = process.poll() is None
    counted = re.search(r"(\d+) generated", run.stdout)
    cases = int(counted[1]) if counted else 0
    if run.returncode != 0 or not alive or cases < LEAST:
        print(run.stdout[-20_000:])
    print(f"{cases} requests, status {run.returncode}, the server is {'alive' if alive else 'gone'}")
    return 0 if run.returncode == 0 and alive and cases >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
