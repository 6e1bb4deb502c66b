/* SPDX-License-Identifier: Apache-2.0
 *
 * tensor_file.c - mapping files, and letting go of what was read.
 */
#include <files/tensor_file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <files/csv.h>
#include <files/npy.h>
#include <files/safetensors.h>

#define MAX_HEADER ((size_t)16 << 20)

/* What a path means: the file, and a name within it. */
struct place {
    char path[4096];
    const char *name;  /* NULL: none was told */
    const char *shown; /* as the caller wrote it */
};

static loss_status place_of(const char *path, struct place *out, struct loss_error *err)
{
    *out = (struct place){.shown = path};
    if (strlen(path) >= sizeof out->path) {
        return loss_fail(err, LOSS_NOT_FOUND, "", "a path is too long");
    }
    memcpy(out->path, path, strlen(path) + 1);
    char *colon = strrchr(out->path, ':');
    if (colon != NULL && strchr(colon, '/') == NULL && access(path, F_OK) != 0) {
        *colon = '\0';
        out->name = colon + 1;
    }
    return LOSS_OK;
}

/* Say which file the failure is about. */
static loss_status blame(const struct place *p, const struct loss_error *inner, struct loss_error *err)
{
    return loss_fail(err, inner->status, "", "%.200s: %.700s", p->shown, inner->message);
}

static bool map(struct tensor_file *f, int fd)
{
    struct stat found;
    if (fstat(fd, &found) != 0) {
        return false;
    }
    f->size = (size_t)found.st_size;
    if (f->size == 0) {
        return true;
    }
    void *at = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) {
        return false;
    }
    f->map = at;
    (void)madvise(at, f->size, MADV_SEQUENTIAL);
    return true;
}

static loss_status open_npy(struct tensor_file *f, struct loss_error *err)
{
    size_t data;
    LOSS_TRY(npy_read(f->map == NULL ? "" : f->map, f->size, &f->tensor, &data, err));
    f->tensor.data = (char *)f->map + data;
    return LOSS_OK;
}

static const struct safetensors_entry *find(const struct safetensors_header *h, const char *name)
{
    for (size_t i = 0; i < h->n; i++) {
        if (strcmp(h->entry[i].name, name) == 0) {
            return &h->entry[i];
        }
    }
    return NULL;
}

static loss_status pick_entry(struct tensor_file *f, struct loss_arena *arena, const char *name, struct loss_error *err)
{
    const char *bytes = f->map;
    size_t length;
    struct safetensors_header header;
    if (f->size < SAFETENSORS_PREFIX) {
        return loss_fail(err, LOSS_MALFORMED_ENCODING, "", "not a safetensors file: it is too short");
    }
    LOSS_TRY(safetensors_length(f->map, MAX_HEADER, &length, err));
    size_t begin = SAFETENSORS_PREFIX + length;
    if (begin > f->size) {
        return loss_fail(err, LOSS_MALFORMED_ENCODING, "", "the safetensors header is cut");
    }
    LOSS_TRY(safetensors_read(arena, bytes + SAFETENSORS_PREFIX, length, &header, err));
    if (header.data_size != f->size - begin) {
        return loss_fail(err, LOSS_MALFORMED_ENCODING, "", "its tensors need %zu bytes of data, it has %zu",
                         header.data_size, f->size - begin);
    }
    const struct safetensors_entry *e = find(&header, name);
    if (e == NULL) {
        return loss_fail(err, LOSS_NOT_FOUND, "", "there is no tensor \"%.80s\" in it", name);
    }
    if (begin % loss_dtype_size(e->tensor.dtype) != 0) {
        return loss_fail(err, LOSS_MALFORMED_ENCODING, "", "its data begins at byte %zu, which is not aligned", begin);
    }
    f->tensor = e->tensor;
    f->tensor.data = (char *)f->map + begin + e->begin;
    return LOSS_OK;
}

static loss_status open_safetensors(struct tensor_file *f, const char *name, struct loss_error *err)
{
    struct loss_arena *arena = loss_arena_new(SIZE_MAX, NULL);
    if (arena == NULL) {
        return loss_no_memory(err, "this call");
    }
    loss_status status = pick_entry(f, arena, name, err);
    loss_arena_free(arena);
    return status;
}

static loss_status open_csv(struct tensor_file *f, const struct place *p, loss_dtype dtype, struct loss_error *err)
{
    static const double nothing;
    loss_status status = LOSS_OK;
    FILE *in = fopen(p->path, "re"), *numbers = tmpfile();
    if (in == NULL || numbers == NULL) {
        status = loss_fail(err, in == NULL ? LOSS_NOT_FOUND : LOSS_OVERLOADED, "", "%s", strerror(errno));
        goto out;
    }
    status = csv_convert(in, p->name, dtype, numbers, &f->tensor, err);
    if (status == LOSS_OK && (fflush(numbers) != 0 || !map(f, fileno(numbers)))) {
        status = loss_fail(err, LOSS_OVERLOADED, "", "a temporary file cannot be used: %s", strerror(errno));
    }
    f->tensor.data = f->map == NULL ? (void *)(uintptr_t)&nothing : f->map;
out:
    if (numbers != NULL) {
        fclose(numbers);
    }
    if (in != NULL) {
        fclose(in);
    }
    return status;
}

static loss_status open_mapped(struct tensor_file *f, const struct place *p, const char *name, struct loss_error *err)
{
    int fd = open(p->path, O_RDONLY | O_CLOEXEC);
    bool mapped = fd >= 0 && map(f, fd);
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (!mapped) {
        return loss_fail(err, LOSS_NOT_FOUND, "", "%s", strerror(why));
    }
    const char *ending = strrchr(p->path, '.');
    return strcasecmp(ending, ".npy") == 0 ? open_npy(f, err)
                                           : open_safetensors(f, p->name != NULL ? p->name : name, err);
}

loss_status tensor_file_open(struct tensor_file *f, const char *path, const char *name, loss_dtype csv_dtype,
                             struct loss_error *err)
{
    struct place p;
    struct loss_error inner = {.status = LOSS_OK};
    loss_status status;
    *f = (struct tensor_file){0};
    LOSS_TRY(place_of(path, &p, err));
    const char *ending = strrchr(p.path, '.');
    if (ending != NULL && strcasecmp(ending, ".csv") == 0) {
        status = open_csv(f, &p, csv_dtype, &inner);
    } else if (ending != NULL && (strcasecmp(ending, ".npy") == 0 || strcasecmp(ending, ".safetensors") == 0)) {
        status = open_mapped(f, &p, name, &inner);
    } else {
        status = loss_fail(&inner, LOSS_UNSUPPORTED_MEDIA, "", "its name must end in .npy, .safetensors or .csv");
    }
    if (status != LOSS_OK) {
        tensor_file_close(f);
        return blame(&p, &inner, err);
    }
    return LOSS_OK;
}

void tensor_file_drop(const struct tensor_file *f, size_t first, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), number = loss_dtype_size(f->tensor.dtype);
    if (f->map == NULL || n == 0) {
        return;
    }
    size_t data = (size_t)((char *)f->tensor.data - (char *)f->map);
    size_t begin = (data + first * number) / page * page;
    size_t end = data + (first + n) * number;
    (void)madvise((char *)f->map + begin, end - begin,
                  MADV_DONTNEED); /* what is shared with a neighbour is read again */
}

void tensor_file_close(struct tensor_file *f)
{
    if (f->map != NULL) {
        munmap(f->map, f->size);
    }
    *f = (struct tensor_file){0};
}
