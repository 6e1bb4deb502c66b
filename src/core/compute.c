/* SPDX-License-Identifier: Apache-2.0
 *
 * compute.c - the driver: cuts a bound call into blocks, runs the kernel on each, weighs, sums and scales.
 *
 * Blocks depend on the shape alone and every sum over blocks is exact, so neither the number of threads nor the
 * order in which they finish shows in the result.
 */
#include <assert.h>
#include <math.h>
#include <omp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "bind.h"
#include "isa.h"
#include "rows.h"
#include "sum_kernels.h"
#include "weigh.h"

#define ALIGNMENT 64
#define PARALLEL_ELEMENTS 65536 /* below this a team costs more than it saves */
#define SHARE_ELEMENTS 32768    /* what a thread takes at a time; a slow neighbour holds up the others for so long */
#define ROW_ELEMENTS 4096       /* of a block of rows, if a row is not longer */
#define STREAM_BYTES ((size_t)16 << 20) /* a gradient of this size will not stay in the caches anyway */

/* One computation under way; constant while blocks run, but for `stop` and disjoint pieces of the arrays. */
struct run {
    const struct loss__plan *plan;
    const struct loss__weigh *weigh;
    const struct loss__sum_kernels *sum;
    struct loss_answer *answer;
    size_t n, c; /* rows of the main input, and their length */
    size_t work; /* elements, or those of pairs */
    size_t block_rows, blocks;
    size_t share; /* blocks that a thread takes at a time */
    size_t size;  /* bytes of one number of the call's dtype */
    bool wide;    /* float64 */
    bool shares;  /* the parts of a stage, not blocks, are shared among threads */
    bool drops;   /* rows of weight 0 are not there for the others */
    bool whole;
    bool slopes;    /* gradients of inputs are wanted and not all 0 */
    bool streams;   /* ... and so large that they go past the caches */
    double divisor; /* of the reduction, for gradients */
    double *raw;    /* [losses] unweighted losses, where the weights' gradient needs them */
    double *factor; /* [losses] row factors, likewise */
    atomic_bool stop;
};

/* A block and where its rows come from. */
struct piece {
    struct loss__block block;
    const size_t *column; /* NULL: rows lie contiguous */
};

/* What one thread works with. */
struct lane {
    struct piece piece;                                /* of the block under way */
    double *w, *g, *loss;                              /* [block_rows] */
    double *high, *low;                                /* [block_rows] */
    void *out;                                         /* [block_rows] losses that nobody wants */
    size_t *row, *place;                               /* [block_rows] offsets of rows, and of weights */
    size_t *column;                                    /* [c] offsets of the elements of a sample that are not masked */
    size_t *offsets;                                   /* [c] scratch for them */
    void *scratch;                                     /* of the kernel */
    double *own;                                       /* [c] their weights */
    void *in[LOSS_MAX_INPUTS], *grad[LOSS_MAX_INPUTS]; /* [block_rows * c] gathered, or to be streamed */
    struct loss__losses_guess guess;
    uint64_t nonzero, nonfinite;
    struct loss_sum sum, rest, terms; /* last: they have their own way to be cleared */
};

extern const struct loss__weigh loss__weigh_builds_baseline, loss__weigh_builds_v3, loss__weigh_builds_v4;

static const struct loss__weigh *weigh_in_use(void)
{
    static const struct loss__weigh *const builds[LOSS__ISA_COUNT] = LOSS__ISA_TABLE(loss__weigh_builds);
    return builds[loss__isa_index()];
}

typedef void block_task(struct run *run, struct lane *lane, size_t k);

static void *at(void *data, size_t i, size_t size)
{
    return (char *)data + i * size;
}

static bool gathers(const struct run *run)
{
    return !run->plan->rows.contiguous || run->plan->masked_elements || run->drops;
}

/* The next `bytes` of scratch, for a lane that is laid out at `base`; NULL: it is only measured. */
static void *take(char *base, size_t *used, size_t bytes)
{
    size_t begin = *used;
    *used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return base == NULL ? NULL : base + begin;
}

/* Lay out one thread's scratch at `base`; how much it is. */
static size_t lane_layout(const struct run *run, struct lane *lane, char *base)
{
    const struct loss__plan *plan = run->plan;
    size_t rows = run->block_rows < run->n ? run->block_rows : run->n, used = 0;
    rows = rows == 0 ? 1 : rows;
#define TAKE(field, bytes) lane->field = take(base, &used, (bytes))
    TAKE(w, rows * sizeof(double));
    TAKE(g, rows * sizeof(double));
    TAKE(loss, rows * sizeof(double));
    TAKE(out, rows * sizeof(double));
    TAKE(row, rows * sizeof(size_t));
    TAKE(place, rows * sizeof(size_t));
    TAKE(high, rows * sizeof(double));
    TAKE(low, rows * sizeof(double));
    if (plan->masked_elements) {
        TAKE(column, run->c * sizeof(size_t));
        TAKE(offsets, run->c * sizeof(size_t));
        TAKE(own, run->c * sizeof(double));
    }
    if (plan->kernels->scratch != NULL) {
        TAKE(scratch, plan->kernels->scratch(&(struct loss__block){.n = rows, .c = run->c, .param = plan->param}));
    }
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        if (plan->input[i].data == NULL || (plan->lead[i] && !run->drops)) {
            continue;
        }
        if (gathers(run)) {
            TAKE(in[i], rows * (plan->lead[i] ? 1 : run->c) * loss_dtype_size(plan->input[i].dtype));
        }
        if (run->answer->gradient[i].data != NULL && (gathers(run) || run->streams)) {
            TAKE(grad[i], rows * run->c * run->size);
        }
    }
#undef TAKE
    return used;
}

static void lane_init(const struct run *run, struct lane *lane, char *base)
{
    const struct loss__plan *plan = run->plan;
    memset(lane, 0, offsetof(struct lane, sum));
    loss_sum_init(&lane->sum);
    loss_sum_init(&lane->rest);
    loss_sum_init(&lane->terms);
    lane->guess.no_good = true; /* there is none yet */
    lane_layout(run, lane, base);
    lane->piece.block =
        (struct loss__block){.param = plan->param, .wide = run->wide, .scratch = lane->scratch, .loss = lane->loss};
    /* Weights that are all alike are written once for all blocks. */
    if (plan->weights.constant) {
        size_t rows = run->block_rows < run->n ? run->block_rows : run->n;
        rows = rows == 0 ? 1 : rows;
        loss__weights_fill(&plan->weights, 0, rows, lane->place, lane->w);
        run->weigh->upstream(lane->w, run->divisor, rows, lane->g);
    }
}

/* A lane for each thread, all of their scratch before any thread starts; NULL: no memory. */
static struct lane *lanes_new(const struct run *run, size_t team, struct loss_arena *arena)
{
    struct lane measured = {0};
    size_t each = lane_layout(run, &measured, NULL);
    struct lane *lanes = loss_arena_alloc(arena, team * sizeof *lanes, ALIGNMENT);
    char *scratch = lanes == NULL ? NULL : loss_arena_alloc(arena, team * each, ALIGNMENT);
    if (scratch == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < team; i++) {
        lane_init(run, &lanes[i], scratch + i * each);
    }
    return lanes;
}

/* The elements of sample `b` whose weight is not 0; how many. */
static size_t present_columns(const struct run *run, struct lane *lane, size_t b)
{
    loss__weights_fill_sample(&run->plan->weights, b, run->c, lane->offsets, lane->own);
    size_t n = 0;
    for (size_t j = 0; j < run->c; j++) {
        lane->column[n] = j;
        n += lane->own[j] != 0;
    }
    return n;
}

/* What is the same of all blocks stands there already. */
static struct piece *piece_of(const struct run *run, struct lane *lane, size_t k)
{
    const struct loss__plan *plan = run->plan;
    size_t first = k * run->block_rows, n = run->n - first;
    struct piece *piece = &lane->piece;
    struct loss__block *b = &piece->block;
    b->n = n < run->block_rows ? n : run->block_rows;
    b->c = run->c;
    b->first = first;
    piece->column = plan->column;
    if (plan->weights.present != NULL) {
        b->present = plan->weights.present + first;
    }
    if (plan->masked_elements) {
        b->c = present_columns(run, lane, first);
        piece->column = lane->column;
    }
    if (piece->column != NULL) {
        if (plan->rows.contiguous) {
            lane->row[0] = first * run->c;
        } else {
            loss__grid_offsets(&plan->rows.kept, first, b->n, lane->row);
        }
    }
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        const struct loss_tensor *t = &plan->input[i];
        size_t size = loss_dtype_size(t->dtype);
        if (t->data == NULL) {
            continue;
        }
        if (plan->lead[i] || piece->column == NULL) {
            b->in[i] = at(t->data, first * (plan->lead[i] ? 1 : run->c), size);
        } else {
            loss__rows_gather(t->data, size, lane->row, b->n, piece->column, b->c, lane->in[i]);
            b->in[i] = lane->in[i];
        }
    }
    return piece;
}

/* Whether the mask leaves out row `i` of the block. */
static bool row_masked(const struct run *run, const struct lane *lane, const struct loss__block *b, size_t i)
{
    const size_t *present = run->plan->weights.present;
    return present != NULL ? present[b->first + i] == 0 : lane->w[i] == 0;
}

static void fill_weights(const struct run *run, struct lane *lane, const struct loss__block *b)
{
    if (!run->plan->weights.constant) {
        loss__weights_fill(&run->plan->weights, b->first, b->n, lane->place, lane->w);
    }
}

static size_t nonfinite(const struct run *run, const void *x, size_t n)
{
    return run->wide ? run->weigh->nonfinite_f64(x, n) : run->weigh->nonfinite_f32(x, n);
}

/* Where the kernel is to write its gradients. */
static void want_gradients(const struct run *run, const struct lane *lane, struct piece *piece)
{
    struct loss__block *b = &piece->block;
    if (!run->slopes) {
        return;
    }
    b->g = lane->g;
    b->g_alike = run->plan->weights.constant && lane->g[0] != 0;
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        bool lead = run->plan->lead[i];
        void *gradient = run->answer->gradient[i].data;
        if (gradient != NULL) {
            bool direct = lead || lane->grad[i] == NULL;
            b->grad[i] = direct ? at(gradient, b->first * (lead ? 1 : run->c), run->size) : lane->grad[i];
        }
    }
}

/* What the kernel wrote, cleared where masked, counted, and brought home. */
static void keep_gradients(const struct run *run, struct lane *lane, const struct piece *piece)
{
    const struct loss__block *b = &piece->block;
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        if (b->grad[i] == NULL) {
            continue;
        }
        size_t c = run->plan->lead[i] ? 1 : b->c;
        for (size_t r = 0; run->plan->call->weights_mask && r < b->n; r++) {
            if (row_masked(run, lane, b, r)) {
                memset(at(b->grad[i], r * c, run->size), 0, c * run->size);
            }
        }
        lane->nonfinite += nonfinite(run, b->grad[i], b->n * c);
        void *gradient = run->answer->gradient[i].data;
        if (b->grad[i] != lane->grad[i]) {
            continue;
        }
        if (piece->column != NULL) {
            loss__rows_scatter(b->grad[i], run->size, lane->row, b->n, piece->column, c, gradient);
        } else {
            run->weigh->stream(b->grad[i], b->n * c * run->size, at(gradient, b->first * c, run->size));
        }
    }
}

/* Weigh n losses from index `first` on, store and sum them. */
static void keep_losses(const struct run *run, struct lane *lane, const double *w, const double *loss, size_t first,
                        size_t n)
{
    bool wanted = run->answer->losses.data != NULL;
    void *out = wanted ? at(run->answer->losses.data, first, run->size) : lane->out;
    size_t bad;
    if (run->wide) {
        bad = run->weigh->losses_f64(w, loss, n, out);
        loss_sum_add_f64(&lane->sum, out, n);
    } else {
        struct loss__losses_sum into = {&lane->sum, &lane->rest, &lane->guess};
        bool ones = run->plan->weights.constant && run->plan->weights.value == 1 && !run->drops;
        bad = run->sum->add_losses(&into, ones ? NULL : w, loss, n, out);
    }
    lane->nonfinite += wanted ? bad : 0;
}

/* Losses whose rows meet, with weights_mask: rows of weight 0 are taken out of the block, and come back with loss and
 * gradient 0. lane->row holds where in the batch each row of the block was. */

static void drop_rows(const struct run *run, struct lane *lane, struct loss__block *b)
{
    size_t kept = 0;
    for (size_t r = 0; r < b->n; r++) {
        lane->g[kept] = lane->g[r];
        lane->row[kept] = r;
        kept += lane->w[r] != 0;
    }
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        size_t size = (run->plan->lead[i] ? 1 : b->c) * loss_dtype_size(run->plan->input[i].dtype);
        for (size_t r = 0; b->in[i] != NULL && r < kept; r++) {
            memcpy(at(lane->in[i], r, size), (const char *)b->in[i] + lane->row[r] * size, size);
        }
        b->in[i] = b->in[i] == NULL ? NULL : lane->in[i];
    }
    b->n = kept;
}

/* x[r] of each row that was kept, 0 of the others. */
static void restore_rows(const struct run *run, const struct lane *lane, size_t kept, double *x)
{
    for (size_t r = run->n, from = kept; r > 0; r--) {
        bool was_kept = from > 0 && lane->row[from - 1] == r - 1;
        from -= was_kept;
        x[r - 1] = was_kept ? x[from] : 0;
    }
}

static void restore_gradients(const struct run *run, struct lane *lane, const struct loss__block *b)
{
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        struct loss_tensor *gradient = &run->answer->gradient[i];
        size_t c = run->plan->lead[i] ? 1 : b->c;
        if (b->grad[i] == NULL) {
            continue;
        }
        memset(gradient->data, 0, gradient->count * run->size);
        for (size_t r = 0; r < b->n; r++) {
            memcpy(at(gradient->data, lane->row[r] * c, run->size), at(b->grad[i], r * c, run->size), c * run->size);
        }
        lane->nonfinite += nonfinite(run, b->grad[i], b->n * c);
    }
}

/* Whether nobody waits for the result any more. */
static bool stopped(struct run *run)
{
    const struct loss_call *call = run->plan->call;
    if (atomic_load_explicit(&run->stop, memory_order_relaxed)) {
        return true;
    }
    if (call->cancelled != NULL && call->cancelled(call->cancelled_arg)) {
        atomic_store_explicit(&run->stop, true, memory_order_relaxed);
        return true;
    }
    return false;
}

static void run_part(struct run *run, const struct loss__block *b, const struct loss__stage *stage, size_t part)
{
    if (!stopped(run)) {
        struct loss__block own = *b;
        own.part = part;
        (run->wide ? stage->f64 : stage->f32)(&own);
    }
}

static void run_kernel(struct run *run, const struct loss__block *b)
{
    const struct loss__kernels *kernels = run->plan->kernels;
    if (kernels->stages == NULL) {
        (run->wide ? kernels->f64 : kernels->f32)(b);
        return;
    }
    for (const struct loss__stage *stage = kernels->stages; stage->f32 != NULL; stage++) {
        size_t parts = stage->parts(b);
        if (!run->shares || parts == 1) {
            for (size_t i = 0; i < parts; i++) {
                run_part(run, b, stage, i);
            }
            continue;
        }
#pragma omp parallel for schedule(dynamic)
        for (size_t i = 0; i < parts; i++) {
            run_part(run, b, stage, i);
        }
    }
}

static void compute_block(struct run *run, struct lane *lane, size_t k)
{
    const struct loss__plan *plan = run->plan;
    struct piece *piece = piece_of(run, lane, k);
    struct loss__block *b = &piece->block;
    if (!plan->weights.constant || run->drops) { /* which drop_rows may have changed */
        fill_weights(run, lane, b);
        run->weigh->upstream(lane->w, run->divisor, b->n, lane->g);
    }
    want_gradients(run, lane, piece);
    if (run->drops) {
        drop_rows(run, lane, b);
    }
    run_kernel(run, b);
    if (atomic_load_explicit(&run->stop, memory_order_relaxed)) {
        return;
    }
    if (run->drops) {
        restore_gradients(run, lane, b);
        restore_rows(run, lane, b->n, b->loss);
        b->n = run->n;
    } else {
        keep_gradients(run, lane, piece);
    }
    if (run->whole) {
        loss_sum_add_f64(&lane->terms, b->loss, b->n);
        return;
    }
    for (size_t i = 0; plan->call->weights_mask && i < b->n; i++) {
        if (row_masked(run, lane, b, i)) {
            b->loss[i] = 0;
        }
    }
    if (run->raw != NULL) {
        memcpy(run->raw + b->first, b->loss, b->n * sizeof(double));
    }
    keep_losses(run, lane, lane->w, b->loss, b->first, b->n);
}

/* Row factors: their weighted sum is the divisor of a mean, and a row of factor 0 is not counted. */
static void factor_block(struct run *run, struct lane *lane, size_t k)
{
    struct piece *piece = piece_of(run, lane, k);
    struct loss__block *b = &piece->block;
    fill_weights(run, lane, b);
    double *r = run->factor == NULL ? lane->loss : run->factor + b->first;
    if (run->drops) {
        drop_rows(run, lane, b);
    }
    run->plan->factor(b, r);
    if (run->drops) {
        restore_rows(run, lane, b->n, r);
        b->n = run->n;
    }
    run->weigh->products(lane->w, r, b->n, lane->high, lane->low);
    loss_sum_add_f64(&lane->sum, lane->high, b->n);
    loss_sum_add_f64(&lane->sum, lane->low, b->n);
    for (size_t i = 0; i < b->n; i++) {
        lane->nonzero += lane->w[i] != 0 && r[i] != 0;
    }
}

/* Share `share` of the blocks. */
static void run_share(struct run *run, struct lane *lane, block_task *task, size_t share)
{
    size_t first = share * run->share, end = first + run->share < run->blocks ? first + run->share : run->blocks;
    for (size_t k = first; k < end; k++) {
        if (stopped(run)) {
            return;
        }
        task(run, lane, k);
    }
    if (run->streams) {
        run->weigh->streamed();
    }
}

static size_t team_size(const struct run *run)
{
    size_t threads = (size_t)omp_get_max_threads(), team = threads < run->blocks ? threads : run->blocks;
    bool large = run->work > PARALLEL_ELEMENTS;
    return large && team > 1 && !run->shares ? team : 1;
}

/* Run a task on all blocks and merge what the threads found into the first one's lane, *total. */
static loss_status run_blocks(struct run *run, block_task *task, struct loss_arena *arena, struct lane **total,
                              struct loss_error *err)
{
    size_t team = team_size(run);
    struct lane *lanes = lanes_new(run, team, arena);
    if (lanes == NULL) {
        return loss_no_memory(err, "the computation");
    }
    size_t shares = (run->blocks + run->share - 1) / run->share;
    if (team == 1) {
        for (size_t i = 0; i < shares; i++) {
            run_share(run, lanes, task, i);
        }
    } else {
/* Whoever is free takes the next: a thread whose core is busy with something else does less. */
#pragma omp parallel for num_threads((int)team) schedule(dynamic)
        for (size_t i = 0; i < shares; i++) {
            run_share(run, &lanes[omp_get_thread_num()], task, i);
        }
    }
    if (atomic_load(&run->stop)) {
        return loss_fail(err, LOSS_DEADLINE_EXCEEDED, "", "the deadline passed while computing");
    }
    for (size_t i = 1; i < team; i++) {
        loss_sum_merge(&lanes->sum, &lanes[i].sum);
        loss_sum_merge(&lanes->rest, &lanes[i].rest);
        loss_sum_merge(&lanes->terms, &lanes[i].terms);
        lanes->nonzero += lanes[i].nonzero;
        lanes->nonfinite += lanes[i].nonfinite;
    }
    *total = lanes;
    return LOSS_OK;
}

/* The sum of weights and how many count, before anything else: gradients need their divisor. */
static loss_status count_weights(struct run *run, struct loss_arena *arena, struct loss_error *err)
{
    struct loss_answer *answer = run->answer;
    answer->weight_sum = run->plan->weights.sum;
    answer->totals.nonzero_weights = run->plan->weights.nonzero;
    if (run->plan->factor == NULL) {
        return LOSS_OK;
    }
    struct lane *total = NULL;
    LOSS_TRY(run_blocks(run, factor_block, arena, &total, err));
    assert(total != NULL); /* what the analyzer does not see */
    answer->weight_sum = total->sum;
    answer->totals.nonzero_weights = total->nonzero;
    return LOSS_OK;
}

/* An array of the call's dtype and of this shape for the answer. */
static loss_status answer_tensor(const struct run *run, struct loss_tensor *out, int rank, const size_t *shape,
                                 struct loss_arena *arena, struct loss_error *err)
{
    *out = (struct loss_tensor){.dtype = run->plan->call->dtype, .rank = rank, .count = 1};
    memcpy(out->shape, shape, (size_t)rank * sizeof *shape);
    for (int i = 0; i < rank; i++) {
        out->count *= shape[i];
    }
    out->data = loss_arena_alloc(arena, out->count * run->size, ALIGNMENT);
    return out->data != NULL ? LOSS_OK : loss_no_memory(err, "the answer");
}

static loss_status prepare_answer(struct run *run, struct loss_arena *arena, struct loss_error *err)
{
    const struct loss__plan *plan = run->plan;
    const struct loss_call *call = plan->call;
    struct loss_answer *answer = run->answer;
    if (call->want_losses) {
        LOSS_TRY(answer_tensor(run, &answer->losses, plan->rank, plan->shape, arena, err));
    }
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        if (call->gradients & (1u << i)) {
            const struct loss_tensor *input = &call->input[i];
            LOSS_TRY(answer_tensor(run, &answer->gradient[i], input->rank, input->shape, arena, err));
        }
    }
    if (!(call->gradients & (1u << LOSS_GRADIENT_WEIGHTS))) {
        return LOSS_OK;
    }
    const struct loss_tensor *weights = &call->weights; /* where none were given this is a scalar */
    LOSS_TRY(answer_tensor(run, &answer->gradient[LOSS_GRADIENT_WEIGHTS], weights->data == NULL ? 0 : weights->rank,
                           weights->shape, arena, err));
    run->raw = loss_arena_alloc(arena, plan->count * sizeof *run->raw, ALIGNMENT);
    if (plan->factor != NULL) {
        run->factor = loss_arena_alloc(arena, plan->count * sizeof *run->factor, ALIGNMENT);
    }
    bool short_of = run->raw == NULL || (plan->factor != NULL && run->factor == NULL);
    return short_of ? loss_no_memory(err, "the gradient of the weights") : LOSS_OK;
}

/* Gradients of inputs: all 0 where the divisor is; and elements that no block writes are 0. */
static void prepare_gradients(struct run *run, loss_reduction reduction)
{
    unsigned inputs = run->plan->call->gradients & ~(1u << LOSS_GRADIENT_WEIGHTS);
    const struct loss_answer *answer = run->answer;
    run->divisor = run->plan->call->divisor != NULL ? *run->plan->call->divisor
                                                    : loss_divisor_of(reduction, &answer->weight_sum, run->plan->count,
                                                                      answer->totals.nonzero_weights, answer->batch);
    run->slopes = inputs != 0 && run->divisor != 0;
    run->streams = run->slopes && !gathers(run) && run->n * run->c * run->size >= STREAM_BYTES;
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        struct loss_tensor *gradient = &run->answer->gradient[i];
        if (gradient->data != NULL && (!run->slopes || run->plan->masked_elements)) {
            memset(gradient->data, 0, gradient->count * run->size);
        }
    }
}

/* The mean from the losses as they are before rounding to dtype: what a weight's slope is measured from. */
static double unrounded_mean(const struct run *run, struct lane *lane)
{
    struct loss_sum sum;
    loss_sum_init(&sum);
    for (size_t first = 0; first < run->plan->count; first += run->block_rows) {
        size_t n = run->plan->count - first;
        n = n < run->block_rows ? n : run->block_rows;
        loss__weights_fill(&run->plan->weights, first, n, lane->place, lane->w);
        run->weigh->products(lane->w, run->raw + first, n, lane->high, lane->low);
        loss_sum_add_f64(&sum, lane->high, n);
        loss_sum_add_f64(&sum, lane->low, n);
    }
    return loss_sum_ratio(&sum, &run->answer->weight_sum);
}

static void differentiate_weights(struct run *run, struct lane *lane)
{
    const struct loss__plan *plan = run->plan;
    struct loss_tensor *gradient = &run->answer->gradient[LOSS_GRADIENT_WEIGHTS];
    if (gradient->data == NULL) {
        return;
    }
    struct loss__weights_slope slope = {
        .rank = plan->rank,
        .shape = plan->shape,
        .loss = run->raw,
        .factor = run->factor,
        .divisor = run->divisor,
        .mean = plan->call->reduction == LOSS_REDUCE_MEAN,
    };
    if (slope.mean) {
        slope.value = unrounded_mean(run, lane);
    }
    loss__weights_gradient(&plan->weights, &slope, plan->call->dtype, gradient->data);
    lane->nonfinite += nonfinite(run, gradient->data, gradient->count);
}

/* A whole-tensor loss: one number from the exact sum of all terms. */
static void finish_whole(struct run *run, struct lane *total)
{
    const struct loss__plan *plan = run->plan;
    double loss = plan->kernels->finish(plan->param, &total->terms), w = plan->weights.value;
    if (plan->call->weights_mask && w == 0) {
        loss = 0;
    }
    if (run->raw != NULL) {
        run->raw[0] = loss;
    }
    keep_losses(run, total, &w, &loss, 0, 1);
}

static void finish_answer(struct run *run, struct lane *total)
{
    struct loss_answer *answer = run->answer;
    const struct loss_call *call = run->plan->call;
    if (run->whole) {
        finish_whole(run, total);
    }
    differentiate_weights(run, total);
    answer->sum = total->sum;
    answer->rest = total->rest;
    answer->nonfinite = total->nonfinite;
    loss_totals_from(&answer->totals, &answer->sum, &answer->weight_sum, run->plan->count,
                     answer->totals.nonzero_weights, answer->batch);
    answer->has_loss = call->reduction != LOSS_REDUCE_NONE;
    loss_sum_merge(&total->sum, &answer->rest); /* unrounded */
    answer->loss = loss_total_of(call->reduction, &total->sum, &answer->weight_sum, run->plan->count,
                                 answer->totals.nonzero_weights, answer->batch);
    if (!run->wide) {
        answer->loss = (float)answer->loss;
    }
}

/* By the length of a row alone; whole vectors of narrow rows, which are worked on side by side. */
static size_t rows_of_block(size_t c)
{
    size_t rows = c <= 1 ? LOSS__BLOCK_ELEMENTS : ROW_ELEMENTS / c;
    if (rows > 16) {
        rows -= rows % 16;
    }
    return rows == 0 ? 1 : rows;
}

#define MOST_WORK 0x1p48

/* Elements of n rows of c, or of their pairs. */
static size_t work_of(loss_pairs pairs, size_t n, size_t c)
{
    double rows = (double)n, row = c == 0 ? 1 : (double)c;
    double work = rows * row * (pairs == LOSS_PAIRS_IN_ROWS ? row : pairs == LOSS_PAIRS_OF_ROWS ? rows : 1);
    return (size_t)(work < MOST_WORK ? work : MOST_WORK);
}

/* All rows that are compared are in one block; of elements that are, as many as make the work of others. */
static size_t block_of(const struct run *run)
{
    const struct loss__plan *plan = run->plan;
    if (plan->call->desc->pairs == LOSS_PAIRS_OF_ROWS) {
        return run->n == 0 ? 1 : run->n;
    }
    return plan->masked_elements ? 1 : rows_of_block(run->c);
}

static void run_init(struct run *run, const struct loss__plan *plan, struct loss_answer *answer)
{
    *run = (struct run){
        .plan = plan,
        .weigh = weigh_in_use(),
        .sum = loss__sum_kernels_in_use(),
        .answer = answer,
        .n = plan->rows.kept.count,
        .c = plan->rows.reduced.count,
        .size = loss_dtype_size(plan->call->dtype),
        .wide = plan->call->dtype == LOSS_FLOAT64,
        .whole = plan->call->desc->kind == LOSS_WHOLE,
        .divisor = 1,
    };
    const struct loss_desc *desc = plan->call->desc;
    run->drops = desc->kind == LOSS_BATCHWISE && plan->call->weights_mask;
    run->work = work_of(desc->pairs, run->n, run->c);
    run->block_rows = block_of(run);
    run->blocks = run->n / run->block_rows + (run->n % run->block_rows != 0);
    size_t elements = run->block_rows * (run->c == 0 ? 1 : run->c);
    run->share = elements < SHARE_ELEMENTS ? SHARE_ELEMENTS / elements : 1;
    /* a few long rows: each in turn by all threads */
    run->shares = plan->kernels->stages != NULL && run->work > PARALLEL_ELEMENTS && omp_get_max_threads() > 1 &&
                  run->blocks < 4 * (size_t)omp_get_max_threads();
    answer->batch = plan->rank == 0 ? 1 : plan->shape[0];
}

loss_status loss__compute_with(const struct loss__kernels *kernels, const struct loss_call *call,
                               struct loss_arena *arena, struct loss_answer *answer, struct loss_error *err)
{
    struct loss__plan plan;
    LOSS_TRY(loss__bind(&plan, call, kernels, arena, err));
    struct loss_answer found = {0};
    struct run run;
    run_init(&run, &plan, &found);
    LOSS_TRY(prepare_answer(&run, arena, err));
    LOSS_TRY(count_weights(&run, arena, err));
    prepare_gradients(&run, call->reduction);
    struct lane *total = NULL;
    LOSS_TRY(run_blocks(&run, compute_block, arena, &total, err));
    assert(total != NULL); /* what the analyzer does not see */
    finish_answer(&run, total);
    *answer = found;
    return LOSS_OK;
}

loss_status loss_compute(const struct loss_call *call, struct loss_arena *arena, struct loss_answer *answer,
                         struct loss_error *err)
{
    return loss__compute_with(loss__catalog_kernels(call->desc), call, arena, answer, err);
}

/* Rows of the main input without its last axis, nearly enough where the loss reduces another. */
static size_t pairs_of(const struct loss_call *call)
{
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        const struct loss_tensor *t = &call->input[i];
        if (call->desc->inputs[i].main && t->data != NULL && t->rank > 0) {
            size_t c = t->shape[t->rank - 1];
            return work_of(call->desc->pairs, c == 0 ? 0 : t->count / c, c);
        }
    }
    return 0;
}

size_t loss_call_elements(const struct loss_call *call)
{
    size_t n = call->weights.data == NULL ? 0 : call->weights.count;
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        n += call->input[i].data == NULL ? 0 : call->input[i].count;
    }
    return n + (call->desc->pairs == LOSS_NO_PAIRS ? 0 : pairs_of(call));
}
