/* SPDX-License-Identifier: Apache-2.0
 *
 * json_scan.c - a state machine with a stack of its own: what it was doing when a piece ended is all in the struct.
 *
 * Three modes: in the envelope text is copied and values are made; in a tensor numbers go to its block; what stands in
 * a faulty tensor is discarded, though its grammar is still checked. Opening brackets are held back (`pending`) until
 * the first thing inside tells whether they begin a tensor.
 *
 * The time goes into read_numbers. Everything about depth and shape happens at brackets, lines are counted where white
 * space is skipped, and a number that a piece's end cuts is the one that is copied.
 *
 * Source  RFC 8259; RFC 6901 for the pointers
 */
#include <text/json_scan.h>

#include <assert.h>
#include <math.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <text/base64.h>
#include <text/json_text.h>
#include <text/number.h>

#define MAX_NUMBER_TEXT ((size_t)65536) /* bytes of one number */
#define MAX_POINTER 1024                /* what a loss_error holds */
#define STAGE_BYTES 2048                /* a smaller tensor needs no block of its own while it grows */
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
    char   bracket;
    size_t index;            /* [: elements done; not kept for the innermost arrays of a tensor */
    size_t key_at, key_size; /* {: the member's name in the envelope, as written */
};

/* An element of a float64 tensor whose double would round to a wrong float. */
struct tie {
    size_t index;
    float  value;
};

struct slot {
    struct json_value value;
    size_t            first_tie, n_ties;
    bool              block; /* tensor.data is a resizable block */
};

struct json_scan {
    struct loss_arena       *arena;
    struct json_scan_options options;
    loss_status              status; /* the first failure, for good */
    struct loss_error       *err;    /* of the call under way */
    scan_state               state;
    scan_mode                mode;

    /* Position: `piece` begins at byte `before` of the body, the line under way at byte `line_start`. */
    const char *piece;
    size_t      before, line, line_start;
    bool        ended; /* `before` is the body's size */

    struct frame *stack;
    int           depth;
    int           pending; /* opening brackets held back */

    char  *envelope;
    size_t envelope_size, envelope_capacity;

    /* The token under way. */
    struct json_text text;
    size_t           text_at; /* where the string's inside begins in the envelope */
    struct base64    base64;
    const char      *word; /* true, false or null, */
    size_t           word_size; /* and how much of it came */
    char            *carry;
    size_t           carry_size, carry_capacity, carry_at;

    /* The tensor under way. */
    int        base, leaf; /* frames [base, leaf) are its arrays */
    size_t     length[LOSS_MAX_RANK]; /* of the first array at each level, UNSET until it ends */
    loss_dtype dtype;
    void      *data; /* n numbers; &stage or a block */
    size_t     n, capacity;
    size_t     row; /* n where the innermost array began */
    bool       block;

    struct slot *values;
    size_t       n_values, values_capacity;
    struct tie  *ties;
    size_t       n_ties, ties_capacity;

    union {
        alignas(64) float f32[STAGE_BYTES / sizeof(float)];
        double f64[STAGE_BYTES / sizeof(double)];
    } stage; /* the last, since it need not be zeroed */
};

/* ---- failing ---- */

static bool fail(struct json_scan *s, loss_status status, const char *message)
{
    s->status = loss_fail(s->err, status, "", "%s", message);
    return false;
}

static bool no_memory(struct json_scan *s)
{
    return fail(s, LOSS_OVERLOADED, "no memory is left for this request's numbers");
}

/* Offset in the body of a byte of the piece. */
static size_t offset_of(const struct json_scan *s, const char *p)
{
    return s->before + (size_t)(p - s->piece);
}

LOSS_PRINTF(3, 4)
static bool malformed(struct json_scan *s, size_t offset, const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    s->status = loss_fail(s->err, LOSS_MALFORMED_JSON, "", "line %zu, column %zu: %s", s->line,
                          offset - s->line_start + 1, what);
    return false;
}

static const char *expectation(const struct json_scan *s)
{
    switch (s->state) {
    case AT_VALUE:
        return "expected a value";
    case AT_FIRST_ELEMENT:
        return "expected a value or ']'";
    case AT_FIRST_KEY:
        return "expected a name in double quotes or '}'";
    case AT_KEY:
        return "expected a name in double quotes";
    case AT_COLON:
        return "expected ':'";
    case AT_NEXT:
        return s->stack[s->depth - 1].bracket == '[' ? "expected ',' or ']'" : "expected ',' or '}'";
    case AT_END:
        return "nothing may follow the document";
    case INSIDE_NUMBER:
        return "expected a JSON number";
    case INSIDE_WORD:
        return "expected true, false or null";
    case INSIDE_KEY:
    case INSIDE_STRING:
    case INSIDE_BASE64:
        break;
    }
    return "expected the end of a string";
}

static bool unexpected(struct json_scan *s, size_t offset, char found)
{
    if (s->ended && offset == s->before) {
        return malformed(s, offset, "%s, but the body ends here", expectation(s));
    }
    if (offset == 0 && found == '\xEF') {
        return malformed(s, offset, "%s, found a byte order mark", expectation(s));
    }
    if (found >= ' ' && found < 0x7F) {
        return malformed(s, offset, "%s, found '%c'", expectation(s), found);
    }
    return malformed(s, offset, "%s, found the byte 0x%02x", expectation(s), (unsigned char)found);
}

/* ---- growing ---- */

/* A block for at least `need` items, doubled when it grows; NULL (and failed): no memory. */
static void *grown(struct json_scan *s, void *block, size_t *capacity, size_t need, size_t item)
{
    if (need <= *capacity) {
        return block;
    }
    size_t n = *capacity < 64 ? 64 : *capacity;
    while (n < need && n <= SIZE_MAX / 2 / item) {
        n *= 2;
    }
    void *larger = n < need || n > SIZE_MAX / item ? NULL : loss_arena_resize(s->arena, block, n * item);
    if (larger == NULL) {
        no_memory(s);
        return NULL;
    }
    *capacity = n;
    return larger;
}

static bool put(struct json_scan *s, const char *bytes, size_t n)
{
    if (n > s->options.max_envelope - s->envelope_size) {
        char message[128];
        snprintf(message, sizeof message, "the body without its numbers is larger than %zu bytes",
                 s->options.max_envelope);
        return fail(s, LOSS_BODY_TOO_LARGE, message);
    }
    char *envelope = grown(s, s->envelope, &s->envelope_capacity, s->envelope_size + n + 1, 1);
    if (envelope == NULL) {
        return false;
    }
    s->envelope = envelope;
    memcpy(envelope + s->envelope_size, bytes, n);
    s->envelope_size += n;
    envelope[s->envelope_size] = '\0';
    return true;
}

/* Into the envelope, unless a tensor is under way. */
static bool copy(struct json_scan *s, const char *bytes, size_t n)
{
    return s->mode != IN_ENVELOPE || put(s, bytes, n);
}

/* ---- pointers ---- */

/* Append a member's decoded name to buf[*n]; false: it does not fit. */
static bool append_name(char *buf, size_t size, size_t *n, const char *name, const char *end)
{
    while (name < end) {
        const char *written = name;
        char c[4];
        size_t length = json_text_character(&name, end, c);
        const char *as = c;
        if (length == 1 && (c[0] == '~' || c[0] == '/')) {
            as = c[0] == '~' ? "~0" : "~1";
            length = 2;
        } else if (length == 1 && (unsigned char)c[0] < 0x20) {
            as = written;
            length = (size_t)(name - written);
        }
        if (length >= size - *n) {
            return false;
        }
        memcpy(buf + *n, as, length);
        *n += length;
    }
    return true;
}

/* JSON pointer of the members under way in the outermost `levels` arrays and objects; cut where one does not fit. */
static void write_pointer(const struct json_scan *s, int levels, char *buf, size_t size)
{
    size_t n = 0;
    for (int i = 0; i < levels; i++) {
        const struct frame *f = &s->stack[i];
        size_t longer = n;
        bool fits = n + 1 < size;
        if (fits && f->bracket == '{') {
            buf[longer++] = '/';
            const char *name = s->envelope + f->key_at;
            fits = append_name(buf, size, &longer, name, name + f->key_size);
        } else if (fits) {
            const size_t index = s->mode == IN_TENSOR && i == s->leaf - 1 ? s->n - s->row : f->index;
            const int length = snprintf(buf + n, size - n, "/%zu", index);
            longer += (size_t)length;
            fits = longer < size;
        }
        if (!fits) {
            break;
        }
        n = longer;
    }
    buf[n] = '\0';
}

/* The same in the arena; NULL (and failed): no memory. */
static const char *new_pointer(struct json_scan *s, int levels)
{
    char buf[MAX_POINTER];
    write_pointer(s, levels, buf, sizeof buf);
    const char *pointer = loss_arena_copy(s->arena, buf, strlen(buf));
    if (pointer == NULL) {
        no_memory(s);
    }
    return pointer;
}

/* ---- values ---- */

/* A value that stands within `levels` arrays and objects; NULL (and failed): no memory. */
static struct slot *new_value(struct json_scan *s, json_kind kind, int levels)
{
    struct slot *values = grown(s, s->values, &s->values_capacity, s->n_values + 1, sizeof *values);
    if (values == NULL) {
        return NULL;
    }
    s->values = values;
    const char *pointer = new_pointer(s, levels);
    if (pointer == NULL) {
        return NULL;
    }
    struct slot *slot = &values[s->n_values++];
    *slot = (struct slot){.value = {.kind = kind, .pointer = pointer}, .first_tie = s->n_ties};
    slot->value.tensor.pointer = pointer;
    return slot;
}

static bool put_placeholder(struct json_scan *s)
{
    char digits[24];
    const int n = snprintf(digits, sizeof digits, "%zu", s->n_values - 1);
    return put(s, digits, (size_t)n);
}

/* Note what is wrong with the newest value, at the member under way within `levels` arrays and objects. */
LOSS_PRINTF(4, 5)
static bool fault(struct json_scan *s, loss_status status, int levels, const char *format, ...)
{
    char message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct json_value *v = &s->values[s->n_values - 1].value;
    v->fault = status;
    v->fault_pointer = new_pointer(s, levels);
    v->fault_message = loss_arena_copy(s->arena, message, strlen(message));
    return v->fault_message != NULL ? v->fault_pointer != NULL : no_memory(s);
}

/* A value was read to its end. */
static bool value_done(struct json_scan *s)
{
    if (s->depth == 0) {
        s->state = AT_END;
    } else {
        s->state = AT_NEXT;
        s->stack[s->depth - 1].index++;
    }
    return true;
}

/* ---- tensors ---- */

static bool begin_tensor(struct json_scan *s)
{
    s->base = s->depth - s->pending;
    s->leaf = s->depth;
    s->pending = 0;
    for (int i = 0; i < LOSS_MAX_RANK; i++) {
        s->length[i] = UNSET;
    }
    s->n = s->row = 0;
    s->data = &s->stage;
    s->block = false;
    s->dtype = LOSS_FLOAT64;
    struct slot *slot = new_value(s, JSON_TENSOR, s->base);
    if (slot == NULL) {
        return false;
    }
    if (s->options.storage != NULL && s->options.storage(s->options.arg, slot->value.pointer) == LOSS_FLOAT32) {
        s->dtype = LOSS_FLOAT32;
    }
    slot->value.tensor.dtype = s->dtype;
    s->capacity = STAGE_BYTES / loss_dtype_size(s->dtype);
    s->mode = IN_TENSOR;
    return true;
}

/* The tensor is no good: keep the reason, drop the numbers, go on for the grammar's sake. */
#define TENSOR_FAULT(s, status, levels, ...) (fault((s), (status), (levels), __VA_ARGS__) && discard_tensor(s))

static bool discard_tensor(struct json_scan *s)
{
    if (s->block) {
        loss_arena_release(s->arena, s->data);
    }
    s->block = false;
    s->data = NULL;
    s->n_ties = s->values[s->n_values - 1].first_tie;
    s->mode = IN_DISCARD;
    return true;
}

/* Room for more numbers. A block grows by doubling: the arena moves the pages of a large one. */
static bool grow_tensor(struct json_scan *s)
{
    const size_t size = loss_dtype_size(s->dtype);
    if (s->capacity > SIZE_MAX / 4 / size) {
        return no_memory(s);
    }
    void *larger = loss_arena_resize(s->arena, s->block ? s->data : NULL, 2 * s->capacity * size);
    if (larger == NULL) {
        return no_memory(s);
    }
    if (!s->block) {
        memcpy(larger, &s->stage, s->n * size);
    }
    s->data = larger;
    s->block = true;
    s->capacity *= 2;
    return true;
}

/* The numbers of a tensor at its end, without the spare room. */
static bool settle_data(struct json_scan *s)
{
    const size_t bytes = s->n * loss_dtype_size(s->dtype);
    if (s->block) {
        void *trimmed = loss_arena_resize(s->arena, s->data, bytes);
        s->data = trimmed != NULL ? trimmed : s->data;
        return true;
    }
    void *data = loss_arena_alloc(s->arena, bytes > 0 ? bytes : 1, 64);
    if (data == NULL) {
        return no_memory(s);
    }
    memcpy(data, &s->stage, bytes);
    s->data = data;
    return true;
}

static bool end_tensor(struct json_scan *s)
{
    if (s->mode == IN_TENSOR) {
        if (!settle_data(s)) {
            return false;
        }
        struct slot *slot = &s->values[s->n_values - 1];
        struct loss_tensor *t = &slot->value.tensor;
        t->layout = LOSS_NESTED;
        t->rank = s->leaf - s->base;
        memcpy(t->shape, s->length, (size_t)t->rank * sizeof t->shape[0]);
        t->count = s->n;
        t->data = s->data;
        slot->n_ties = s->n_ties - slot->first_tie;
        slot->block = s->block;
    }
    s->mode = IN_ENVELOPE;
    return put_placeholder(s);
}

/* An array within a tensor ends: hold its length against the first one's at that level. */
static bool check_length(struct json_scan *s)
{
    const struct frame *f = &s->stack[s->depth - 1];
    const size_t found = s->depth == s->leaf ? s->n - s->row : f->index;
    size_t *length = &s->length[s->depth - 1 - s->base];
    if (*length == UNSET) {
        *length = found;
        return true;
    }
    return found == *length || TENSOR_FAULT(s, LOSS_RAGGED_TENSOR, s->depth - 1,
                                            "expected %zu elements, as in the first row, found %zu", *length, found);
}

/* An array opens where a tensor has numbers. */
static bool deeper_than_numbers(struct json_scan *s)
{
    if (s->length[s->leaf - 1 - s->base] == 0) {
        return TENSOR_FAULT(s, LOSS_RAGGED_TENSOR, s->depth - 1, "expected 0 elements, as in the first row, found more");
    }
    return TENSOR_FAULT(s, LOSS_RAGGED_TENSOR, s->depth, "expected a number, as before, found an array");
}

/* Something that is not an array begins: settle what the brackets held back were, and whether it fits a tensor. */
static bool begin_leaf(struct json_scan *s, bool numeric, const char *what)
{
    if (s->pending > 0 && numeric) {
        const int rank = s->pending;
        if (!begin_tensor(s)) {
            return false;
        }
        if (rank > LOSS_MAX_RANK) {
            return TENSOR_FAULT(s, LOSS_SHAPE_MISMATCH, s->base, "rank %d is above %d", rank, LOSS_MAX_RANK);
        }
        return true;
    }
    for (; s->pending > 0; s->pending--) {
        if (!put(s, "[", 1)) {
            return false;
        }
    }
    if (s->mode != IN_TENSOR) {
        return true;
    }
    if (!numeric) {
        return TENSOR_FAULT(s, LOSS_INVALID_PARAMETER, s->depth, "expected a number, found %s", what);
    }
    return s->depth == s->leaf ||
           TENSOR_FAULT(s, LOSS_RAGGED_TENSOR, s->depth, "expected an array, as before, found a number");
}

/* ---- numbers ---- */

static bool out_of_range(struct json_scan *s, const char *text, size_t size, bool single)
{
    return fault(s, LOSS_NUMBER_OUT_OF_RANGE, s->depth, "%.*s%s is beyond the largest %s",
                 size > 40 ? 40 : (int)size, text, size > 40 ? "..." : "", single ? "float32" : "float64");
}

static bool add_tie(struct json_scan *s, float value)
{
    struct tie *ties = grown(s, s->ties, &s->ties_capacity, s->n_ties + 1, sizeof *ties);
    if (ties == NULL) {
        return false;
    }
    s->ties = ties;
    ties[s->n_ties++] = (struct tie){.index = s->n, .value = value};
    return true;
}

/* A number, or true or false, into the tensor. `v` and `f` are the nearest to the text, `flags` those of `v`. */
static bool add_element(struct json_scan *s, double v, float f, unsigned flags)
{
    if (s->n == s->capacity && !grow_tensor(s)) {
        return false;
    }
    if (s->dtype == LOSS_FLOAT32) {
        ((float *)s->data)[s->n] = f;
    } else {
        if ((flags & NUMBER_TIE) != 0 && !add_tie(s, f)) {
            return false;
        }
        ((double *)s->data)[s->n] = v;
    }
    s->n++;
    return true;
}

static bool add_number(struct json_scan *s, const char *text, size_t size, double v, float f, bool overflow)
{
    struct slot *slot = new_value(s, JSON_NUMBER, s->depth);
    if (slot == NULL) {
        return false;
    }
    slot->value.number = v;
    slot->value.number_f32 = f;
    if (size < sizeof slot->value.text) {
        memcpy(slot->value.text, text, size);
    }
    return (!overflow || out_of_range(s, text, size, false)) && put_placeholder(s);
}

/* A number as a tensor or the envelope needs it, from its whole text. */
static bool use_number(struct json_scan *s, const char *text, const char *end)
{
    const size_t size = (size_t)(end - text);
    const char *p = text, *q = text;
    double v = 0;
    float f = 0;
    unsigned flags = 0, flags_f32 = 0;
    number_read_f64(&p, end + 1, &v, &flags);
    number_read_f32(&q, end + 1, &f, &flags_f32);
    if (s->mode == IN_ENVELOPE) {
        return add_number(s, text, size, v, f, (flags & NUMBER_OVERFLOW) != 0);
    }
    const bool single = s->dtype == LOSS_FLOAT32;
    if (((single ? flags_f32 : flags) & NUMBER_OVERFLOW) != 0) {
        return out_of_range(s, text, size, single) && discard_tensor(s);
    }
    return add_element(s, v, f, flags);
}

/* Read the number at *p, which is byte `offset` of the body. NUMBER_BAD: failed. */
static number_status take_number(struct json_scan *s, const char **p, const char *end, size_t offset)
{
    const char *text = *p;
    double v;
    unsigned flags = 0;
    const number_status status = number_read_f64(p, end, &v, &flags);
    const size_t size = (size_t)(*p - text);
    if (status == NUMBER_MORE) {
        return NUMBER_MORE;
    }
    if (size > MAX_NUMBER_TEXT) {
        malformed(s, offset, "a number is longer than %zu bytes", MAX_NUMBER_TEXT);
        return NUMBER_BAD;
    }
    if (status == NUMBER_BAD) {
        s->state = INSIDE_NUMBER; /* for the message: it does not depend on where pieces end */
        unexpected(s, offset + size, **p);
        return NUMBER_BAD;
    }
    if ((flags & NUMBER_LITERAL) != 0 && s->options.strict) {
        malformed(s, offset, "%.*s is not a number of strict JSON", (int)size, text);
        return NUMBER_BAD;
    }
    if (s->mode != IN_DISCARD && !use_number(s, text, *p)) {
        return NUMBER_BAD;
    }
    value_done(s);
    return NUMBER_OK;
}

/* What a number, even a wrong one, may go on with. */
static bool number_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '-' ||
           c == '.';
}

/* Keep the bytes of a number that the piece's end cuts, up to one more than it may have. */
static bool carry(struct json_scan *s, const char *bytes, size_t n)
{
    const size_t room = MAX_NUMBER_TEXT + 1 - s->carry_size;
    n = n < room ? n : room;
    char *text = grown(s, s->carry, &s->carry_capacity, s->carry_size + n + 1, 1);
    if (text == NULL) {
        return false;
    }
    s->carry = text;
    memcpy(text + s->carry_size, bytes, n);
    s->carry_size += n;
    return true;
}

/* The number in `carry` with the byte behind it; there may be less of it than was carried. */
static bool end_carried(struct json_scan *s, char behind)
{
    s->carry[s->carry_size] = behind;
    const char *p = s->carry, *end = s->carry + s->carry_size;
    const number_status status = take_number(s, &p, end + (s->carry_size <= MAX_NUMBER_TEXT), s->carry_at);
    if (status == NUMBER_MORE) {
        return malformed(s, s->carry_at, "a number is longer than %zu bytes", MAX_NUMBER_TEXT);
    }
    return status == NUMBER_OK && (p == end || unexpected(s, s->carry_at + (size_t)(p - s->carry), *p));
}

static bool continue_number(struct json_scan *s, const char **p, const char *end)
{
    const char *from = *p;
    while (*p < end && number_byte(**p)) {
        ++*p;
    }
    if (!carry(s, from, (size_t)(*p - from))) {
        return false;
    }
    if (*p == end && s->carry_size <= MAX_NUMBER_TEXT) {
        return true;
    }
    return end_carried(s, *p < end ? **p : '0');
}

static bool begin_number(struct json_scan *s, const char **p, const char *end)
{
    if (!begin_leaf(s, true, "")) {
        return false;
    }
    const char *from = *p;
    const size_t offset = offset_of(s, from);
    const number_status status = take_number(s, p, end, offset);
    if (status == NUMBER_MORE) {
        s->state = INSIDE_NUMBER;
        s->carry_size = 0;
        s->carry_at = offset;
        return continue_number(s, p, end);
    }
    return status == NUMBER_OK;
}

static bool skip_space(struct json_scan *s, const char **p, const char *end)
{
    const char *q = *p;
    for (; q < end && (*q == ' ' || *q == '\n' || *q == '\r' || *q == '\t'); q++) {
        if (*q == '\n') {
            s->line++;
            s->line_start = offset_of(s, q) + 1;
        }
    }
    *p = q;
    return q < end;
}

/* The hot loop: numbers and commas from *p into the tensor, until anything else comes. What is not plain (cut, wrong,
 * flagged, overlong) is left unread to the general way. */
static inline bool read_numbers(struct json_scan *s, const char **p, const char *end, const bool single)
{
    const char *q = *p;
    size_t n = s->n;
    for (;;) {
        if (n == s->capacity) {
            s->n = n;
            if (!grow_tensor(s)) {
                return false;
            }
        }
        const char *text = q;
        unsigned flags = 0;
        const number_status status = single ? number_read_f32(&q, end, (float *)s->data + n, &flags)
                                            : number_read_f64(&q, end, (double *)s->data + n, &flags);
        if (status != NUMBER_OK || flags != 0 || (size_t)(q - text) > MAX_NUMBER_TEXT) {
            q = text;
            break;
        }
        n++;
        if (*q != ',') {
            s->state = AT_NEXT;
            break;
        }
        s->state = AT_VALUE;
        q++;
        if (q < end && *q == ' ') {
            q++;
        }
        if (q == end || (*q <= ' ' && !skip_space(s, &q, end))) {
            break;
        }
    }
    s->n = n;
    *p = q;
    return true;
}

/* ---- arrays and objects ---- */

static bool open_bracket(struct json_scan *s, char bracket, size_t offset)
{
    if (s->depth >= s->options.max_depth) {
        return malformed(s, offset, "nested deeper than %d arrays and objects", s->options.max_depth);
    }
    if (bracket == '{') {
        if (!begin_leaf(s, false, "an object") || !copy(s, "{", 1)) {
            return false;
        }
        s->state = AT_FIRST_KEY;
    } else {
        if (s->mode == IN_TENSOR && s->depth == s->leaf && !deeper_than_numbers(s)) {
            return false;
        }
        s->pending += s->mode == IN_ENVELOPE;
        s->row = s->n;
        s->state = AT_FIRST_ELEMENT;
    }
    s->stack[s->depth++] = (struct frame){.bracket = bracket};
    return true;
}

static bool close_array(struct json_scan *s)
{
    if (s->pending > 0 && !begin_leaf(s, true, "")) {
        return false;
    }
    if (s->mode == IN_TENSOR && !check_length(s)) {
        return false;
    }
    s->depth--;
    if (s->mode == IN_ENVELOPE) {
        if (!put(s, "]", 1)) {
            return false;
        }
    } else if (s->depth == s->base && !end_tensor(s)) {
        return false;
    }
    return value_done(s);
}

static bool close_object(struct json_scan *s)
{
    s->depth--;
    return copy(s, "}", 1) && value_done(s);
}

static bool next(struct json_scan *s, const char **p)
{
    const bool array = s->stack[s->depth - 1].bracket == '[';
    const char c = **p;
    if (c == ',') {
        ++*p;
        s->state = array ? AT_VALUE : AT_KEY;
        return copy(s, ",", 1);
    }
    if (c != (array ? ']' : '}')) {
        return unexpected(s, offset_of(s, *p), c);
    }
    ++*p;
    return array ? close_array(s) : close_object(s);
}

/* ---- strings ---- */

static bool begin_key(struct json_scan *s, const char **p)
{
    const bool may_close = s->state == AT_FIRST_KEY;
    if (**p == '}' && may_close) {
        ++*p;
        return close_object(s);
    }
    if (**p != '"') {
        return unexpected(s, offset_of(s, *p), **p);
    }
    ++*p;
    s->text = (struct json_text){0};
    s->state = INSIDE_KEY;
    if (!copy(s, "\"", 1)) {
        return false;
    }
    s->stack[s->depth - 1].key_at = s->envelope_size;
    return true;
}

static bool key_is_base64(const struct json_scan *s)
{
    static const char name[] = "base64";
    if (s->depth == 0 || s->stack[s->depth - 1].bracket != '{') {
        return false;
    }
    const struct frame *f = &s->stack[s->depth - 1];
    const char *p = s->envelope + f->key_at, *end = p + f->key_size;
    size_t i = 0;
    for (; i < sizeof name - 1 && p < end; i++) {
        char c[4];
        if (json_text_character(&p, end, c) != 1 || c[0] != name[i]) {
            return false;
        }
    }
    return i == sizeof name - 1 && p == end;
}

static bool begin_string(struct json_scan *s)
{
    if (!begin_leaf(s, false, "a string")) {
        return false;
    }
    s->text = (struct json_text){0};
    if (s->mode == IN_ENVELOPE && key_is_base64(s)) {
        base64_init(&s->base64, s->arena);
        s->state = INSIDE_BASE64;
        return true;
    }
    s->state = INSIDE_STRING;
    if (!copy(s, "\"", 1)) {
        return false;
    }
    s->text_at = s->envelope_size;
    return true;
}

/* Tell of a string of the outermost object. A NUL inside would make another word of it: then nothing is told. */
static bool tell_word(struct json_scan *s)
{
    const size_t size = s->envelope_size - s->text_at;
    const char *p = s->envelope + s->text_at, *end = p + size;
    char pointer[MAX_POINTER];
    char *word = loss_arena_resize(s->arena, NULL, size + 4);
    if (word == NULL) {
        return no_memory(s);
    }
    size_t n = 0;
    while (p < end) {
        n += json_text_character(&p, end, word + n);
    }
    word[n] = '\0';
    if (strlen(word) == n) {
        write_pointer(s, 1, pointer, sizeof pointer);
        s->options.word(s->options.arg, pointer, word);
    }
    loss_arena_release(s->arena, word);
    return true;
}

static bool end_key(struct json_scan *s)
{
    struct frame *f = &s->stack[s->depth - 1];
    f->key_size = s->envelope_size - f->key_at;
    s->state = AT_COLON;
    return copy(s, "\"", 1);
}

static bool end_string(struct json_scan *s)
{
    const bool outermost = s->mode == IN_ENVELOPE && s->depth == 1 && s->stack[0].bracket == '{';
    if (outermost && s->options.word != NULL && !tell_word(s)) {
        return false;
    }
    return copy(s, "\"", 1) && value_done(s);
}

static bool end_base64(struct json_scan *s)
{
    if (!base64_end(&s->base64)) {
        return no_memory(s);
    }
    struct slot *slot = new_value(s, JSON_BYTES, s->depth);
    if (slot == NULL) {
        return false;
    }
    slot->value.bytes = s->base64.bytes;
    slot->value.n_bytes = s->base64.size;
    if (s->base64.wrong && !fault(s, LOSS_INVALID_PARAMETER, s->depth - 1, "base64: %s", s->base64.problem)) {
        return false;
    }
    return put_placeholder(s) && value_done(s);
}

static bool continue_string(struct json_scan *s, const char **p, const char *end)
{
    const char *from = *p;
    const json_text_status status = json_text_check(&s->text, p, end);
    if (status == JSON_TEXT_BAD) {
        return malformed(s, offset_of(s, *p), "%s", s->text.problem);
    }
    const size_t n = (size_t)(*p - from);
    if (s->state == INSIDE_BASE64) {
        if (!base64_feed(&s->base64, from, n)) {
            return no_memory(s);
        }
    } else if (!copy(s, from, n)) {
        return false;
    }
    if (status == JSON_TEXT_MORE) {
        return true;
    }
    ++*p;
    return s->state == INSIDE_KEY ? end_key(s) : s->state == INSIDE_STRING ? end_string(s) : end_base64(s);
}

/* ---- words ---- */

static bool end_word(struct json_scan *s)
{
    if (s->mode == IN_TENSOR) {
        const double v = s->word[0] == 't';
        if (!add_element(s, v, (float)v, 0)) {
            return false;
        }
    }
    return copy(s, s->word, s->word_size) && value_done(s);
}

static bool begin_word(struct json_scan *s, const char *word)
{
    s->word = word;
    s->word_size = 0;
    s->state = INSIDE_WORD;
    return begin_leaf(s, word[0] != 'n', word);
}

static bool continue_word(struct json_scan *s, const char **p, const char *end)
{
    for (; *p < end && s->word[s->word_size] != '\0'; ++*p, s->word_size++) {
        if (**p != s->word[s->word_size]) {
            return unexpected(s, offset_of(s, *p), **p);
        }
    }
    return s->word[s->word_size] != '\0' || end_word(s);
}

/* ---- the machine ---- */

static bool begin_value(struct json_scan *s, const char **p, const char *end)
{
    const char c = **p;
    const size_t offset = offset_of(s, *p);
    switch (c) {
    case '[':
    case '{':
        ++*p;
        return open_bracket(s, c, offset);
    case '"':
        ++*p;
        return begin_string(s);
    case 't':
        return begin_word(s, "true");
    case 'f':
        return begin_word(s, "false");
    case 'n':
        return begin_word(s, "null");
    case ']':
        if (s->state != AT_FIRST_ELEMENT) {
            break;
        }
        ++*p;
        return close_array(s);
    default:
        if ((c >= '0' && c <= '9') || c == '-' || c == 'N' || c == 'I') {
            return begin_number(s, p, end);
        }
        break;
    }
    return unexpected(s, offset, c);
}

static bool take_value(struct json_scan *s, const char **p, const char *end)
{
    if (s->mode == IN_TENSOR && s->depth == s->leaf) {
        const bool ok = s->dtype == LOSS_FLOAT32 ? read_numbers(s, p, end, true) : read_numbers(s, p, end, false);
        if (!ok || *p == end || s->state == AT_NEXT) {
            return ok;
        }
    }
    return begin_value(s, p, end);
}

/* Go on from *p: at least one byte, or the state changes. */
static bool step(struct json_scan *s, const char **p, const char *end)
{
    if (s->state < INSIDE_KEY && !skip_space(s, p, end)) {
        return true;
    }
    switch (s->state) {
    case AT_VALUE:
    case AT_FIRST_ELEMENT:
        return take_value(s, p, end);
    case AT_NEXT:
        return next(s, p);
    case AT_FIRST_KEY:
    case AT_KEY:
        return begin_key(s, p);
    case AT_COLON:
        if (**p != ':') {
            break;
        }
        ++*p;
        s->state = AT_VALUE;
        return copy(s, ":", 1);
    case AT_END:
        break;
    case INSIDE_KEY:
    case INSIDE_STRING:
    case INSIDE_BASE64:
        return continue_string(s, p, end);
    case INSIDE_NUMBER:
        return continue_number(s, p, end);
    case INSIDE_WORD:
        return continue_word(s, p, end);
    }
    return unexpected(s, offset_of(s, *p), **p);
}

/* ---- the interface ---- */

struct json_scan *json_scan_new(struct loss_arena *arena, const struct json_scan_options *options)
{
    struct json_scan *s = loss_arena_alloc(arena, sizeof *s, alignof(struct json_scan));
    if (s == NULL) {
        return NULL;
    }
    memset(s, 0, offsetof(struct json_scan, stage));
    s->arena = arena;
    s->options = *options;
    s->line = 1;
    const size_t depth = options->max_depth > 0 ? (size_t)options->max_depth : 0;
    s->stack = loss_arena_alloc(arena, depth * sizeof *s->stack, alignof(struct frame));
    return s->stack != NULL ? s : NULL;
}

loss_status json_scan_feed(struct json_scan *s, const char *bytes, size_t n, struct loss_error *err)
{
    if (s->status != LOSS_OK) {
        return loss_fail(err, s->status, "", "the body was refused before");
    }
    const char *p = bytes, *end = bytes + n;
    s->err = err;
    s->piece = bytes;
    while (p < end && step(s, &p, end)) {
    }
    s->before += n;
    return s->status;
}

loss_status json_scan_end(struct json_scan *s, struct loss_error *err)
{
    if (s->status != LOSS_OK) {
        return loss_fail(err, s->status, "", "the body was refused before");
    }
    s->err = err;
    s->ended = true;
    if (s->state == INSIDE_NUMBER && !end_carried(s, ' ')) {
        return s->status;
    }
    if (s->state != AT_END) {
        const bool nothing = s->state == AT_VALUE && s->depth == 0;
        malformed(s, s->before, "%s, but the body %s", expectation(s), nothing ? "is empty" : "ends here");
    }
    return s->status;
}

const char *json_scan_envelope(const struct json_scan *s, size_t *size)
{
    *size = s->envelope_size;
    return s->envelope;
}

size_t json_scan_count(const struct json_scan *s)
{
    return s->n_values;
}

const struct json_value *json_scan_value(const struct json_scan *s, size_t i)
{
    return i < s->n_values ? &s->values[i].value : NULL;
}

/* ---- float64 to float32 ---- */

/* Index of the first finite number whose float is infinite; count: none. */
static size_t first_beyond_float(const struct loss_tensor *t, const struct tie *ties, size_t n_ties)
{
    const double *v = t->data;
    for (size_t i = 0, k = 0; i < t->count; i++) {
        float f = (float)v[i];
        if (k < n_ties && ties[k].index == i) {
            f = ties[k++].value;
        }
        if (isinf(f) && !isinf(v[i])) {
            return i;
        }
    }
    return t->count;
}

/* By way of small arrays: floats written over doubles not yet read would be at the compiler's mercy. */
static void narrow_in_place(void *data, size_t n)
{
    enum { BLOCK = 256 };
    double from[BLOCK];
    float to[BLOCK];
    unsigned char *bytes = data;
    for (size_t i = 0; i < n; i += BLOCK) {
        const size_t m = n - i < BLOCK ? n - i : BLOCK;
        memcpy(from, bytes + i * sizeof *from, m * sizeof *from);
        for (size_t j = 0; j < m; j++) {
            to[j] = (float)from[j];
        }
        memcpy(bytes + i * sizeof *to, to, m * sizeof *to);
    }
}

loss_status json_value_narrow(struct json_scan *s, size_t i, struct loss_error *err)
{
    assert(i < s->n_values && s->values[i].value.kind == JSON_TENSOR && s->values[i].value.fault == LOSS_OK);
    struct slot *slot = &s->values[i];
    struct loss_tensor *t = &slot->value.tensor;
    const struct tie *ties = s->ties + slot->first_tie;
    if (t->dtype == LOSS_FLOAT32) {
        return LOSS_OK;
    }
    const size_t bad = first_beyond_float(t, ties, slot->n_ties);
    if (bad < t->count) {
        char pointer[MAX_POINTER];
        loss_tensor_pointer(t, bad, pointer, sizeof pointer);
        return loss_fail(err, LOSS_NUMBER_OUT_OF_RANGE, pointer, "%.17g is beyond the largest float32",
                         loss_tensor_at(t, bad));
    }
    narrow_in_place(t->data, t->count);
    for (size_t k = 0; k < slot->n_ties; k++) {
        memcpy((float *)t->data + ties[k].index, &ties[k].value, sizeof(float));
    }
    t->dtype = LOSS_FLOAT32;
    if (slot->block) {
        void *half = loss_arena_resize(s->arena, t->data, t->count * sizeof(float));
        t->data = half != NULL ? half : t->data;
    }
    return LOSS_OK;
}

/* ---- the envelope, read again ---- */

/* The last byte of the value that begins at p, of a bracket the bracket alone. */
static const char *token_end(const char *p)
{
    if (*p == '"') {
        for (p++; *p != '"'; p++) {
            p += *p == '\\';
        }
    } else if (*p != '[' && *p != '{') {
        while (p[1] != '\0' && strchr(",]}", p[1]) == NULL) {
            p++;
        }
    }
    return p;
}

void json_scan_pointer_at(const struct json_scan *s, size_t offset, char *buf, size_t size)
{
    const char *stop = s->envelope + (offset < s->envelope_size ? offset : s->envelope_size);
    int depth = 0, levels = 0; /* frames, and those of them that have a member under way */
    bool name_next = false;
    for (const char *p = s->envelope; p <= stop && *p != '\0'; p++) {
        struct frame *f = depth > 0 ? &s->stack[depth - 1] : NULL;
        if (*p == ',' || *p == ':') {
            name_next = *p == ',' && f->bracket == '{';
            continue;
        }
        if (*p == ']' || *p == '}') {
            levels = --depth;
            continue;
        }
        const char *last = token_end(p);
        if (f != NULL && f->bracket == '[') {
            f->index++;
            levels = depth;
        } else if (name_next) {
            f->key_at = (size_t)(p + 1 - s->envelope);
            f->key_size = (size_t)(last - p - 1);
            levels = depth;
        }
        name_next = *p == '{';
        if (*p == '[' || *p == '{') {
            levels = depth++;
            s->stack[levels] = (struct frame){.bracket = *p, .index = UNSET}; /* the first element makes it 0 */
        }
        p = last;
    }
    write_pointer(s, levels, buf, size);
}
