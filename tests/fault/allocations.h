/* SPDX-License-Identifier: Apache-2.0
 *
 * allocations.h - the memory that our own code asks the C library for, counted, and refused where a test wants it.
 *
 * The linker sends every malloc, calloc, realloc, aligned_alloc, strdup and free of the objects and static libraries of
 * a test through here (CMakeLists.txt). A shared library is reached where it takes allocation functions from us: jansson
 * by src/server/formats/json.c, SQLite by allocations_take_sqlite.
 */
#ifndef FAULT_ALLOCATIONS_H
#define FAULT_ALLOCATIONS_H

#include <stdbool.h>
#include <stddef.h>

/* What happened between allocations_begin and allocations_end, on all threads. */
struct allocations {
    size_t calls;   /* for memory */
    size_t refused; /* of these */
    long live;      /* blocks got and not given back */
};

/* How many failures, from which call for memory on. */
struct allocation_fault {
    size_t at;   /* 1: the first; 0: none fails */
    bool onward; /* and all that come later; else this one alone */
};

void allocations_begin(struct allocation_fault fault);
struct allocations allocations_end(void);

/* Before the first use of SQLite. */
void allocations_take_sqlite(void);

/* For each kind of fault, in this order: at the first allocation alone, at the second alone, ..., then from the first
 * on, from the second on, ... Let `attempt` run with each until it met no refusal; the number of attempts that did. */
size_t allocations_sweep(struct allocations (*attempt)(void *arg, struct allocation_fault fault), void *arg);

#endif
