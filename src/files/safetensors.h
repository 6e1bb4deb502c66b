/* SPDX-License-Identifier: Apache-2.0
 *
 * safetensors.h - the header of a safetensors file: eight bytes of length, then JSON that names tensors.
 *
 * Strict: what two readers could read differently is refused. Tensors must lie in the data without gap or overlap, each
 * at a multiple of its number's size, in exactly the bytes that dtype and shape ask for.
 */
#ifndef FILES_SAFETENSORS_H
#define FILES_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include <loss/arena.h>
#include <loss/error.h>
#include <loss/tensor.h>

#define SAFETENSORS_PREFIX 8 /* bytes of the header's length, little-endian */

struct safetensors_entry {
    const char *name;
    struct loss_tensor tensor; /* layout LOSS_OPAQUE; data NULL: who has the bytes sets it */
    size_t begin, end;         /* within the data, which begins behind the header */
};

struct safetensors_field {
    const char *name, *value;
};

struct safetensors_header {
    struct safetensors_entry *entry; /* in the order of their data */
    size_t n;
    struct safetensors_field *metadata;
    size_t n_metadata;
    size_t data_size; /* of all tensors */
};

/* The length that the first eight bytes tell.
 * err  LOSS_MALFORMED_ENCODING: less than "{}", or beyond `max` */
loss_status safetensors_length(const unsigned char prefix[SAFETENSORS_PREFIX], size_t max, size_t *length,
                               struct loss_error *err);

/* Read the header's JSON; all that *out points to lies in the arena.
 * err  LOSS_MALFORMED_ENCODING, LOSS_UNSUPPORTED_DTYPE, LOSS_DUPLICATE_FIELD, LOSS_OVERLOADED (no memory) */
loss_status safetensors_read(struct loss_arena *arena, const char *json, size_t size, struct safetensors_header *out,
                             struct loss_error *err);

/* "F32"; never NULL. */
const char *safetensors_dtype_name(loss_dtype dtype);

#endif
