/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <string.h>

#include <loss/tensor.h>
#include <server/formats/json_result.h>
#include <text/json_write.h>
#include <text/number.h>
#include <text/time_text.h>

/* A number as it was printed last: totals by several divisors are mostly the same. */
struct printed {
    uint64_t bits;
    size_t size;
    char text[NUMBER_PRINT_MAX];
};

static void write_total(struct json_out *o, double v, struct printed *last)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (last->size == 0 || last->bits != bits) {
        last->bits = bits;
        last->size = json_number_f64(last->text, v, o->literal);
    }
    json_out_raw(o, last->text, last->size);
}

void json_write_totals(struct json_out *o, const struct loss_totals *totals)
{
    struct printed last;
    last.size = 0;
    JSON_OUT_KEY(o, "totals");
    json_out_open(o, '{');
    JSON_OUT_KEY(o, "sum");
    write_total(o, totals->sum, &last);
    JSON_OUT_KEY(o, "mean");
    write_total(o, totals->mean, &last);
    JSON_OUT_KEY(o, "sum_over_batch_size");
    write_total(o, totals->sum_over_batch_size, &last);
    JSON_OUT_KEY(o, "sum_by_nonzero_weights");
    write_total(o, totals->sum_by_nonzero_weights, &last);
    JSON_OUT_KEY(o, "batchmean");
    write_total(o, totals->batchmean, &last);
    JSON_OUT_KEY(o, "weight_sum");
    write_total(o, totals->weight_sum, &last);
    JSON_OUT_KEY(o, "count");
    json_out_u64(o, totals->count);
    JSON_OUT_KEY(o, "nonzero_weights");
    json_out_u64(o, totals->nonzero_weights);
    json_out_close(o, '}');
}

static void write_time(struct json_out *o, int64_t microseconds)
{
    char text[TIME_TEXT_SIZE];
    time_text_write(text, microseconds);
    json_out_string(o, text);
}

/* null where there is none. */
static void write_word(struct json_out *o, const char *key, const char *word)
{
    json_out_key(o, key);
    if (word[0] != '\0') {
        json_out_string(o, word);
    } else {
        json_out_null(o);
    }
}

void json_write_entry(struct json_out *o, const struct registry_entry *e)
{
    json_out_open(o, '{');
    json_out_key(o, "name");
    json_out_string(o, e->name);
    json_out_key(o, "loss");
    if (strcmp(e->dtype, loss_dtype_name(LOSS_FLOAT32)) == 0) {
        json_out_f32(o, (float)e->loss);
    } else {
        json_out_f64(o, e->loss);
    }
    json_out_key(o, "step");
    json_out_u64(o, (uint64_t)e->step);
    json_out_key(o, "collection");
    json_out_string(o, e->collection);
    write_word(o, "dtype", e->dtype);
    write_word(o, "reduction", e->reduction);
    json_out_key(o, "added_at");
    write_time(o, e->added_at);
    if (e->tally != NULL) {
        struct loss_totals totals;
        tally_totals(e->tally, &totals);
        json_out_key(o, "updated_at");
        write_time(o, e->updated_at);
        json_out_key(o, "batches");
        json_out_u64(o, e->tally->batches);
        json_write_totals(o, &totals);
    }
    json_out_close(o, '}');
}

void json_write_registry(struct json_out *o, const struct registry_info *info)
{
    json_out_open(o, '{');
    json_out_key(o, "registry");
    json_out_string(o, info->registry);
    json_out_key(o, "entries");
    json_out_u64(o, info->entries);
    json_out_key(o, "steps");
    json_out_u64(o, info->steps);
    json_out_key(o, "latest_step");
    if (info->latest_step < 0) {
        json_out_null(o);
    } else {
        json_out_u64(o, (uint64_t)info->latest_step);
    }
    json_out_key(o, "updated_at");
    write_time(o, info->updated_at);
    if (info->ttl_seconds > 0) {
        json_out_key(o, "ttl");
        json_out_u64(o, (uint64_t)info->ttl_seconds);
    }
    json_out_close(o, '}');
}
