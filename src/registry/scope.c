/* SPDX-License-Identifier: Apache-2.0
 *
 * scope.c - scopes by PCRE2, with limits that hold for the whole call.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <ctype.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <registry/registry.h>
#include <registry/scope.h>

/* PCRE2 does not tell how many steps a match took, only whether it stayed within a limit. So each name is tried with
 * limits that double, and all that were tried count. Each name may take steps by its length; what is beyond comes out
 * of a store for the whole call. A step takes 10 to 100 ns: that is some microseconds a name, as a list of any length
 * must have, and at most 10 ms beyond. It is counted in steps, not in time, so that the same call has the same answer
 * on every machine. */
#define STEPS_FIRST 64
#define STEPS_OF_NAME(bytes) (100 + 4 * (int64_t)(bytes))
#define STEPS_BEYOND 100000
#define DEPTH_MOST 20000
#define HEAP_MOST_KIB 4096

#define VALUE_SUFFIX "/value:0"

struct scope {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    int64_t beyond; /* steps that are left for names that need more than their own */
};

/* An expression as PCRE2 shall see it, and where its bytes were before: Python reads {,n} as {0,n}, PCRE2 as text. */
struct translation {
    char text[2 * SCOPE_MAX + 1];
    size_t size;
    size_t origin[2 * SCOPE_MAX + 1];
};

static bool is_open_range(const char *s)
{
    return s[0] == '{' && s[1] == ',' && s[2 + strspn(s + 2, "0123456789")] == '}';
}

static void append(struct translation *t, char c, size_t origin)
{
    t->text[t->size] = c;
    t->origin[t->size] = origin;
    t->size++;
}

/* False, with *odd set to its place, at one of PCRE2's verbs (they may switch off what we rely on) or \Q (behind which
 * one could hide). Python has neither. */
static bool translate(const char *expression, struct translation *t, size_t *odd)
{
    size_t class_start = 0; /* first byte in [..] at which ] would end it; 0: outside */
    t->size = 0;
    for (size_t i = 0; expression[i] != '\0'; i++) {
        char c = expression[i];
        if ((c == '(' && expression[i + 1] == '*' && class_start == 0) || (c == '\\' && expression[i + 1] == 'Q')) {
            *odd = i;
            return false;
        }
        if (c == '\\' && expression[i + 1] != '\0') {
            append(t, c, i);
            i++;
        } else if (class_start != 0) {
            class_start = c == ']' && i >= class_start ? 0 : class_start;
        } else if (c == '[') {
            class_start = expression[i + 1] == '^' ? i + 3 : i + 2;
        } else if (c == '{' && is_open_range(expression + i)) {
            append(t, c, i);
            append(t, '0', i);
            continue;
        }
        append(t, expression[i], i);
    }
    t->text[t->size] = '\0';
    t->origin[t->size] = strlen(expression);
    return true;
}

static loss_status compile(struct scope *s, const struct translation *t, struct loss_error *err)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (context == NULL) {
        return loss_fail(err, LOSS_OVERLOADED, "", "out of memory");
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_LF); /* what . leaves out, whatever the library was built for */
    int code;
    PCRE2_SIZE offset;
    s->code = pcre2_compile((PCRE2_SPTR)t->text, t->size,
                            PCRE2_ANCHORED | PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &offset, context);
    pcre2_compile_context_free(context);
    if (s->code == NULL) {
        PCRE2_UCHAR reason[256];
        pcre2_get_error_message(code, reason, sizeof reason);
        return loss_fail_parameter(err, LOSS_INVALID_SCOPE, "scope", "%s at offset %zu", (const char *)reason,
                                   t->origin[offset < t->size ? offset : t->size]);
    }
    return LOSS_OK;
}

loss_status scope_new(const char *expression, struct scope **out, struct loss_error *err)
{
    struct translation *t = NULL;
    struct scope *s = NULL;
    size_t odd;
    loss_status status = LOSS_OK;
    if (expression == NULL) {
        *out = NULL;
        return LOSS_OK;
    }
    if (strlen(expression) > SCOPE_MAX) {
        return loss_fail_parameter(err, LOSS_INVALID_SCOPE, "scope", "must have at most %d bytes, got %zu", SCOPE_MAX,
                                   strlen(expression));
    }
    t = malloc(sizeof *t);
    s = calloc(1, sizeof *s);
    if (t == NULL || s == NULL) {
        status = loss_fail(err, LOSS_OVERLOADED, "", "out of memory");
        goto out;
    }
    if (!translate(expression, t, &odd)) {
        status = loss_fail_parameter(err, LOSS_INVALID_SCOPE, "scope", "%.2s is not supported at offset %zu",
                                     expression + odd, odd);
        goto out;
    }
    status = compile(s, t, err);
    if (status != LOSS_OK) {
        goto out;
    }
    s->match = pcre2_match_data_create(1, NULL); /* whether it matches is all we ask */
    s->limits = pcre2_match_context_create(NULL);
    if (s->match == NULL || s->limits == NULL) {
        status = loss_fail(err, LOSS_OVERLOADED, "", "out of memory");
        goto out;
    }
    s->beyond = STEPS_BEYOND;
    pcre2_set_depth_limit(s->limits, DEPTH_MOST);
    pcre2_set_heap_limit(s->limits, HEAP_MOST_KIB);
    *out = s;
    s = NULL;
out:
    scope_free(s);
    free(t);
    return status;
}

void scope_free(struct scope *s)
{
    if (s != NULL) {
        pcre2_match_context_free(s->limits);
        pcre2_match_data_free(s->match);
        pcre2_code_free(s->code);
        free(s);
    }
}

static int try_match(struct scope *s, const char *subject, size_t n)
{
    int64_t own = STEPS_OF_NAME(n), left = own + s->beyond, steps = STEPS_FIRST, spent = 0;
    int rc;
    do {
        steps = steps < left - spent ? steps : left - spent;
        pcre2_set_match_limit(s->limits, (uint32_t)steps);
        rc = pcre2_match(s->code, (PCRE2_SPTR)subject, n, 0, 0, s->match, s->limits);
        spent += steps;
        steps *= 2;
    } while (rc == PCRE2_ERROR_MATCHLIMIT && spent < left);
    s->beyond -= spent > own ? spent - own : 0;
    return rc;
}

static loss_status match(struct scope *s, const char *subject, size_t n, bool *matches, struct loss_error *err)
{
    int rc = try_match(s, subject, n);
    if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH) {
        *matches = rc >= 0; /* 0: more groups than the match data holds */
        return LOSS_OK;
    }
    if (rc == PCRE2_ERROR_NOMEMORY) {
        return loss_fail(err, LOSS_OVERLOADED, "", "out of memory");
    }
    if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT) {
        return loss_fail_parameter(err, LOSS_INVALID_SCOPE, "scope",
                                   "takes too many steps (nested repetition?); a simpler one would do");
    }
    PCRE2_UCHAR reason[256];
    pcre2_get_error_message(rc, reason, sizeof reason);
    return loss_fail_parameter(err, LOSS_INVALID_SCOPE, "scope", "cannot be matched: %s", (const char *)reason);
}

loss_status scope_matches(struct scope *s, const char *name, bool *matches, struct loss_error *err)
{
    char subject[REGISTRY_NAME_MAX + sizeof VALUE_SUFFIX];
    size_t n = strlen(name);
    if (s == NULL) {
        *matches = true;
        return LOSS_OK;
    }
    LOSS_TRY(match(s, name, n, matches, err));
    if (*matches || n > REGISTRY_NAME_MAX) {
        return LOSS_OK;
    }
    memcpy(subject, name, n);
    memcpy(subject + n, VALUE_SUFFIX, sizeof VALUE_SUFFIX);
    return match(s, subject, n + sizeof VALUE_SUFFIX - 1, matches, err);
}
