/* SPDX-License-Identifier: Apache-2.0
 *
 * export.h - what every public header stands between: C linkage for C++, and names that a shared library shows.
 */
#ifndef LOSS_EXPORT_H
#define LOSS_EXPORT_H

#if defined(__GNUC__)
#define LOSS_VISIBLE _Pragma("GCC visibility push(default)")
#define LOSS_VISIBLE_END _Pragma("GCC visibility pop")
#define LOSS_PRINTF(string, first) __attribute__((format(printf, string, first)))
#else
#define LOSS_VISIBLE
#define LOSS_VISIBLE_END
#define LOSS_PRINTF(string, first)
#endif

#ifdef __cplusplus
#define LOSS_BEGIN_DECLS                                                                                               \
    LOSS_VISIBLE extern "C"                                                                                            \
    {
#define LOSS_END_DECLS                                                                                                 \
    }                                                                                                                  \
    LOSS_VISIBLE_END
#else
#define LOSS_BEGIN_DECLS LOSS_VISIBLE
#define LOSS_END_DECLS LOSS_VISIBLE_END
#endif

#endif
