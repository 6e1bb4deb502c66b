# SPDX-License-Identifier: Apache-2.0
"""Certificates for a test, made by GnuTLS's certtool."""

import shutil
import subprocess
from pathlib import Path

TOOL = shutil.which("certtool")


class Authority:
    """A certificate authority in a folder of the test's; `file` is its certificate."""

    def __init__(self, folder, name):
        self.folder, self.name = Path(folder), name
        self.file, self.key = self._make(name, f'cn = "{name}"\nca\ncert_signing_key\nexpiration_days = 30\n', "--generate-self-signed")

    def _make(self, name, template, how, *options):
        key, cert = self.folder / f"{name}.key", self.folder / f"{name}.pem"
        (self.folder / f"{name}.template").write_text(template)
        self._run("--generate-privkey", "--key-type", "ecdsa", "--outfile", key)
        self._run(how, "--load-privkey", key, "--template", self.folder / f"{name}.template", "--outfile", cert, *options)
        return cert, key

    def _run(self, *arguments):
        subprocess.run([TOOL, *map(str, arguments)], check=True, capture_output=True)

    def issue(self, name, use="server", dates="expiration_days = 30"):
        """(certificate, key) of a server on this machine, or of a client."""
        template = f'cn = "{name}"\nsigning_key\n{dates}\ntls_www_{use}\n'
        if use == "server":
            template += 'dns_name = "localhost"\nip_address = "127.0.0.1"\n'
        return self._make(name, template, "--generate-certificate", "--load-ca-certificate", self.file,
                          "--load-ca-privkey", self.key)


EXPIRED = 'activation_date = "2020-01-01 00:00:00"\nexpiration_date = "2021-01-01 00:00:00"'
NOT_YET = 'activation_date = "2090-01-01 00:00:00"\nexpiration_date = "2091-01-01 00:00:00"'
