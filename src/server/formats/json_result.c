/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <loss/tensor.h>
#include <server/formats/json_result.h>
#include <text/time_text.h>

void json_write_totals(struct json_out *o, const struct loss_totals *totals)
{
    json_out_key(o, "totals");
    json_out_open(o, '{');
    json_out_key(o, "sum");
    json_out_f64(o, totals->sum);
    json_out_key(o, "mean");
    json_out_f64(o, totals->mean);
    json_out_key(o, "sum_over_batch_size");
    json_out_f64(o, totals->sum_over_batch_size);
    json_out_key(o, "sum_by_nonzero_weights");
    json_out_f64(o, totals->sum_by_nonzero_weights);
    json_out_key(o, "batchmean");
    json_out_f64(o, totals->batchmean);
    json_out_key(o, "weight_sum");
    json_out_f64(o, totals->weight_sum);
    json_out_key(o, "count");
    json_out_u64(o, totals->count);
    json_out_key(o, "nonzero_weights");
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
