/* SPDX-License-Identifier: Apache-2.0
 *
 * disk.h - a disk under SQLite that fails when it is told to, and forgets what was not synced when its power is cut.
 *
 * It stands between SQLite and the file system as the default VFS. Calls that change a file, or make it durable, are
 * counted; one of them, or all from one on, can fail. Beside every file it keeps what is durable: what was there at
 * its last sync. One thread.
 */
#ifndef FAULT_DISK_H
#define FAULT_DISK_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    DISK_WRITE_FAILS, /* EIO */
    DISK_IS_FULL,
    DISK_WRITE_IS_SHORT, /* half of it is written, and then the disk is full */
    DISK_SYNC_FAILS,
    DISK_IS_READ_ONLY, /* no file can be opened for writing, or written */
    DISK_POWER_IS_CUT, /* nothing is done from here on, whatever `onward` says */
    N_DISK_FAULTS
} disk_fault;

/* What is left of the writes since the last sync: a disk may keep them in any order, and sectors of each. */
typedef enum { DISK_KEEPS_NONE, DISK_KEEPS_ALL, DISK_KEEPS_SOME, DISK_KEEPS_SECTORS, N_DISK_KEEPS } disk_keeps;

/* Before the first use of SQLite. Its log starts over after a few pages, so that short scripts meet that, too. */
void disk_install(void);

/* Count from now on, and fail at the call `at` (1: the first; 0: never), and all that come later if `onward`. */
void disk_begin(disk_fault fault, size_t at, bool onward);
size_t disk_calls(void); /* counted since */
bool disk_failed(void);  /* the fault was met */
void disk_mend(void);    /* no more failures */

/* With the power cut and all files closed: put on the real disk what is durable, and some of what is not. */
void disk_restart(disk_keeps keeps, unsigned seed);
/* Forget all files. */
void disk_forget(void);

#endif
