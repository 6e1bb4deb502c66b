/* SPDX-License-Identifier: Apache-2.0
 *
 * dpo.c - preference of one answer over another, from the log-probabilities of both.
 *
 *   a = chosen - reference_chosen, b = rejected - reference_rejected (references absent: 0), x = beta a, r = beta b,
 *   d = x - r, s = label_smoothing, l = log sigma
 *
 *   sigmoid    -(1 - s) l(d) - s l(-d)
 *   hinge      max(0, 1 - d)
 *   ipo        (a - b - 1/(2 beta))^2
 *   robust     (-(1 - s) l(d) + s l(-d))/(1 - 2s)
 *   exo_pair   sigma(d) (l(d) - log(1 - s)) + sigma(-d) (l(-d) - log s)
 *   nca_pair   -l(x) - l(-x)/2 - l(-r)/2
 *   bco_pair   -l(x) - l(-r)
 *   sppo_hard  (a - 1/(2 beta))^2 + (b + 1/(2 beta))^2
 *   apo_zero   sigma(-x) + sigma(r)
 *   apo_down   sigma(x) + sigma(-d)
 *
 *   derivatives by l'(x) = sigma(-x) and sigma'(x) = sigma(x) sigma(-x)
 *
 * Shapes  all alike, any rank; L has their shape
 * Edges   label_smoothing goes with sigmoid, robust and exo_pair, and exo_pair needs it; at the hinge's kink the gradient
 *         is 0; NaN in, NaN out
 * Source  Rafailov et al. 2023 and those it led to; names and formulas are those of TRL's DPOTrainer
 */
#include "elementwise.h"

enum { VARIANT, BETA, SMOOTHING };
enum variant { SIGMOID, HINGE, IPO, ROBUST, EXO_PAIR, NCA_PAIR, BCO_PAIR, SPPO_HARD, APO_ZERO, APO_DOWN };
enum { CHOSEN, REJECTED, REFERENCE_CHOSEN, REFERENCE_REJECTED };

/* What is computed once a block. */
struct numbers {
    double beta, s, target; /* target: 1/(2 beta) */
    double log_keep, log_s; /* log(1 - s), log s */
    double robust;          /* 1/(1 - 2s) */
};

/* sigma, 1 - sigma, -log sigma and -log(1 - sigma) of a number. */
struct logistic {
    double up, down, cost_up, cost_down;
};

VM_INLINE struct logistic logistic(double x)
{
    struct logistic at;
    double tail = vm_softplus_tail(vm_abs(x));
    at.up = vm_sigmoid(x, &at.down);
    at.cost_up = VM_SELECT(x > 0.0, 0.0, -x) + tail;
    at.cost_down = VM_SELECT(x > 0.0, x, 0.0) + tail;
    return at;
}

/* The loss, and its derivatives by a and b. */
struct preference {
    double loss, da, db;
};

VM_INLINE struct preference of_difference(double loss, double slope, double beta)
{
    return (struct preference){loss, beta * slope, -beta * slope};
}

VM_INLINE struct preference exo_pair(double d, const struct numbers *n)
{
    struct logistic at = logistic(d);
    double up = -at.cost_up - n->log_keep, down = -at.cost_down - n->log_s;
    /* (sigma u + (1 - sigma) v)' = sigma (1 - sigma) (u - v), for the derivatives of u and v cancel */
    return of_difference(at.up * up + at.down * down, at.up * at.down * (up - down), n->beta);
}

VM_INLINE struct preference of_each(double x, double r, enum variant variant, double beta)
{
    struct logistic of_x = logistic(x), of_r = logistic(r);
    switch (variant) {
    case NCA_PAIR:
        return (struct preference){of_x.cost_up + 0.5 * of_x.cost_down + 0.5 * of_r.cost_down,
                                   beta * (0.5 * of_x.up - of_x.down), beta * 0.5 * of_r.up};
    case BCO_PAIR:
        return (struct preference){of_x.cost_up + of_r.cost_down, -beta * of_x.down, beta * of_r.up};
    case APO_ZERO:
        return (struct preference){of_x.down + of_r.up, -beta * (of_x.up * of_x.down), beta * (of_r.up * of_r.down)};
    default: { /* apo_down */
        struct logistic of_d = logistic(x - r);
        double slope = of_d.up * of_d.down;
        return (struct preference){of_x.up + of_d.down, beta * (of_x.up * of_x.down - slope), beta * slope};
    }
    }
}

/* The square of u - target and its slope, where u - target may cancel: `lost` is what rounding took from u. */
VM_INLINE double square_of(double u, double lost, double target, double *slope)
{
    double error, e = vm_two_diff(u, target, &error);
    e += error + lost;
    *slope = 2.0 * e;
    return e * e;
}

VM_INLINE struct preference prefer(double a, double b, enum variant variant, const struct numbers *n)
{
    double lost, difference = vm_two_diff(a, b, &lost), x = n->beta * a, r = n->beta * b;
    lost = VM_SELECT(lost - lost == 0.0, lost, 0.0);
    double d = n->beta * difference + n->beta * lost, da, db;
    struct logistic of_d;
    switch (variant) {
    case SIGMOID:
        of_d = logistic(d);
        return of_difference((1.0 - n->s) * of_d.cost_up + n->s * of_d.cost_down,
                             n->s * of_d.up - (1.0 - n->s) * of_d.down, n->beta);
    case ROBUST:
        of_d = logistic(d);
        return of_difference(((1.0 - n->s) * of_d.cost_up - n->s * of_d.cost_down) * n->robust,
                             (-n->s * of_d.up - (1.0 - n->s) * of_d.down) * n->robust, n->beta);
    case HINGE:
        da = VM_SELECT(d == d, 0.0, d); /* beyond the margin: 0, but a NaN stays */
        return of_difference(VM_SELECT(d < 1.0, 1.0 - d, da), VM_SELECT(d < 1.0, -1.0, da), n->beta);
    case IPO:
        db = square_of(difference, lost, n->target, &da);
        return (struct preference){db, da, -da};
    case EXO_PAIR:
        return exo_pair(d, n);
    case SPPO_HARD: {
        double loss = square_of(a, 0.0, n->target, &da) + square_of(b, 0.0, -n->target, &db);
        return (struct preference){loss, da, db};
    }
    default:
        return of_each(x, r, variant, n->beta);
    }
}

/* A block of log-ratios, and what becomes of them. */
struct pairs {
    double a[LOSS__BLOCK_ELEMENTS], b[LOSS__BLOCK_ELEMENTS];
    double da[LOSS__BLOCK_ELEMENTS], db[LOSS__BLOCK_ELEMENTS];
};

typedef void preference_rule(struct pairs *at, double *restrict loss, size_t n, const struct numbers *numbers);

/* Not inlined, to be compiled once for both dtypes. */
#define RULE(name, variant)                                                                                            \
    __attribute__((noinline)) static void name(struct pairs *at, double *restrict loss, size_t n,                      \
                                               const struct numbers *numbers)                                          \
    {                                                                                                                  \
        const struct numbers local = *numbers;                                                                         \
        for (size_t i = 0; i < n; i++) {                                                                               \
            struct preference of = prefer(at->a[i], at->b[i], variant, &local);                                        \
            loss[i] = of.loss;                                                                                         \
            at->da[i] = of.da;                                                                                         \
            at->db[i] = of.db;                                                                                         \
        }                                                                                                              \
    }
RULE(by_sigmoid, SIGMOID)
RULE(by_hinge, HINGE)
RULE(by_ipo, IPO)
RULE(by_robust, ROBUST)
RULE(by_exo_pair, EXO_PAIR)
RULE(by_nca_pair, NCA_PAIR)
RULE(by_bco_pair, BCO_PAIR)
RULE(by_sppo_hard, SPPO_HARD)
RULE(by_apo_zero, APO_ZERO)
RULE(by_apo_down, APO_DOWN)
#undef RULE

static preference_rule *const rules[] = {
    [SIGMOID] = by_sigmoid,   [HINGE] = by_hinge,       [IPO] = by_ipo,           [ROBUST] = by_robust,
    [EXO_PAIR] = by_exo_pair, [NCA_PAIR] = by_nca_pair, [BCO_PAIR] = by_bco_pair, [SPPO_HARD] = by_sppo_hard,
    [APO_ZERO] = by_apo_zero, [APO_DOWN] = by_apo_down,
};

VM_INLINE void log_ratios(const void *x, const void *reference, size_t n, double *restrict ratio, bool wide)
{
    for (size_t i = 0; i < n; i++) {
        ratio[i] = kernel_load(x, i, wide);
    }
    for (size_t i = 0; i < n && reference != NULL; i++) {
        ratio[i] -= kernel_load(reference, i, wide);
    }
}

VM_INLINE void gradient(const double *slope, const double *g, size_t n, void *grad, bool wide)
{
    for (size_t i = 0; i < n && grad != NULL; i++) {
        kernel_store(grad, i, kernel_chain(g[i], slope[i]), wide);
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    double beta = b->param[BETA].number, s = b->param[SMOOTHING].number;
    struct numbers n = {.beta = beta,
                        .s = s,
                        .target = 0.5 / beta,
                        .log_keep = vm_log1p(-s),
                        .log_s = vm_log(s),
                        .robust = 1.0 / (1.0 - 2.0 * s)};
    struct pairs at;
    log_ratios(b->in[CHOSEN], b->in[REFERENCE_CHOSEN], b->n, at.a, wide);
    log_ratios(b->in[REJECTED], b->in[REFERENCE_REJECTED], b->n, at.b, wide);
    rules[(size_t)b->param[VARIANT].number](&at, b->loss, b->n, &n);
    gradient(at.da, b->g, b->n, b->grad[CHOSEN], wide);
    gradient(at.db, b->g, b->n, b->grad[REJECTED], wide);
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(dpo) = {.f32 = f32, .f64 = f64};

static const char *conflict(const struct loss_param_value *param, int *which)
{
    enum variant variant = (enum variant)param[VARIANT].number;
    double s = param[SMOOTHING].number;
    *which = SMOOTHING;
    if (variant == EXO_PAIR) {
        return s == 0 ? "must be above 0 with variant \"exo_pair\"" : NULL;
    }
    return s != 0 && variant != SIGMOID && variant != ROBUST
               ? "goes with variant \"sigmoid\", \"robust\" or \"exo_pair\" alone"
               : NULL;
}

LOSS__DESCRIPTOR(dpo) = {
    .name = "dpo",
    .summary = "How far a model prefers the chosen answer over the rejected one, more than a reference does.",
    .formula = "x = beta*(chosen - reference_chosen); r = beta*(rejected - reference_rejected); "
               "-(1 - label_smoothing)*log(sigmoid(x - r)) - label_smoothing*log(sigmoid(r - x)), or as variant says",
    .source = "Rafailov et al. 2023; TRL's DPOTrainer, whose loss_type is variant",
    .edges = "Without references they count as 0; one alone is refused. label_smoothing goes with sigmoid, robust and "
             "exo_pair, and exo_pair needs it. At the hinge's kink the gradient is 0.",
    .elsewhere =
        "TRL DPOTrainer(loss_type, beta): variant, reduction sum_over_batch_size. Its ipo divides each log-ratio "
        "by its length: send log-probabilities averaged over the length for that.",
    .example = "{\"chosen\": [-1, -2], \"rejected\": [-2, -1], \"reference_chosen\": [-1.5, -1.5], "
               "\"reference_rejected\": [-1.5, -1.5]}",
    .aliases = (const struct loss_alias[]){{"preference", {{0}}}, {"ipo", {{"variant", IPO}}}, {0}},
    .inputs =
        {{.name = "chosen",
          .doc = "Log-probability of the chosen answer.",
          .extent = LOSS_FREE,
          .main = true,
          .differentiable = true},
         {.name = "rejected", .doc = "Log-probability of the rejected answer.", .main = true, .differentiable = true},
         {.name = "reference_chosen",
          .doc = "Log-probability that the reference gives the chosen answer.",
          .together_with = "reference_rejected",
          .optional = true},
         {.name = "reference_rejected",
          .doc = "Log-probability that the reference gives the rejected answer.",
          .together_with = "reference_chosen",
          .optional = true}},
    .params = {{.name = "variant",
                .doc = "Which function of the log-ratios.",
                .words = LOSS__WORDS("sigmoid", "hinge", "ipo", "robust", "exo_pair", "nca_pair", "bco_pair",
                                     "sppo_hard", "apo_zero", "apo_down"),
                .type = LOSS_WORD,
                .fallback = SIGMOID},
               {.name = "beta",
                .doc = "How strongly the reference holds.",
                .type = LOSS_NUMBER,
                .fallback = 0.1,
                .min = 0,
                .max = INFINITY,
                .above_min = true,
                .below_max = true},
               {.name = "label_smoothing",
                .doc = "Share of pairs whose labels are taken to be the wrong way round.",
                .type = LOSS_NUMBER,
                .fallback = 0,
                .min = 0,
                .max = 0.5,
                .below_max = true}},
    .conflict = conflict,
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
