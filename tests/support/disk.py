# SPDX-License-Identifier: Apache-2.0
"""A disk of one's own under a lossd: what fails, and how long a sync takes, can be changed at any time."""

import mmap
import os
import struct
from pathlib import Path

WORKS, WRITE_FAILS, IS_FULL, WRITE_IS_SHORT, SYNC_FAILS, IS_READ_ONLY = range(6)


class Disk:
    def __init__(self, program, control):
        self.shim = Path(program).resolve().parent / "tests/fault/libdisk_shim.so"
        self.control = Path(control)
        self.control.write_bytes(bytes(8))
        with open(self.control, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8)

    def set(self, fault=WORKS, sync_us=0):
        self.map[:8] = struct.pack("=ii", fault, sync_us)

    def under(self):
        """The command that runs a program on it."""
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        return ("env", f"LD_PRELOAD={self.shim}", f"DISK_CONTROL={self.control}", f"ASAN_OPTIONS={sanitizer}")
