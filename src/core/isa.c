/* SPDX-License-Identifier: Apache-2.0
 *
 * isa.c - picks the widest build of the kernels that the machine can run, and names it.
 */
#include "isa.h"

#include <loss/compute.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#if defined(LOSS__HAVE_v3) || defined(LOSS__HAVE_v4)
#include <cpuid.h>
#endif

const char *loss_version(void)
{
    return LOSS_VERSION;
}

static const char *const isa_names[LOSS__ISA_COUNT] = {
    [LOSS__ISA_BASELINE] = "baseline",
    [LOSS__ISA_V3] = "x86-64-v3",
    [LOSS__ISA_V4] = "x86-64-v4",
};

#ifdef LOSS__HAVE_v3
/* The compiler's check covers what needs the system's help too (saved registers); it cannot name the last three. */
static bool machine_has_v3(void)
{
    unsigned a, b, c, d, extended;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi") ||
        !__builtin_cpu_supports("bmi2") || !__builtin_cpu_supports("popcnt") || !__get_cpuid(1, &a, &b, &c, &d) ||
        !__get_cpuid(0x80000001, &a, &b, &extended, &d)) {
        return false;
    }
    return (c & bit_MOVBE) && (c & bit_F16C) && (extended & bit_LZCNT);
}
#endif

#ifdef LOSS__HAVE_v4
static bool machine_has_v4(void)
{
    return machine_has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

static bool machine_has(int isa)
{
    switch (isa) {
#ifdef LOSS__HAVE_v3
    case LOSS__ISA_V3:
        return machine_has_v3();
#endif
#ifdef LOSS__HAVE_v4
    case LOSS__ISA_V4:
        return machine_has_v4();
#endif
    default:
        return isa == LOSS__ISA_BASELINE;
    }
}

/* -1: not yet chosen. Threads that choose at the same time choose alike. */
static atomic_int chosen = -1;

int loss__isa_index(void)
{
    int isa = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (isa >= 0) {
        return isa;
    }
    isa = LOSS__ISA_COUNT - 1;
    while (!machine_has(isa)) {
        isa--;
    }
    int unset = -1; /* a selection that came first stays */
    return atomic_compare_exchange_strong(&chosen, &unset, isa) ? isa : unset;
}

const char *loss_isa(void)
{
    return isa_names[loss__isa_index()];
}

bool loss_isa_select(const char *name)
{
    for (int isa = 0; isa < LOSS__ISA_COUNT; isa++) {
        if (strcmp(name, isa_names[isa]) == 0 && machine_has(isa)) {
            atomic_store(&chosen, isa);
            return true;
        }
    }
    return false;
}
