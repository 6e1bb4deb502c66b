/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog.c - the table of losses, and finding one by name.
 */
#include <assert.h>
#include <string.h>

#include "bind.h"
#include "isa.h"
#include "nearest.h"

#define LOSS(name)                                                                                                     \
    extern const struct loss_desc loss__##name;                                                                        \
    extern const struct loss__kernels loss__kernels_##name##_baseline, loss__kernels_##name##_v3,                      \
        loss__kernels_##name##_v4;
#include "catalog.def"
#undef LOSS

static const struct loss_desc *const descriptors[] = {
#define LOSS(name) &loss__##name,
#include "catalog.def"
#undef LOSS
};

static const struct loss__kernels *const kernels[][LOSS__ISA_COUNT] = {
#define LOSS(name) LOSS__ISA_TABLE(loss__kernels_##name),
#include "catalog.def"
#undef LOSS
};

enum { N_LOSSES = sizeof descriptors / sizeof *descriptors };

size_t loss_catalog_count(void)
{
    return N_LOSSES;
}

const struct loss_desc *loss_catalog_at(size_t i)
{
    assert(i < N_LOSSES);
    return descriptors[i];
}

/* The position of a canonical name, or N_LOSSES. */
static size_t position(const char *name)
{
    size_t low = 0, high = N_LOSSES;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = descriptors[middle]->name;
        int order = (unsigned char)name[0] - (unsigned char)other[0]; /* mostly tells */
        order = order == 0 ? strcmp(name, other) : order;
        if (order == 0) {
            return middle;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return N_LOSSES;
}

size_t loss_catalog_index(const struct loss_desc *desc)
{
    size_t i = position(desc->name);
    assert(i < N_LOSSES && descriptors[i] == desc);
    return i;
}

const struct loss__kernels *loss__catalog_kernels(const struct loss_desc *desc)
{
    return kernels[loss_catalog_index(desc)][loss__isa_index()];
}

const struct loss_desc *loss_catalog_find(const char *name, const struct loss_alias **alias)
{
    if (alias != NULL) {
        *alias = NULL;
    }
    size_t i = position(name);
    if (i < N_LOSSES) {
        return descriptors[i];
    }
    /* Aliases are few, and a loss is looked up once a call: they are walked, not indexed. */
    for (i = 0; i < N_LOSSES; i++) {
        for (const struct loss_alias *a = descriptors[i]->aliases; a != NULL && a->name != NULL; a++) {
            if (strcmp(a->name, name) != 0) {
                continue;
            }
            if (alias != NULL) {
                *alias = a;
            }
            return descriptors[i];
        }
    }
    return NULL;
}

size_t loss_catalog_nearest(const char *name, const char **nearest, size_t max)
{
    struct loss__nearest found = {.word = name, .best = nearest, .max = max};
    for (size_t i = 0; i < N_LOSSES; i++) {
        loss__nearest_offer(&found, descriptors[i]->name);
        for (const struct loss_alias *a = descriptors[i]->aliases; a != NULL && a->name != NULL; a++) {
            loss__nearest_offer(&found, a->name);
        }
    }
    return found.n;
}

static bool named(const char *word, const char *name, const char *const *aliases)
{
    if (strcmp(word, name) == 0) {
        return true;
    }
    for (; aliases != NULL && *aliases != NULL; aliases++) {
        if (strcmp(word, *aliases) == 0) {
            return true;
        }
    }
    return false;
}

int loss_desc_input(const struct loss_desc *desc, const char *name)
{
    for (int i = 0; desc->inputs[i].name != NULL; i++) {
        if (named(name, desc->inputs[i].name, desc->inputs[i].aliases)) {
            return i;
        }
    }
    return -1;
}

int loss_desc_param(const struct loss_desc *desc, const char *name)
{
    for (int i = 0; desc->params[i].name != NULL; i++) {
        if (named(name, desc->params[i].name, desc->params[i].aliases)) {
            return i;
        }
    }
    return -1;
}
