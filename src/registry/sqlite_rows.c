/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_rows.c - entries as rows of the SQLite store: columns to an entry, and its values to what is bound.
 */
#include <registry/sqlite_base.h>

#include <string.h>

loss_status sqlite_blob(const struct registry_tally *t, struct loss_arena *arena, struct blob *blob,
                        struct loss_error *err)
{
    *blob = (struct blob){0};
    if (t == NULL) {
        return LOSS_OK;
    }
    blob->n = tally_bytes(t);
    blob->bytes = loss_arena_alloc(arena, blob->n, 1);
    if (blob->bytes == NULL) {
        return store_fail_memory(err);
    }
    tally_store(t, blob->bytes);
    return LOSS_OK;
}

int64_t sqlite_bits(double v)
{
    int64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static double double_of(int64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* The row's tally, or NULL. */
static loss_status read_tally(struct sqlite_store *s, sqlite3_stmt *q, int column, const struct registry_tally **tally,
                              struct loss_error *err)
{
    *tally = NULL;
    if (sqlite3_column_type(q, column) == SQLITE_NULL) {
        return LOSS_OK;
    }
    const unsigned char *bytes = sqlite3_column_blob(q, column);
    if (bytes == NULL) {
        return store_fail_memory(err);
    }
    if (tally_load(&s->tally, bytes, (size_t)sqlite3_column_bytes(q, column)) != 0) {
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "the store's file has sums that lossd did not write");
    }
    *tally = &s->tally;
    return LOSS_OK;
}

/* The row's entry; its strings and tally live until the next step. */
static loss_status read_entry(struct sqlite_store *s, sqlite3_stmt *q, struct registry_entry *e, struct loss_error *err)
{
    bool short_of_memory = false;
    int64_t merged_at = sqlite3_column_int64(q, 9);
    *e = (struct registry_entry){.order = (uint64_t)sqlite3_column_int64(q, 0),
                                 .step = sqlite3_column_int64(q, 1),
                                 .name = sqlite_text(q, 2, &short_of_memory),
                                 .collection = sqlite_text(q, 3, &short_of_memory),
                                 .loss = double_of(sqlite3_column_int64(q, 4)),
                                 .dtype = sqlite_text(q, 5, &short_of_memory),
                                 .reduction = sqlite_text(q, 6, &short_of_memory),
                                 .added_at = sqlite3_column_int64(q, 7)};
    e->updated_at = merged_at != 0 ? merged_at : e->added_at;
    return short_of_memory ? store_fail_memory(err) : read_tally(s, q, 8, &e->tally, err);
}

loss_status sqlite_next_entry(struct sqlite_store *s, sqlite3_stmt *q, bool *row, struct registry_entry *e,
                              struct loss_error *err)
{
    LOSS_TRY(sqlite_next_row(s, q, row, err));
    return *row ? read_entry(s, q, e, err) : LOSS_OK;
}
