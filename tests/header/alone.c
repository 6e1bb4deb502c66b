/* SPDX-License-Identifier: Apache-2.0
 *
 * alone.c - what stands behind a public header when it is compiled alone: no unit may be empty.
 */
extern int alone;
