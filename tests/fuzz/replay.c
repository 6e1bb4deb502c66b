/* SPDX-License-Identifier: Apache-2.0
 *
 * replay.c - a fuzz target as an ordinary program: `fuzz_x FILE-OR-FOLDER...` runs it once on each file, a folder's
 * in the order of their names. A fault aborts as it does under the fuzzer.
 */
#include "fuzz/replay.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#ifdef LOSSD_FUZZ_REPLAY

static bool replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    bool done = false;
    long size;
    if (!file || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0)
        goto out;
    rewind(file);
    data = malloc(size > 0 ? (size_t)size : 1); /* no byte more: a sanitizer shall see the first read too many */
    if (!data || fread(data, 1, (size_t)size, file) != (size_t)size)
        goto out;
    LLVMFuzzerTestOneInput(data, (size_t)size);
    done = true;
out:
    if (!done)
        perror(path);
    free(data);
    if (file)
        fclose(file);
    return done;
}

static bool replay(const char *path, size_t *files)
{
    struct stat about;
    if (stat(path, &about) != 0) {
        perror(path);
        return false;
    }
    if (!S_ISDIR(about.st_mode)) {
        ++*files;
        return replay_file(path);
    }
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort);
    bool done = n >= 0;
    for (int i = 0; i < n; i++) {
        char inner[PATH_MAX];
        if (names[i]->d_name[0] != '.') {
            int length = snprintf(inner, sizeof inner, "%s/%s", path, names[i]->d_name);
            done &= length < (int)sizeof inner && replay(inner, files);
        }
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return done;
}

int main(int argc, char **argv)
{
    size_t files = 0;
    bool done = argc > 1;
    for (int i = 1; i < argc; i++)
        done &= replay(argv[i], &files);
    printf("%zu files replayed\n", files);
    return done ? 0 : 1;
}

#else
typedef int replay_is_not_built; /* the fuzzer brings a main of its own */
#endif
