/* SPDX-License-Identifier: Apache-2.0
 *
 * oip_describe.c - the server and its models, as the Open Inference Protocol describes them.
 */
#include <server/formats/oip.h>

#include <stdio.h>

#include <loss/loss.h>
#include <server/routes/catalog_json.h>

static void write_text(struct json_out *o, const char *key, const char *text)
{
    json_out_key(o, key);
    json_out_string(o, text);
}

void oip_write_server(struct json_out *o)
{
    json_out_open(o, '{');
    write_text(o, "name", "lossd");
    write_text(o, "version", loss_version());
    json_out_key(o, "extensions");
    json_out_open(o, '[');
    json_out_string(o, "binary_tensor_data");
    json_out_string(o, "model_repository");
    json_out_string(o, "statistics");
    json_out_close(o, ']');
    json_out_close(o, '}');
}

/* {"name": "prefix" "name", "datatype": .., "shape": [-1, -1]}; `fixed`: the shape is [1]. */
static void write_tensor(struct json_out *o, const char *prefix, const char *name, loss_dtype dtype, int rank,
                         bool fixed)
{
    char full[128];

    snprintf(full, sizeof full, "%s%s", prefix, name);
    json_out_open(o, '{');
    write_text(o, "name", full);
    write_text(o, "datatype", oip_datatype_name(dtype));
    json_out_key(o, "shape");
    json_out_open(o, '[');
    for (int k = 0; k < rank; k++) {
        if (fixed) {
            json_out_u64(o, 1);
        } else {
            json_out_raw(o, "-1", 2);
        }
    }
    json_out_close(o, ']');
    json_out_close(o, '}');
}

/* The protocol has no open rank: the least one that a loss takes is told. */
static int least_rank(const struct loss_desc *desc)
{
    if (desc->rank > 0) {
        return desc->rank;
    }
    return desc->kind == LOSS_ROWWISE || desc->kind == LOSS_SAMPLEWISE ? 2 : 1;
}

static void write_inputs(struct json_out *o, const struct loss_desc *desc)
{
    json_out_key(o, "inputs");
    json_out_open(o, '[');
    for (const struct loss_input *input = desc->inputs; input->name != NULL; input++) {
        bool whole = input->domain == LOSS_CLASS_INDEX || input->domain == LOSS_WHOLE_NUMBER;
        int rank = least_rank(desc) - (input->extent == LOSS_LEAD ? 1 : 0);
        write_tensor(o, "", input->name, whole ? LOSS_INT64 : LOSS_FLOAT32, rank, false);
    }
    write_tensor(o, "", "weights", LOSS_FLOAT32, 1, false);
    for (const struct loss_param *param = desc->params; param->name != NULL; param++) {
        if (param->type == LOSS_VECTOR || param->type == LOSS_NUMBER_OR_VECTOR) {
            write_tensor(o, "", param->name, LOSS_FLOAT32, 1, false);
        }
    }
    json_out_close(o, ']');
}

static void write_outputs(struct json_out *o, const struct loss_desc *desc)
{
    json_out_key(o, "outputs");
    json_out_open(o, '[');
    write_tensor(o, "", "loss", LOSS_FLOAT32, 1, true);
    write_tensor(o, "", "losses", LOSS_FLOAT32, desc->kind == LOSS_WHOLE ? 0 : desc->keeps_axis ? 2 : 1, false);
    for (size_t i = 0; i < n_oip_totals; i++) {
        write_tensor(o, "", oip_totals[i].name, LOSS_FLOAT64, 1, true);
    }
    for (const struct loss_input *input = desc->inputs; input->name != NULL; input++) {
        if (input->differentiable) {
            int rank = least_rank(desc) - (input->extent == LOSS_LEAD ? 1 : 0);
            write_tensor(o, "gradients.", input->name, LOSS_FLOAT32, rank, false);
        }
    }
    write_tensor(o, "gradients.", "weights", LOSS_FLOAT32, 1, false);
    json_out_close(o, ']');
}

void oip_write_model(struct json_out *o, const struct loss_desc *desc, const char *name)
{
    json_out_open(o, '{');
    write_text(o, "name", name);
    json_out_key(o, "versions");
    json_out_open(o, '[');
    json_out_string(o, OIP_VERSION);
    json_out_close(o, ']');
    write_text(o, "platform", "lossd_loss");
    write_inputs(o, desc);
    write_outputs(o, desc);
    json_out_key(o, "properties");
    json_out_open(o, '{');
    write_text(o, "summary", desc->summary);
    write_text(o, "kind", catalog_kind_name(desc->kind));
    write_text(o, "default_reduction", loss_reduction_name(desc->reduction));
    json_out_close(o, '}');
    json_out_close(o, '}');
}

void oip_write_index(struct json_out *o)
{
    json_out_open(o, '[');
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        json_out_open(o, '{');
        write_text(o, "name", loss_catalog_at(i)->name);
        write_text(o, "version", OIP_VERSION);
        write_text(o, "state", "READY");
        write_text(o, "reason", "");
        json_out_close(o, '}');
    }
    json_out_close(o, ']');
}

/* {"count": .., "ns": ..} */
static void write_duration(struct json_out *o, const char *key, uint64_t count, uint64_t us)
{
    json_out_key(o, key);
    json_out_open(o, '{');
    json_out_key(o, "count");
    json_out_u64(o, count);
    json_out_key(o, "ns");
    json_out_u64(o, us * 1000);
    json_out_close(o, '}');
}

/* The members are Triton's; there is no batching across requests and no cache, and waiting in the queue is part of
 * no phase. */
static void write_model_stats(struct json_out *o, const char *name, const struct metrics_loss *stats)
{
    json_out_open(o, '{');
    write_text(o, "name", name);
    write_text(o, "version", OIP_VERSION);
    json_out_key(o, "last_inference");
    json_out_u64(o, stats->last_ms);
    json_out_key(o, "inference_count");
    json_out_u64(o, stats->successes);
    json_out_key(o, "execution_count");
    json_out_u64(o, stats->successes);
    json_out_key(o, "inference_stats");
    json_out_open(o, '{');
    write_duration(o, "success", stats->successes, stats->success_us);
    write_duration(o, "fail", stats->failures, stats->failure_us);
    write_duration(o, "queue", 0, 0);
    write_duration(o, "compute_input", stats->successes, stats->decode_us);
    write_duration(o, "compute_infer", stats->successes, stats->compute_us);
    write_duration(o, "compute_output", stats->successes, stats->encode_us);
    write_duration(o, "cache_hit", 0, 0);
    write_duration(o, "cache_miss", 0, 0);
    json_out_close(o, '}');
    json_out_key(o, "batch_stats");
    json_out_open(o, '[');
    json_out_close(o, ']');
    json_out_close(o, '}');
}

void oip_write_stats(struct json_out *o, const struct metrics *metrics, const struct loss_desc *desc, const char *name)
{
    json_out_open(o, '{');
    json_out_key(o, "model_stats");
    json_out_open(o, '[');
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        const struct loss_desc *each = loss_catalog_at(i);
        struct metrics_loss stats;
        if (desc == NULL || desc == each) {
            metrics_of_loss(metrics, i, &stats);
            write_model_stats(o, desc == NULL ? each->name : name, &stats);
        }
    }
    json_out_close(o, ']');
    json_out_close(o, '}');
}
