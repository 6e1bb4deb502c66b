/* SPDX-License-Identifier: Apache-2.0
 *
 * npy_writer.c - a head, and bytes behind it.
 */
#include <files/npy_writer.h>

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <files/npy.h>

static loss_status cannot_write(const struct npy_writer *w, struct loss_error *err)
{
    return loss_fail(err, LOSS_INVALID_PARAMETER, "", "%.200s cannot be written: %s", w->path, strerror(errno));
}

loss_status npy_writer_open(struct npy_writer *w, const char *path, struct loss_error *err)
{
    const char *ending = strrchr(path, '.');
    *w = (struct npy_writer){.path = path};
    if (ending == NULL || strcasecmp(ending, ".npy") != 0) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "", "%.200s must end in .npy, which is what is written", path);
    }
    int n = snprintf(w->part, sizeof w->part, "%s.part", path);
    if (n < 0 || (size_t)n >= sizeof w->part) {
        errno = ENAMETOOLONG;
        return cannot_write(w, err);
    }
    w->file = fopen(w->part, "we");
    return w->file != NULL ? LOSS_OK : cannot_write(w, err);
}

loss_status npy_writer_add(struct npy_writer *w, const struct loss_tensor *piece, size_t rows, struct loss_error *err)
{
    if (!w->begun) {
        struct loss_tensor whole = *piece;
        char head[NPY_HEAD_MAX];
        if (whole.rank > 0) {
            whole.shape[0] = rows;
        }
        size_t n = npy_head(whole.dtype, whole.rank, whole.shape, head);
        if (fwrite(head, 1, n, w->file) != n) {
            return cannot_write(w, err);
        }
        w->begun = true;
    }
    size_t size = piece->count * loss_dtype_size(piece->dtype);
    return fwrite(piece->data, 1, size, w->file) == size ? LOSS_OK : cannot_write(w, err);
}

loss_status npy_writer_commit(struct npy_writer *w, struct loss_error *err)
{
    int failed = fclose(w->file);
    w->file = NULL;
    if (failed != 0 || rename(w->part, w->path) != 0) {
        (void)cannot_write(w, err);
        unlink(w->part);
        return LOSS_INVALID_PARAMETER;
    }
    return LOSS_OK;
}

void npy_writer_close(struct npy_writer *w)
{
    if (w->file != NULL) {
        fclose(w->file);
        unlink(w->part);
        w->file = NULL;
    }
}
