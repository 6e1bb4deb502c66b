/* SPDX-License-Identifier: Apache-2.0
 *
 * isa.h - which build of the kernels is in use.
 */
#ifndef LOSS__ISA_H
#define LOSS__ISA_H

/* Index into a table of kernel builds. A build that this binary lacks is never named. */
enum { LOSS__ISA_BASELINE, LOSS__ISA_V3, LOSS__ISA_V4, LOSS__ISA_COUNT };

int loss__isa_index(void);

/* Rows of a table indexed so: LOSS__ISA_TABLE(loss__kernels_huber_loss) names the _baseline, _v3 and _v4 builds. */
#ifdef LOSS__HAVE_v3
#define LOSS__ISA_ROW_V3(name) &name##_v3
#else
#define LOSS__ISA_ROW_V3(name) NULL
#endif
#ifdef LOSS__HAVE_v4
#define LOSS__ISA_ROW_V4(name) &name##_v4
#else
#define LOSS__ISA_ROW_V4(name) NULL
#endif
#define LOSS__ISA_TABLE(name)                                                                                          \
    {                                                                                                                  \
        &name##_baseline, LOSS__ISA_ROW_V3(name), LOSS__ISA_ROW_V4(name)                                               \
    }

#endif
