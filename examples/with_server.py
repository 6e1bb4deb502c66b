# SPDX-License-Identifier: Apache-2.0
"""with_server.py LOSSD SCRIPT: runs a Python script with the URL of a lossd that lives as long as the script does."""

import subprocess
import sys

from lossd_server import lossd


def main():
    program, script = sys.argv[1:]
    with lossd(program, "--log-level", "warning", log=None) as (url, _):
        return subprocess.run([sys.executable, script, url], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
