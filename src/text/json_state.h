/* SPDX-License-Identifier: Apache-2.0
 *
 * json_state.h - what the scanner knows between two bytes, shared by the files that make it up and by no other.
 *
 *   json_scan.c     the state machine and the interface
 *   json_number.c   numbers, the hot loop among them
 *   json_tensor.c   shapes, faults and the tensors' memory
 *   json_pointer.c  where things stand
 *   json_state.c    errors, buffers, values
 *
 * Three modes: in the envelope text is copied and values are made; in a tensor numbers go to its block; what stands in
 * a faulty tensor is discarded, though its grammar is still checked. Opening brackets are held back (`pending`) until
 * the first thing inside tells whether they begin a tensor.
 *
 * Functions that return bool return false once the scan has failed; the status and the error are set then.
 */
#ifndef TEXT_JSON_STATE_H
#define TEXT_JSON_STATE_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <text/base64.h>
#include <text/json_scan.h>
#include <text/json_text.h>
#include <text/number.h>

#define MAX_NUMBER_TEXT ((size_t)65536) /* bytes of one number */
#define MAX_POINTER 1024                /* what a loss_error holds */
#define STAGE_BYTES 2048                /* a smaller tensor needs no block of its own while it grows */
#define FIRST_ENVELOPE 256              /* so does a smaller envelope, */
#define FIRST_VALUES 4                  /* and so do fewer values */
#define UNSET SIZE_MAX

typedef enum { IN_ENVELOPE, IN_TENSOR, IN_DISCARD } scan_mode;

typedef enum {
    AT_VALUE,
    AT_FIRST_ELEMENT, /* or ']' */
    AT_FIRST_KEY,     /* or '}' */
    AT_KEY,
    AT_COLON,
    AT_NEXT, /* behind a value within an array or object */
    AT_END,  /* behind the document */
    INSIDE_KEY,
    INSIDE_STRING,
    INSIDE_BASE64,
    INSIDE_NUMBER, /* its beginning is in `carry` */
    INSIDE_WORD,
} scan_state;

/* An array or object under way. */
struct frame {
    char bracket;
    size_t index;            /* [: elements done; not kept for the innermost arrays of a tensor */
    size_t key_at, key_size; /* {: the member's name in the envelope, as written */
};

/* An element of a float64 tensor whose double would round wrongly to a narrower type. */
struct tie {
    size_t index;
    float value; /* the nearest float */
    int side;    /* where the text stands of the double, as number_side says */
};

struct slot {
    struct json_value value;
    size_t first_tie, n_ties;
    bool block; /* tensor.data is a resizable block */
};

struct json_scan {
    struct loss_arena *arena;
    struct json_scan_options options;
    loss_status status;     /* the first failure, for good */
    struct loss_error *err; /* of the call under way */
    scan_state state;
    scan_mode mode;

    /* Position: `piece` begins at byte `before` of the body, the line under way at byte `line_start`. */
    const char *piece;
    size_t before, line, line_start;
    bool ended; /* `before` is the body's size */

    struct frame *stack;
    int depth;
    int pending; /* opening brackets held back */

    char *envelope;
    size_t envelope_size, envelope_capacity;

    /* The token under way. */
    struct json_text text;
    size_t text_at; /* where the string's inside begins in the envelope */
    struct base64 base64;
    const char *word; /* true, false or null, */
    size_t word_size; /* and how much of it came */
    char *carry;
    size_t carry_size, carry_capacity, carry_at;

    /* The tensor under way. */
    int base, leaf;               /* frames [base, leaf) are its arrays */
    size_t length[LOSS_MAX_RANK]; /* of the first array at each level, UNSET until it ends */
    loss_dtype dtype;
    void *data; /* n numbers; &stage or a block */
    size_t n, capacity;
    size_t row;                /* n where the innermost array began */
    size_t tensor_at;          /* offset of its first number, or of one soon after */
    struct number_habit habit; /* of the last tensor, too */
    bool block;

    struct slot *values;
    size_t n_values, values_capacity;
    struct tie *ties;
    size_t n_ties, ties_capacity;

    /* The last, since they need not be zeroed. */
    union {
        alignas(64) float f32[STAGE_BYTES / sizeof(float)];
        double f64[STAGE_BYTES / sizeof(double)];
    } stage;
    struct slot first_values[FIRST_VALUES];
    char first_envelope[FIRST_ENVELOPE];
};

/* Offset in the body of a byte of the piece. */
static inline size_t scan_offset_of(const struct json_scan *s, const char *p)
{
    return s->before + (size_t)(p - s->piece);
}

/* Lines are counted here: a line feed can stand nowhere else. False: the piece ends. */
static inline bool scan_skip_space(struct json_scan *s, const char **p, const char *end)
{
    const char *q = *p;
    for (; q < end && (*q == ' ' || *q == '\n' || *q == '\r' || *q == '\t'); q++) {
        if (*q == '\n') {
            s->line++;
            s->line_start = scan_offset_of(s, q) + 1;
        }
    }
    *p = q;
    return q < end;
}

bool scan_fail(struct json_scan *s, loss_status status, const char *message);
bool scan_no_memory(struct json_scan *s);
bool scan_malformed(struct json_scan *s, size_t offset, const char *format, ...) LOSS_PRINTF(3, 4);
bool scan_unexpected(struct json_scan *s, size_t offset, char found); /* what was expected follows from the state */

/* A block for at least `need` items, doubled when it grows; NULL (and failed): no memory. `block` may be NULL, or an
 * array within *s, which is left for a block when it is full. */
void *scan_grown(struct json_scan *s, void *block, size_t *capacity, size_t need, size_t item);
bool scan_put(struct json_scan *s, const char *bytes, size_t n);  /* into the envelope */
bool scan_copy(struct json_scan *s, const char *bytes, size_t n); /* the same, unless a tensor is under way */

/* A value that stands within `levels` arrays and objects; NULL (and failed): no memory. */
struct slot *scan_new_value(struct json_scan *s, json_kind kind, int levels);
bool scan_put_placeholder(struct json_scan *s); /* of the newest value */
/* Note what is wrong with the newest value, at the member under way within `levels` arrays and objects. */
bool scan_fault(struct json_scan *s, loss_status status, int levels, const char *format, ...) LOSS_PRINTF(4, 5);
bool scan_value_done(struct json_scan *s); /* a value was read to its end; true */

/* JSON pointer of the members under way in the outermost `levels` arrays and objects; cut where one does not fit. */
void scan_write_pointer(const struct json_scan *s, int levels, char *buf, size_t size);
const char *scan_new_pointer(struct json_scan *s, int levels); /* in the arena; NULL (and failed): no memory */

/* Something that is not an array begins (or an empty array ends): settle what the brackets held back were, and whether
 * it fits a tensor. `what` it is, for the fault where it is not `numeric`. */
bool scan_begin_leaf(struct json_scan *s, bool numeric, const char *what);
bool scan_deeper_than_numbers(struct json_scan *s); /* an array opens where a tensor has numbers */
bool scan_check_length(struct json_scan *s);        /* an array within a tensor ends: is it as long as the first? */
bool scan_end_tensor(struct json_scan *s);
bool scan_grow_tensor(struct json_scan *s, size_t offset); /* of the body, up to where it is read; 0: unknown */
bool scan_discard_tensor(struct json_scan *s); /* it has a fault: drop the numbers, go on for the grammar's sake */
/* A number, or true or false: `v` and `f` are the nearest to its text, which stands on this side of v; 0 will do where v is
 * sure to round as the text does. */
bool scan_add_element(struct json_scan *s, double v, float f, int side);

bool scan_begin_number(struct json_scan *s, const char **p, const char *end);
bool scan_continue_number(struct json_scan *s, const char **p, const char *end);
bool scan_end_carried(struct json_scan *s, char behind); /* the carried number, with the byte behind it */
/* In an innermost array of a tensor: plain numbers and commas, as many as there are, and plain steps to the next row. */
bool scan_read_numbers(struct json_scan *s, const char **p, const char *end);

#endif
