# SPDX-License-Identifier: Apache-2.0
"""What the peers' benchmarks share: the processors they run on, and the median of many runs.

BENCH_SECONDS sets how long one figure is measured.
"""

import os
import statistics
import time

SECONDS = float(os.environ.get("BENCH_SECONDS", "0.3"))


def settle(threads):
    """Before a library is loaded: on as many processors as it has threads, since some size themselves by what they may run
    on. The last ones: the first is where the system's own work tends to run."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"


def median_seconds(call):
    call()  # compiles
    call()
    took, limit = [], time.perf_counter() + SECONDS
    while len(took) < 5 or time.perf_counter() < limit:
        begun = time.perf_counter()
        call()
        took.append(time.perf_counter() - begun)
    return statistics.median(took)
