/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog.h - what can be computed: one constant descriptor a loss.
 *
 * Everything that knows of losses reads this table: validation, routes, the OpenAPI document, metrics labels,
 * tests and benchmarks. It is compiled in and never changes.
 */
#ifndef LOSS_CATALOG_H
#define LOSS_CATALOG_H

#include <stdbool.h>
#include <stddef.h>

#include <loss/error.h>
#include <loss/export.h>
#include <loss/tensor.h>

LOSS_BEGIN_DECLS

#define LOSS_MAX_INPUTS 4
#define LOSS_MAX_PARAMS 8

/* How the work is cut. */
typedef enum {
    LOSS_ELEMENTWISE, /* losses have the inputs' shape */
    LOSS_ROWWISE,     /* one axis (the last, or `axis`) is reduced: a loss a row */
    LOSS_BATCHWISE,   /* likewise, but each loss depends on all rows */
    LOSS_SAMPLEWISE,  /* all axes but the first are reduced: a loss a sample */
    LOSS_WHOLE,       /* one loss for the whole tensor */
} loss_kind;

/* What a loss compares, and so how its work grows. */
typedef enum {
    LOSS_NO_PAIRS,      /* with the number of elements */
    LOSS_PAIRS_IN_ROWS, /* each element of a row with each: with the square of the row's length */
    LOSS_PAIRS_OF_ROWS, /* each row with each: with the square of their number */
} loss_pairs;

/*    enum                     name                        as TensorFlow writes it */
#define LOSS_REDUCTION_MAP(X)                                                                                          \
    X(NONE, "none", "none")                                                                                            \
    X(SUM, "sum", "weighted_sum")                                                                                      \
    X(MEAN, "mean", "weighted_mean")                                                                                   \
    X(SUM_OVER_BATCH_SIZE, "sum_over_batch_size", "weighted_sum_over_batch_size")                                      \
    X(SUM_BY_NONZERO_WEIGHTS, "sum_by_nonzero_weights", "weighted_sum_by_nonzero_weights")                             \
    X(BATCHMEAN, "batchmean", "batchmean")

typedef enum {
#define LOSS_REDUCTION_ENUM(id, name, tensorflow) LOSS_REDUCE_##id,
    LOSS_REDUCTION_MAP(LOSS_REDUCTION_ENUM)
#undef LOSS_REDUCTION_ENUM
        LOSS_REDUCTION_COUNT
} loss_reduction;

const char *loss_reduction_name(loss_reduction reduction);
bool loss_reduction_parse(const char *name, loss_reduction *out); /* also the aliases; false: none such */

/* What numbers an input may hold. */
typedef enum {
    LOSS_REAL,         /* any */
    LOSS_CLASS_INDEX,  /* whole numbers in [0, classes) */
    LOSS_WHOLE_NUMBER, /* whole numbers */
    LOSS_SIGN,         /* -1 or 1 */
    LOSS_BINARY,       /* 0 or 1 */
    LOSS_ENCODED,      /* -1, 0 or 1 where the parameter label_encoding is "auto", else any */
} loss_domain;

typedef enum {
    LOSS_LIKE_MAIN, /* the main input's shape */
    LOSS_LEAD,      /* the main input's shape without the reduced axis */
    LOSS_FREE,      /* sets the shape: what a main input is */
} loss_extent;

struct loss_input {
    const char *name;           /* "labels"; NULL ends the list */
    const char *const *aliases; /* NULL-terminated, or NULL */
    const char *doc;
    const char *together_with; /* an optional input that must come along, or NULL */
    loss_domain domain;
    loss_extent extent;
    bool main; /* `gradients: true` means these */
    bool differentiable;
    bool optional;
};

/* Beyond it a double may stand for another whole number, too. */
#define LOSS_INTEGER_MAX (0x1p53 - 1)

typedef enum {
    LOSS_NUMBER,  /* float64 whatever dtype is */
    LOSS_INTEGER, /* whole number of a magnitude up to LOSS_INTEGER_MAX */
    LOSS_WORD,    /* one of `words` */
    LOSS_BOOLEAN,
    LOSS_VECTOR, /* a tensor [classes] */
    LOSS_NUMBER_OR_VECTOR,
    LOSS_AXIS, /* an axis of the main input, from either end */
    LOSS_AXES, /* one axis or a list of them */
} loss_param_type;

struct loss_param {
    const char *name; /* "delta"; NULL ends the list */
    const char *const *aliases;
    const char *doc;
    const char *const *words; /* LOSS_WORD: NULL-terminated */
    loss_param_type type;
    bool required;   /* has no default and must be given */
    bool optional;   /* has no default and may be left out ("none") */
    double fallback; /* default of numbers, integers, booleans (0/1), axes, and index into `words` */
    double min, max; /* closed range; both 0: no bound. Exclusive ends: */
    bool above_min, below_max;
};

/* Another name for a loss, which may set other defaults. */
struct loss_preset {
    const char *param; /* NULL ends the list */
    double value;      /* as `fallback` */
};
struct loss_alias {
    const char *name; /* NULL ends the list */
    struct loss_preset presets[3];
};

struct loss_param_value;

struct loss_desc {
    const char *name;
    const char *summary;              /* one sentence */
    const char *formula;              /* one line, plain text */
    const char *source;               /* where the definition comes from */
    const char *edges;                /* what happens at the borders of the domain: sentences */
    const char *elsewhere;            /* how to get the number of torch, Keras, optax, ...: sentences */
    const char *example;              /* a good request body */
    const struct loss_alias *aliases; /* or NULL */
    struct loss_input inputs[LOSS_MAX_INPUTS + 1];
    struct loss_param params[LOSS_MAX_PARAMS + 1];
    /* What is wrong with values that are each in range but do not go together, as words that follow the name of parameter
     * *which; NULL: nothing. NULL itself where all go together. */
    const char *(*conflict)(const struct loss_param_value *param, int *which);
    loss_kind kind;
    loss_pairs pairs;
    int rank;                 /* of the main input; 0: any that the kind allows */
    loss_reduction reduction; /* default */
    const char *collection;   /* default; NULL: "losses" */
    bool keeps_axis;          /* row-wise: the reduced axis stays as 1 */
    bool
        squeezes; /* labels, logits and weights may have one dimension of 1 too many, as in tf.losses.sparse_softmax_cross_entropy */
    bool
        samples_meet; /* losses of different samples depend on each other, or the whole tensor is one: not accumulable */
    int ulp;          /* promised distance of a loss from the true value */
};

size_t loss_catalog_count(void);
const struct loss_desc *loss_catalog_at(size_t i); /* sorted by name */
size_t loss_catalog_index(const struct loss_desc *desc);
/* By canonical name or alias (then *alias is set, else NULL); NULL: none such. `alias` may be NULL. */
const struct loss_desc *loss_catalog_find(const char *name, const struct loss_alias **alias);
/* The nearest names, best first, at most `max`; how many. */
size_t loss_catalog_nearest(const char *name, const char **nearest, size_t max);

int loss_desc_input(const struct loss_desc *desc, const char *name); /* index by name or alias; -1 */
int loss_desc_param(const struct loss_desc *desc, const char *name);
/* The best match for a misspelt word among `n` words, or NULL where none is near. */
const char *loss_nearest_word(const char *word, const char *const *words, size_t n);

LOSS_END_DECLS

#endif
