#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print powers_of_five.h: the 128 leading bits of 5^q, q = -342 .. 324.

Rounded down; rounded up for -27 <= q < 0, where Eisel-Lemire needs the reciprocal so that a product can tell an exact
quotient (Lemire 2021, "Number parsing at a gigabyte per second", section 8).
Usage: powers_of_five.py > powers_of_five.h, after which a build; `powers_of_five.py --check FILE` compares.
"""
import sys

FIRST, LAST = -342, 324


def leading_bits(q):
    if q >= 0:
        power = 5**q
        return power << (128 - power.bit_length()) if power < 1 << 128 else power >> (power.bit_length() - 128)
    power = 5**-q
    return (1 << (127 + power.bit_length())) // power + (q >= -27)


def header():
    yield "/* SPDX-License-Identifier: Apache-2.0"
    yield " *"
    yield " * powers_of_five.h - the 128 leading bits of 5^q; written by powers_of_five.py, which says how they are rounded."
    yield " */"
    yield "#ifndef TEXT_POWERS_OF_FIVE_H"
    yield "#define TEXT_POWERS_OF_FIVE_H"
    yield ""
    yield "#include <stdint.h>"
    yield ""
    yield f"#define POWERS_OF_FIVE_FIRST ({FIRST})"
    yield f"#define POWERS_OF_FIVE_LAST {LAST}"
    yield ""
    yield "static const struct power_of_five {"
    yield "    uint64_t high, low;"
    yield "} powers_of_five[] = {"
    row = []
    for q in range(FIRST, LAST + 1):
        bits = leading_bits(q)
        assert bits.bit_length() == 128 and (bits + 1) & (2**64 - 1)  # low + 1 never carries into high
        row.append(f"{{{bits >> 64:#018x}, {bits & (2**64 - 1):#018x}}},")
        if len(row) == 2 or q == LAST:
            yield "    " + " ".join(row)
            row = []
    yield "};"
    yield ""
    yield "#endif"


if __name__ == "__main__":
    text = "\n".join(header()) + "\n"
    if sys.argv[1:2] == ["--check"]:
        with open(sys.argv[2], encoding="ascii") as committed:
            sys.exit(0 if committed.read() == text else "out of date: " + sys.argv[2])
    sys.stdout.write(text)
