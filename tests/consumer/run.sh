#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUILD_DIR CC - installs the library, then builds and runs the consumer by CMake's package and by pkg-config.
set -eu
build=$1 cc=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$build/consumer
rm -rf "$work"

cmake --install "$build" --prefix "$work/prefix" >/dev/null

cmake -S "$here" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="$cc" >/dev/null
cmake --build "$work/cmake" >/dev/null
"$work/cmake/consumer"
echo "find_package: fine"

PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name loss.pc)")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046
"$cc" -std=c11 "$here/consumer.c" -o "$work/by-pkg-config" $(pkg-config --cflags --libs loss)
"$work/by-pkg-config"
echo "pkg-config: fine"
