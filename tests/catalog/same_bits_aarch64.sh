#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# same_bits_aarch64.sh SOURCES BITS: build libloss and bits.c for aarch64, run them in an emulator, and compare with what
# BITS, the same program of this machine, prints. Part of the long tests; skipped where the tools are missing.
set -eu
sources=$1 bits=$2

skip() {
    echo "skipped: $1"
    exit 77
}
test -n "${LOSSD_TEST_LONG:-}" || skip "LOSSD_TEST_LONG is not set"
compiler=$(command -v aarch64-linux-gnu-gcc) || skip "no aarch64-linux-gnu-gcc (package gcc-aarch64-linux-gnu)"
emulator=$(command -v qemu-aarch64 || command -v qemu-aarch64-static) || skip "no qemu-aarch64 (package qemu-user)"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
    find "$sources/src/core" -maxdepth 1 -name '*.c'
    sed -n 's/^LOSS(\([a-z0-9_]*\)).*/\1/p' "$sources/src/core/catalog.def" | sed "s|.*|$sources/src/core/losses/&.c|"
    echo "$sources/tests/catalog/bits.c"
} > "$work/files"
# The flags of the kernels, as CMakeLists.txt has them.
xargs -a "$work/files" -P "$(nproc)" -I {} sh -c '
    "$0" -std=c17 -O3 -D_GNU_SOURCE -DLOSS_VERSION=\"aarch64\" -ffp-contract=off -fno-math-errno -fno-trapping-math \
        -fopenmp "-I$1/include" "-I$1/src/core" -c -o "$2/$(basename "$3" .c).o" "$3" || exit 255
' "$compiler" "$sources" "$work" {}
"$compiler" -static -fopenmp -o "$work/bits" "$work"/*.o -lm 2> "$work/linker" || { cat "$work/linker"; exit 1; }

"$bits" > "$work/here"
"$emulator" "$work/bits" > "$work/there"
diff "$work/here" "$work/there"
echo "$(wc -l < "$work/here") cases have the same bits"
