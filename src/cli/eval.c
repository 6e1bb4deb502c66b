/* SPDX-License-Identifier: Apache-2.0
 *
 * eval.c - lossd eval: a loss over files, without a server.
 *
 * Files are mapped and worked on in pieces that are let go of as soon as they are done, so memory does not grow with
 * them. The first pass finds the totals and writes losses; gradients need a divisor that only the whole tells, and so
 * a second pass.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <files/npy_writer.h>
#include <files/tensor_file.h>
#include <loss/loss.h>
#include <server/formats/call.h>
#include <server/formats/call_text.h>
#include <server/formats/json.h>

#include "commands.h"
#include "pieces.h"
#include "progress.h"

#define MAX_OPTIONS 64
#define PIECE_BYTES ((size_t)8 << 20)
#define LETTING_GO 64 /* questions of a running computation between two droppings of what it has read */
#define MAX_FILES (LOSS_MAX_INPUTS + 1 + LOSS_MAX_PARAMS)

struct option {
    char name[64];
    const char *value;
    bool used;
};

struct eval {
    struct loss_arena *arena;
    struct call call;
    struct option option[MAX_OPTIONS];
    size_t n_options;
    bool json, has_dtype;
    struct tensor_file file[MAX_FILES];
    size_t n_files;
    const struct tensor_file *of_input[LOSS_MAX_INPUTS], *of_weights;
    struct npy_writer losses, gradient[LOSS_MAX_INPUTS];
    struct pieces pieces;
    struct progress progress;
    size_t asked; /* by a computation in one piece */
    struct call_answer answer;
};

static void usage(FILE *out)
{
    fprintf(out,
            "usage: lossd eval LOSS --INPUT FILE... [OPTION]...\n\n"
            "Computes a loss over files, in pieces: they may be larger than memory.\n\n"
            "  --INPUT FILE         an input of the loss (lossd losses LOSS names them): .npy, .safetensors[:TENSOR]\n"
            "                       or .csv[:COLUMN]\n"
            "  --weights FILE       weights, or a number\n"
            "  --PARAMETER VALUE    a parameter of the loss\n"
            "  --reduction NAME     the loss's own unless given\n"
            "  --dtype NAME         float32 or float64; float64 where an input of real numbers is, else float32\n"
            "  --weights-mask true  skip what has weight 0\n"
            "  --out FILE           write the losses of the samples (.npy)\n"
            "  --gradients FILE     write the gradient of the main input (.npy); INPUT=FILE: of another\n"
            "  --json               print what POST /v1/losses/LOSS answers, without arrays\n");
}

/* --- options --- */

/* "--label-smoothing=0.1" and "--label-smoothing 0.1"; in the names of fields dashes are underscores. */
static loss_status read_option(struct eval *e, char **argv, int argc, int *i, struct loss_error *err)
{
    const char *word = argv[*i];
    if (strncmp(word, "--", 2) != 0) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "", "\"%.80s\" is no option", word);
    }
    if (strcmp(word, "--json") == 0) {
        e->json = true;
        return LOSS_OK;
    }
    size_t n = strcspn(word + 2, "=");
    struct option *o = &e->option[e->n_options];
    if (n >= sizeof o->name || e->n_options == MAX_OPTIONS) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "", "\"%.80s\" is too long an option, or one too many", word);
    }
    *o = (struct option){.value = word[2 + n] == '=' ? word + 2 + n + 1 : *i + 1 < argc ? argv[++*i] : NULL};
    for (size_t k = 0; k < n; k++) {
        o->name[k] = word[2 + k] == '-' ? '_' : word[2 + k];
    }
    if (o->value == NULL) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "", "%s needs a value", word);
    }
    for (size_t k = 0; k < e->n_options && strcmp(o->name, "gradients") != 0; k++) {
        if (strcmp(e->option[k].name, o->name) == 0) {
            return loss_fail(err, LOSS_DUPLICATE_FIELD, "", "%s is given twice", word);
        }
    }
    e->n_options++;
    return LOSS_OK;
}

static loss_status read_options(struct eval *e, int argc, char **argv, struct loss_error *err)
{
    for (int i = 2; i < argc; i++) {
        LOSS_TRY(read_option(e, argv, argc, &i, err));
    }
    return LOSS_OK;
}

static loss_status read_dtype(struct eval *e, struct loss_error *err)
{
    for (size_t i = 0; i < e->n_options; i++) {
        struct option *o = &e->option[i];
        if (strcmp(o->name, "dtype") == 0) {
            o->used = e->has_dtype = true;
            LOSS_TRY(call_parse_dtype(o->value, "", &e->call.loss.dtype, err));
        }
    }
    return LOSS_OK;
}

/* --- files --- */

static bool is_file(const char *value)
{
    return strcasestr(value, ".npy") != NULL || strcasestr(value, ".safetensors") != NULL ||
           strcasestr(value, ".csv") != NULL;
}

static loss_status open_file(struct eval *e, const char *path, const char *name, bool whole,
                             const struct tensor_file **out, struct loss_error *err)
{
    if (e->n_files == MAX_FILES) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "", "too many files");
    }
    struct tensor_file *f = &e->file[e->n_files];
    LOSS_TRY(tensor_file_open(f, path, name, whole ? LOSS_FLOAT64 : e->call.loss.dtype, err));
    e->n_files++;
    *out = f;
    return LOSS_OK;
}

static bool is_real(const struct loss_input *input)
{
    return input->domain != LOSS_CLASS_INDEX && input->domain != LOSS_WHOLE_NUMBER;
}

static loss_status open_input(struct eval *e, struct option *o, int i, struct loss_error *err)
{
    const struct loss_input *input = &e->call.loss.desc->inputs[i];
    struct loss_tensor *t = &e->call.loss.input[i];
    if (t->data != NULL) {
        return loss_fail(err, LOSS_DUPLICATE_FIELD, "", "%s is given twice, under two names", input->name);
    }
    o->used = true;
    LOSS_TRY(open_file(e, o->value, input->name, !is_real(input), &e->of_input[i], err));
    *t = e->of_input[i]->tensor;
    if (!e->has_dtype && is_real(input) && t->dtype == LOSS_FLOAT64) {
        e->call.loss.dtype = LOSS_FLOAT64;
    }
    return LOSS_OK;
}

static loss_status open_tensor(struct eval *e, struct option *o, struct loss_error *err)
{
    const struct loss_desc *desc = e->call.loss.desc;
    int input = loss_desc_input(desc, o->name), param = loss_desc_param(desc, o->name);
    const struct tensor_file *f = NULL;
    if (input >= 0) {
        return open_input(e, o, input, err);
    }
    if (strcmp(o->name, "weights") == 0 && is_file(o->value)) {
        o->used = true;
        LOSS_TRY(open_file(e, o->value, "weights", false, &e->of_weights, err));
        e->call.loss.weights = e->of_weights->tensor;
    } else if (param >= 0 && is_file(o->value)) {
        o->used = true;
        LOSS_TRY(open_file(e, o->value, o->name, false, &f, err));
        LOSS_TRY(loss_call_set_vector(&e->call.loss, param, &f->tensor, err));
    }
    return LOSS_OK;
}

/* CSV comes last: the others tell the dtype that its numbers are read as. */
static loss_status open_tensors(struct eval *e, struct loss_error *err)
{
    for (int csv = 0; csv < 2; csv++) {
        for (size_t i = 0; i < e->n_options; i++) {
            struct option *o = &e->option[i];
            if (!o->used && (strcasestr(o->value, ".csv") != NULL) == (csv == 1)) {
                LOSS_TRY(open_tensor(e, o, err));
            }
        }
    }
    return LOSS_OK;
}

/* "g.npy" or "labels=g.npy". */
static loss_status open_gradient(struct eval *e, const char *value, struct loss_error *err)
{
    const char *equals = strchr(value, '=');
    char name[64];
    if (equals == NULL) {
        call_want_gradients(&e->call);
    } else {
        snprintf(name, sizeof name, "%.*s", (int)(equals - value), value);
        LOSS_TRY(call_want_gradient(&e->call, name, "", err));
        value = equals + 1;
    }
    bool taken = false;
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        if (!(e->call.loss.gradients & (1u << i)) || e->gradient[i].file != NULL) {
            continue;
        }
        if (taken) {
            return loss_fail(err, LOSS_INVALID_PARAMETER, "", "%s has several main inputs: say --gradients INPUT=FILE",
                             e->call.loss.desc->name);
        }
        taken = true;
        LOSS_TRY(npy_writer_open(&e->gradient[i], value, err));
    }
    return taken ? LOSS_OK
                 : loss_fail(err, LOSS_INVALID_PARAMETER, "",
                             "this gradient cannot be written: there are those of inputs, each once");
}

static loss_status read_fields(struct eval *e, struct loss_error *err)
{
    for (size_t i = 0; i < e->n_options; i++) {
        const struct option *o = &e->option[i];
        if (o->used) {
            continue;
        }
        if (strcmp(o->name, "out") == 0) {
            LOSS_TRY(npy_writer_open(&e->losses, o->value, err));
        } else if (strcmp(o->name, "gradients") == 0) {
            LOSS_TRY(open_gradient(e, o->value, err));
        } else {
            LOSS_TRY(call_set_text(&e->call, o->name, o->value, e->arena, err));
        }
    }
    if (e->call.registry != NULL) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "", "a registry is a server's: there is none here");
    }
    return call_check(&e->call, err);
}

/* --- computing --- */

static void drop_rows(const struct tensor_file *f, const struct pieces *p, bool cut, size_t first, size_t n)
{
    if (f == NULL || f->tensor.count == 0) {
        return;
    }
    size_t row = cut ? f->tensor.count / p->n : f->tensor.count;
    tensor_file_drop(f, cut ? first * row : 0, cut ? n * row : row);
}

static void let_go(const struct eval *e, size_t first, size_t n)
{
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        drop_rows(e->of_input[i], &e->pieces, e->pieces.cut[i], first, n);
    }
    drop_rows(e->of_weights, &e->pieces, e->pieces.cut_weights, first, n);
}

/* Asked by a computation in one piece as it goes on: nothing is ever given up, but what was read is let go of. */
static bool let_go_now_and_then(void *arg)
{
    struct eval *e = arg;
    if (__atomic_add_fetch(&e->asked, 1, __ATOMIC_RELAXED) % LETTING_GO == 0) {
        let_go(e, 0, 1);
    }
    return false;
}

/* Which rows an index in the message counts from. */
static loss_status blame_piece(const struct eval *e, size_t first, const struct loss_error *inner,
                               struct loss_error *err)
{
    if (e->pieces.single || first == 0) {
        return loss_fail(err, inner->status, inner->pointer, "%s", inner->message);
    }
    return loss_fail(err, inner->status, inner->pointer, "in the rows from %zu on: %.900s", first, inner->message);
}

static loss_status keep_arrays(struct eval *e, const struct loss_answer *piece, struct loss_error *err)
{
    if (piece->losses.data != NULL) {
        LOSS_TRY(
            npy_writer_add(&e->losses, &piece->losses, e->pieces.single ? piece->losses.shape[0] : e->pieces.n, err));
    }
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        if (piece->gradient[i].data != NULL) {
            LOSS_TRY(npy_writer_add(&e->gradient[i], &piece->gradient[i], e->call.loss.input[i].shape[0], err));
        }
    }
    return LOSS_OK;
}

/* One pass over all pieces with what `ask` says; *found is their sum. */
static loss_status run_pass(struct eval *e, const struct loss_call *ask, size_t done, size_t all,
                            struct loss_answer *found, struct loss_error *err)
{
    struct pieces *p = &e->pieces;
    loss_status status = LOSS_OK;
    p->whole = ask;
    pieces_begin(found);
    for (size_t first = 0; first < p->n && status == LOSS_OK; first += p->rows) {
        size_t n = p->n - first < p->rows ? p->n - first : p->rows;
        struct loss_call call = pieces_at(p, first, n);
        struct loss_error inner = {.status = LOSS_OK};
        struct loss_answer piece;
        struct loss_arena *arena = loss_arena_new(SIZE_MAX, NULL);
        if (arena == NULL) {
            status = loss_no_memory(err, "this call");
            break;
        }
        status = loss_compute(&call, arena, &piece, &inner);
        if (status == LOSS_OK) {
            pieces_merge(found, &piece);
            status = keep_arrays(e, &piece, err);
        } else {
            (void)blame_piece(e, first, &inner, err);
        }
        loss_arena_free(arena);
        let_go(e, first, n);
        progress_draw(&e->progress, done + first + n, all);
    }
    p->whole = &e->call.loss;
    return status;
}

static loss_status compute(struct eval *e, struct loss_error *err)
{
    struct loss_call *call = &e->call.loss, ask = *call;
    struct loss_answer *found = &e->answer.loss, slopes;
    bool losses = e->losses.file != NULL, gradients = call->gradients != 0;
    pieces_init(&e->pieces, call, PIECE_BYTES);
    ask.want_losses = losses;
    ask.cancelled = e->pieces.single ? let_go_now_and_then : NULL;
    ask.cancelled_arg = e;
    ask.gradients = e->pieces.single ? call->gradients : 0;
    bool twice = gradients && !e->pieces.single;
    size_t all = e->pieces.n * (twice ? 2 : 1);
    LOSS_TRY(run_pass(e, &ask, 0, all, found, err));
    pieces_finish(&e->pieces, found);
    if (twice) {
        const struct loss_totals *totals = &found->totals;
        double divisor =
            loss_divisor_of(call->reduction, &found->weight_sum, totals->count, totals->nonzero_weights, found->batch);
        ask.want_losses = false;
        ask.gradients = call->gradients;
        ask.divisor = &divisor;
        LOSS_TRY(run_pass(e, &ask, e->pieces.n, all, &slopes, err));
    }
    return LOSS_OK;
}

static loss_status commit(struct eval *e, struct loss_error *err)
{
    if (e->losses.file != NULL) {
        LOSS_TRY(npy_writer_commit(&e->losses, err));
    }
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        if (e->gradient[i].file != NULL) {
            LOSS_TRY(npy_writer_commit(&e->gradient[i], err));
        }
    }
    return LOSS_OK;
}

/* --- printing --- */

static loss_status print_json(struct eval *e, struct loss_error *err)
{
    e->call.loss.want_losses = false;
    e->call.loss.gradients = 0;
    e->answer.loss.nonfinite = 0; /* it counts what is printed */
    struct json_encoder *encoder = json_encoder_new(e->arena, &e->call, &e->answer, false);
    char buf[4096];
    size_t n;
    const char *whole = encoder == NULL ? NULL : json_encoder_whole(encoder, &n);
    if (encoder == NULL) {
        return loss_no_memory(err, "this call");
    }
    if (whole != NULL) {
        fwrite(whole, 1, n, stdout);
    }
    while (whole == NULL && (n = json_encoder_more(encoder, buf, sizeof buf)) > 0) {
        fwrite(buf, 1, n, stdout);
    }
    putchar('\n');
    return LOSS_OK;
}

static void print_text(const struct eval *e)
{
    const struct loss_answer *a = &e->answer.loss;
    const struct {
        const char *name;
        double value;
    } lines[] = {{"sum", a->totals.sum},
                 {"mean", a->totals.mean},
                 {"sum_over_batch_size", a->totals.sum_over_batch_size},
                 {"sum_by_nonzero_weights", a->totals.sum_by_nonzero_weights},
                 {"batchmean", a->totals.batchmean},
                 {"weight_sum", a->totals.weight_sum}};
    char text[CALL_NUMBER];
    if (a->has_loss) {
        printf("%-24s %.9g  (%s of %s)\n", "loss", a->loss, loss_reduction_name(e->call.loss.reduction),
               e->call.loss.desc->name);
    }
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        printf("%-24s %s\n", lines[i].name, call_number(lines[i].value, text));
    }
    printf("%-24s %llu\n%-24s %llu\n", "count", (unsigned long long)a->totals.count, "nonzero_weights",
           (unsigned long long)a->totals.nonzero_weights);
}

static void close_all(struct eval *e)
{
    npy_writer_close(&e->losses);
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        npy_writer_close(&e->gradient[i]);
    }
    for (size_t i = 0; i < e->n_files; i++) {
        tensor_file_close(&e->file[i]);
    }
    loss_arena_free(e->arena);
}

static loss_status prepare(struct eval *e, int argc, char **argv, struct loss_error *err)
{
    LOSS_TRY(read_options(e, argc, argv, err));
    LOSS_TRY(read_dtype(e, err));
    LOSS_TRY(open_tensors(e, err));
    return read_fields(e, err);
}

static loss_status evaluate(struct eval *e, struct loss_error *err)
{
    loss_status status = compute(e, err);
    progress_clear(&e->progress);
    LOSS_TRY(status);
    LOSS_TRY(commit(e, err));
    if (e->json) {
        return print_json(e, err);
    }
    print_text(e);
    return LOSS_OK;
}

/* Is it the call that is wrong, or what is in the files? */
static int exit_status(loss_status status)
{
    bool usage_error = status == LOSS_INVALID_PARAMETER || status == LOSS_UNKNOWN_FIELD ||
                       status == LOSS_DUPLICATE_FIELD || status == LOSS_MISSING_FIELD || status == LOSS_UNKNOWN_LOSS;
    return status == LOSS_OK ? 0 : usage_error ? 2 : 1;
}

int cmd_eval(int argc, char **argv)
{
    static struct eval e; /* large, and there is one */
    struct loss_error err = {.status = LOSS_OK};
    const struct loss_alias *alias = NULL;
    bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (argc < 2 || help) {
        usage(help ? stdout : stderr);
        return help ? 0 : 2;
    }
    const struct loss_desc *desc = loss_catalog_find(argv[1], &alias);
    if (desc == NULL) {
        fprintf(stderr, "lossd: there is no loss \"%s\" (lossd losses lists them all)\n", argv[1]);
        return 2;
    }
    e.arena = loss_arena_new(SIZE_MAX, NULL);
    if (e.arena == NULL) {
        fprintf(stderr, "lossd: no memory\n");
        return 1;
    }
    loss_pool_keep(4 * PIECE_BYTES);
    call_init(&e.call, desc, alias);
    progress_init(&e.progress);
    loss_status status = prepare(&e, argc, argv, &err);
    if (status == LOSS_OK) {
        status = evaluate(&e, &err);
    }
    if (status != LOSS_OK) {
        fprintf(stderr, "lossd eval: %s%s%s\n", err.pointer, err.pointer[0] != '\0' ? ": " : "", err.message);
    }
    close_all(&e);
    return status == LOSS_OK && fflush(stdout) != 0 ? 1 : exit_status(status);
}
