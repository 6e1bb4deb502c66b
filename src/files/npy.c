/* SPDX-License-Identifier: Apache-2.0
 *
 * npy.c - a magic word, a version, a length, and a Python dictionary with three members.
 */
#include <files/npy.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MAGIC "\x93NUMPY"
#define MAGIC_SIZE 6
#define ALIGNMENT 64

static const char *const codes[LOSS_DTYPE_COUNT] = {
    [LOSS_FLOAT32] = "f4", [LOSS_FLOAT64] = "f8", [LOSS_FLOAT16] = "f2", [LOSS_BFLOAT16] = NULL, [LOSS_INT8] = "i1",
    [LOSS_INT16] = "i2",   [LOSS_INT32] = "i4",   [LOSS_INT64] = "i8",   [LOSS_UINT8] = "u1",    [LOSS_UINT16] = "u2",
    [LOSS_UINT32] = "u4",  [LOSS_UINT64] = "u8",  [LOSS_BOOL] = "b1",
};

struct reader {
    const char *p, *end;
    struct loss_tensor *out;
    bool fortran;
    struct loss_error *err;
};

static loss_status damaged(const struct reader *r, const char *wanted)
{
    return loss_fail(r->err, LOSS_MALFORMED_ENCODING, "", "not a .npy file that can be read: %s", wanted);
}

static bool take(struct reader *r, char c)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n')) {
        r->p++;
    }
    if (r->p == r->end || *r->p != c) {
        return false;
    }
    r->p++;
    return true;
}

/* A Python string without escapes, as those of a head are. */
static loss_status read_word(struct reader *r, char *out, size_t size)
{
    char quote = take(r, '\'') ? '\'' : '"';
    if (quote == '"' && !take(r, '"')) {
        return damaged(r, "its head lacks a string");
    }
    const char *closing = memchr(r->p, quote, (size_t)(r->end - r->p));
    if (closing == NULL || (size_t)(closing - r->p) >= size) {
        return damaged(r, "a string of its head is too long");
    }
    memcpy(out, r->p, (size_t)(closing - r->p));
    out[closing - r->p] = '\0';
    r->p = closing + 1;
    return LOSS_OK;
}

static loss_status read_descr(struct reader *r)
{
    char word[16] = "";
    LOSS_TRY(read_word(r, word, sizeof word));
    for (int i = 0; i < LOSS_DTYPE_COUNT; i++) {
        if (codes[i] != NULL && strcmp(word + (word[0] != '\0'), codes[i]) == 0 && strchr("<|=", word[0]) != NULL) {
            r->out->dtype = (loss_dtype)i;
            return LOSS_OK;
        }
    }
    return loss_fail(r->err, LOSS_UNSUPPORTED_DTYPE, "",
                     "dtype \"%s\" is not read; little-endian f2, f4, f8, i1 to i8, u1 to u8 and b1 are", word);
}

static loss_status read_order(struct reader *r)
{
    static const char yes[] = "True", no[] = "False";
    size_t left = (size_t)(r->end - r->p);
    if (left >= sizeof yes && memcmp(r->p, yes, sizeof yes - 1) == 0) {
        r->fortran = true;
        r->p += sizeof yes - 1;
        return LOSS_OK;
    }
    if (left >= sizeof no && memcmp(r->p, no, sizeof no - 1) == 0) {
        r->p += sizeof no - 1;
        return LOSS_OK;
    }
    return damaged(r, "fortran_order is neither True nor False");
}

static loss_status read_dimension(struct reader *r)
{
    struct loss_tensor *t = r->out;
    size_t value = 0;
    if (r->p == r->end || *r->p < '0' || *r->p > '9') {
        return damaged(r, "its shape is no tuple of whole numbers");
    }
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++) {
        size_t digit = (size_t)(*r->p - '0');
        if (value > (SIZE_MAX - digit) / 10) {
            return damaged(r, "a dimension is too large");
        }
        value = value * 10 + digit;
    }
    if (t->rank == LOSS_MAX_RANK) {
        return damaged(r, "it has more than 8 dimensions");
    }
    t->shape[t->rank++] = value;
    return LOSS_OK;
}

static loss_status read_shape(struct reader *r)
{
    if (!take(r, '(')) {
        return damaged(r, "its shape is no tuple");
    }
    while (!take(r, ')')) {
        LOSS_TRY(read_dimension(r));
        if (!take(r, ',') && (r->p == r->end || *r->p != ')')) {
            return damaged(r, "its shape does not end");
        }
        while (r->p < r->end && *r->p == ' ') {
            r->p++;
        }
    }
    return LOSS_OK;
}

enum { HAS_DESCR = 1, HAS_ORDER = 2, HAS_SHAPE = 4, HAS_ALL = 7 };

static loss_status read_dictionary(struct reader *r)
{
    unsigned seen = 0;
    char key[16];
    if (!take(r, '{')) {
        return damaged(r, "its head is no dictionary");
    }
    while (!take(r, '}')) {
        LOSS_TRY(read_word(r, key, sizeof key));
        if (!take(r, ':')) {
            return damaged(r, "its head lacks a colon");
        }
        while (r->p < r->end && *r->p == ' ') {
            r->p++;
        }
        unsigned which = strcmp(key, "descr") == 0           ? HAS_DESCR
                         : strcmp(key, "fortran_order") == 0 ? HAS_ORDER
                         : strcmp(key, "shape") == 0         ? HAS_SHAPE
                                                             : 0;
        if (which == 0 || (seen & which)) {
            return damaged(r, "its head must have descr, fortran_order and shape, each once");
        }
        seen |= which;
        LOSS_TRY(which == HAS_DESCR ? read_descr(r) : which == HAS_ORDER ? read_order(r) : read_shape(r));
        (void)take(r, ',');
    }
    return seen == HAS_ALL ? LOSS_OK : damaged(r, "its head must have descr, fortran_order and shape");
}

/* Where the dictionary begins and ends. */
static loss_status find_head(struct reader *r, const char *bytes, size_t size)
{
    const unsigned char *b = (const unsigned char *)bytes;
    if (size < MAGIC_SIZE + 4 || memcmp(bytes, MAGIC, MAGIC_SIZE) != 0) {
        return damaged(r, "it does not begin as one");
    }
    if (b[6] < 1 || b[6] > 3) {
        return damaged(r, "its version is none of 1, 2 and 3");
    }
    size_t begin = b[6] == 1 ? 10 : 12;
    if (size < begin) {
        return damaged(r, "its head is cut");
    }
    size_t n = b[8] | (size_t)b[9] << 8;
    if (b[6] > 1) {
        n |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
    }
    if (n > size - begin) {
        return damaged(r, "its head is cut");
    }
    r->p = bytes + begin;
    r->end = r->p + n;
    return LOSS_OK;
}

loss_status npy_read(const char *bytes, size_t size, struct loss_tensor *out, size_t *data, struct loss_error *err)
{
    struct loss_tensor found = {.layout = LOSS_OPAQUE};
    struct reader r = {.out = &found, .err = err};
    LOSS_TRY(find_head(&r, bytes, size));
    size_t begin = (size_t)(r.end - bytes);
    LOSS_TRY(read_dictionary(&r));
    size_t number = loss_dtype_size(found.dtype);
    if (!loss_shape_count(found.rank, found.shape, &found.count) || found.count > SIZE_MAX / number ||
        found.count * number != size - begin) {
        return loss_fail(err, LOSS_MALFORMED_ENCODING, "", "its shape and dtype do not need the %zu bytes that it has",
                         size - begin);
    }
    if (r.fortran && found.rank > 1) {
        return loss_fail(err, LOSS_UNSUPPORTED_DTYPE, "",
                         "it is in Fortran order; numpy.save(file, numpy.ascontiguousarray(x)) writes rows");
    }
    if (begin % number != 0) {
        return damaged(&r, "its data is not aligned");
    }
    *out = found;
    *data = begin;
    return LOSS_OK;
}

size_t npy_head(loss_dtype dtype, int rank, const size_t *shape, char buf[NPY_HEAD_MAX])
{
    char text[NPY_HEAD_MAX];
    size_t size = sizeof text;
    size_t n = (size_t)snprintf(text, size, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                                loss_dtype_size(dtype) == 1 ? '|' : '<', codes[dtype]);
    for (int i = 0; i < rank; i++) {
        n += (size_t)snprintf(text + n, size - n, "%s%zu%s", i == 0 ? "" : ", ", shape[i], rank == 1 ? "," : "");
    }
    n += (size_t)snprintf(text + n, size - n, "), }");
    size_t whole = (10 + n + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    memcpy(buf, MAGIC "\1", MAGIC_SIZE + 2);
    buf[8] = (char)((whole - 10) & 0xFF);
    buf[9] = (char)((whole - 10) >> 8);
    memcpy(buf + 10, text, n);
    memset(buf + 10 + n, ' ', whole - 11 - n);
    buf[whole - 1] = '\n';
    return whole;
}
