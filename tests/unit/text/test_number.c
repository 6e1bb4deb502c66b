/* SPDX-License-Identifier: Apache-2.0
 *
 * test_number.c - numbers against the C library, Python's repr and a grammar written down a second time.
 *
 * LOSSD_TEST_LONG=1 adds every float32 and 10^8 random decimals, on all cores (some ten minutes).
 */
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <loss/compute.h>

#include "support/number_check.h"

/* ---- support ---- */

enum { TEXT_MAX = 4000, ROOM = 40 /* more than the reader's fast path asks for */ };

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static unsigned below(uint64_t *state, unsigned n)
{
    return (unsigned)((next_random(state) >> 32) * n >> 32);
}

static double double_from(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static float float_from(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* The n bytes at the very end of an allocation, where a sanitizer sees the first byte read too many. */
static const char *fault_at_the_end(char *block, size_t size, const char *text, size_t n)
{
    memcpy(block + size - n, text, n);
    return number_fault(block + size - n, n);
}

/* Reads the text (followed by a zero) with every `step`th number of bytes up to ROOM behind it. */
static bool reads_right_at(const char *text, size_t step)
{
    static char *block;
    size_t n = strlen(text), size = TEXT_MAX + ROOM;
    if (!block)
        block = malloc(size);
    char padded[TEXT_MAX + ROOM];
    memcpy(padded, text, n);
    memset(padded + n, ',', ROOM);
    const char *fault = NULL;
    for (size_t filler = 0; filler <= ROOM && !fault; filler += step)
        fault = fault_at_the_end(block, size, padded, n + filler);
    if (fault)
        fprintf(stderr, "%s: %.900s\n", fault, text);
    return !fault;
}

/* Cut off, with one byte behind it, and in the midst of much more. */
static bool reads_right(const char *text)
{
    return reads_right_at(text, ROOM) && reads_right_at(text, ROOM - 1);
}

/* Significant digits of "d.ddde+xx" without point and trailing zeros, and the exponent of the first. */
static int digits_of(const char *scientific, char *digits, int *exponent)
{
    int n = 0;
    const char *p = scientific + (*scientific == '-');
    for (; *p && *p != 'e'; p++) {
        if (*p != '.')
            digits[n++] = *p;
    }
    *exponent = atoi(p + 1);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
    return n;
}

/* As Python's repr lays a number out. */
static void lay_out(char *out, bool negative, const char *digits, int exponent)
{
    int n = (int)strlen(digits);
    if (negative)
        *out++ = '-';
    if (exponent < -4 || exponent >= 16)
        sprintf(out, "%c%s%se%c%02d", digits[0], n > 1 ? "." : "", digits + 1, exponent < 0 ? '-' : '+', abs(exponent));
    else if (exponent < 0)
        sprintf(out, "0.%.*s%s", -exponent - 1, "000", digits);
    else if (n <= exponent + 1)
        sprintf(out, "%s%.*s.0", digits, exponent + 1 - n, "0000000000000000");
    else
        sprintf(out, "%.*s.%s", exponent + 1, digits, digits + exponent + 1);
}

/* What must be printed: the first precision at which the C library's digits read back. Beside a power of two the
 * interval is lopsided, and the nearest decimal of a length may lie outside while another lies inside: then `exact`
 * is cleared, and the right text may be shorter. */
static void shortest_text(double v, bool is_float, char *out, bool *exact)
{
    char text[40], digits[40];
    int exponent = 0;
    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, v);
        if (is_float ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
            break;
    }
    digits_of(text, digits, &exponent);
    lay_out(out, signbit(v), digits, exponent);
    int e;
    *exact = frexp(fabs(v), &e) != 0.5;
}

static bool prints_right(double v, bool is_float)
{
    static char *buf;
    if (!buf)
        buf = malloc(NUMBER_PRINT_MAX);
    char text[NUMBER_PRINT_MAX + 1] = "", want[64];
    bool exact;
    size_t n = is_float ? number_print_f32(buf, (float)v) : number_print_f64(buf, v);
    memcpy(text, buf, n <= NUMBER_PRINT_MAX ? n : 0);
    shortest_text(v, is_float, want, &exact);
    bool back = is_float ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v;
    bool right = strcmp(text, want) == 0 || (!exact && back && n < strlen(want));
    if (!right)
        fprintf(stderr, "%a prints as %s, not %s\n", v, text, want);
    return right;
}

/* ---- texts to read ---- */

/* Between two neighbouring doubles or floats; written out exactly, and then moved by a hair or not at all. */
static void midpoint_text(uint64_t *rng, char *text)
{
    long double middle;
    if (below(rng, 2)) {
        double a = double_from(below(rng, 4) ? next_random(rng) >> 1 : next_random(rng) >> (12 + below(rng, 40)));
        if (!isfinite(a))
            a = DBL_MAX;
        middle = a == DBL_MAX ? (long double)DBL_MAX + 0x1p970L : ((long double)a + nextafter(a, INFINITY)) / 2;
    } else {
        float a =
            float_from((uint32_t)(below(rng, 4) ? next_random(rng) >> 33 : next_random(rng) >> (41 + below(rng, 20))));
        if (!isfinite(a))
            a = FLT_MAX;
        middle = a == FLT_MAX ? (long double)FLT_MAX + 0x1p103L : ((long double)a + nextafterf(a, INFINITY)) / 2;
    }
    sprintf(text, "%.*Le", 780, middle);
    char *e = strchr(text, 'e');
    char exponent[16];
    strcpy(exponent, e);
    char *last = e - 1;
    while (*last == '0')
        last--;
    int way = (int)below(rng, 3), more = (int)below(rng, 900);
    char *tail = below(rng, 2) ? last + 1 : e;
    if (way == 0) {
        tail = last + 1; /* exactly it */
        if (tail[-1] == '.')
            *tail++ = '0';
    } else if (way == 1) {
        memset(tail, '0', (size_t)more);
        tail[more] = (char)('1' + below(rng, 9));
        tail += more + 1;
    } else if (*last != '.') {
        (*last)--;
        memset(last + 1, '9', (size_t)(e - last - 1));
        memset(tail, '9', (size_t)more + 1);
        tail += more + 1;
    }
    strcpy(tail, exponent);
}

/* As near to half-way between floats as few digits come. */
static void near_midpoint_text(uint64_t *rng, char *text)
{
    float a = float_from((uint32_t)(118 + below(rng, 20)) << 23 | (uint32_t)(next_random(rng) >> 41));
    double middle = ((double)a + nextafterf(a, INFINITY)) / 2;
    sprintf(text, "%.*f", 7 + (int)below(rng, 11), middle);
}

static void digits_text(uint64_t *rng, char *text, unsigned longest)
{
    unsigned n = 1 + below(rng, longest), point = below(rng, 3) ? 1 : 1 + below(rng, n);
    char *p = text;
    if (below(rng, 2))
        *p++ = '-';
    for (unsigned i = 0; i < n; i++) {
        unsigned digit = below(rng, 12) % 10;
        *p++ = (char)('0' + (i == 0 && point > 1 && digit == 0 ? 7 : digit));
        if (i + 1 == point && i + 1 < n)
            *p++ = '.';
    }
    *p = '\0';
    if (below(rng, 2))
        sprintf(p, "%s%d", below(rng, 2) ? "e" : "E",
                (int)below(rng, below(rng, 2) ? 700 : 60) - (below(rng, 2) ? 350 : 30));
}

static void random_text(uint64_t *rng, char *text)
{
    double any = double_from(next_random(rng));
    float any32 = float_from((uint32_t)next_random(rng));
    double plain = ((double)next_random(rng) / 0x1p63 - 1) * pow(10, (int)below(rng, 9) - 2);
    if (!isfinite(any) || !isfinite(any32))
        any = any32 = 0;
    unsigned kind = below(rng, 200);
    if (kind < 60)
        text[number_print_f64(text, kind < 20 ? any : plain)] = '\0';
    else if (kind < 90)
        text[number_print_f32(text, kind < 70 ? any32 : (float)plain)] = '\0';
    else if (kind < 110)
        sprintf(text, "%.*e", (int)below(rng, 30), kind < 105 ? any : any32);
    else if (kind < 140)
        sprintf(text, "%.*f", (int)below(rng, 30), plain);
    else if (kind < 150)
        sprintf(text, "%.17g", kind < 142 ? any : plain);
    else if (kind < 160)
        sprintf(text, "%lld", (long long)next_random(rng) >> below(rng, 64));
    else if (kind < 170)
        near_midpoint_text(rng, text);
    else if (kind < 190)
        digits_text(rng, text, 30);
    else if (kind < 195)
        digits_text(rng, text, 800);
    else
        midpoint_text(rng, text);
}

/* ---- reading ---- */

static void test_reading__rounds_hard_decimals_to_the_nearest(void **state)
{
    (void)state;
    static const char texts[] =
        "0 -0 -0.0 0e999999 -0e-999999 0.000e+5 1 -1 10 0.1 0.5 0.25 1e0 1E+0 1e-0 9007199254740992 9007199254740993 "
        "9007199254740994 9007199254740995 9007199254740993.0000000001 9007199254740992.9999999999 "
        "18446744073709551615 18446744073709551616 9999999999999999999 10000000000000000000 16777216 16777217 "
        "16777218 16777219 16777217.0000001 16777216.9999999 1.7976931348623157e308 1.7976931348623158e308 "
        "1.7976931348623159e308 1.797693134862315807e308 1.797693134862315808e308 1e308 1e309 -1e309 1e400 "
        "2.2250738585072011e-308 2.2250738585072012e-308 2.2250738585072014e-308 4.9406564584124654e-324 "
        "2.4703282292062327e-324 2.4703282292062328e-324 2.47032822920623272088e-324 2.47032822920623272089e-324 "
        "1e-400 -1e-400 5e-324 3e-324 3.4028234663852886e38 3.4028235677973366e38 3.4028235677973365e38 "
        "3.4028235677973367e38 340282356779733661637539395458142568447.9999 340282356779733661637539395458142568448 "
        "340282356779733661637539395458142568448.00001 3.5e38 -3.5e38 1.1754943508222875e-38 1.17549435e-38 "
        "1.1754942807573643e-38 1.401298464324817e-45 7.006492321624085e-46 7.0064923216240853e-46 "
        "7.0064923216240854e-46 "
        "7.00649232162408535461864791644958065640130970938257885878534141944895541342930300743319094e-46 "
        "7.006492321624085354618647916449580656401309709382578858785341419448955"
        "41342930300743319094181060791015625e-46 "
        "7.006492321624085354618647916449580656401309709382578858785341419448955"
        "413429303007433190941810607910156250001e-46 "
        "7e-46 1e-46 8.5e-46 1.0000000596046447 1.00000005960464477 1.000000059604644775390625 "
        "1.0000000596046447753906250000000000000000000000000001 "
        "1.0000000596046447753906249999999999999999999999999999 1.0000000596046448 1.0000001788139343 -1234567.5 "
        "-1234567. -1.0000000000000001 1.00000017881393432617187499 1.000000178813934326171875 "
        "1.00000017881393432617187501 1.000000000000000000005 0.1000000014901161193847656250 "
        "100000000000000000000000 1e23 8.5e22 9.5e-23 1e22 1e-22 1e-23 123456789012345678901234567890 "
        "0.000000000000000000000000000000000000000000000123 1234567 12345678 123456789 1234567.1234567890123456 "
        "12345678.5 999.9999999999999999 0.1234567890123456 0.12345678901234567 0.123456789012345678 "
        "12.1234567890123456 123.1234567890123456 1.00000000000000000 5.0216813883093451685872615018317e-13 "
        "6.631236846766476e-316 3.2378839133029012895883524125015321748630094e-319 2.3558008474574e-310 "
        "1.9430376160308388e16 8.98846567431158e307 3.518437208883201171875e13 ";
    char text[128];
    for (const char *p = texts; sscanf(p, "%127s", text) == 1; p += strlen(text) + 1)
        assert_true(reads_right_at(text, 1));
}

static void test_reading__tells_the_signs_of_zero(void **state)
{
    (void)state;
    double v = 1;
    unsigned flags = 0;
    const char text[] = "-0,", *p = text;
    assert_int_equal(number_read_f64(&p, text + 3, &v, &flags), NUMBER_OK);
    assert_true(v == 0 && signbit(v) && flags == 0);
}

static void test_reading__rounds_random_decimals_to_the_nearest(void **state)
{
    (void)state;
    uint64_t rng = 1;
    static char text[TEXT_MAX];
    for (int i = 0; i < 200000; i++) {
        random_text(&rng, text);
        assert_true(reads_right(text));
    }
}

/* Up to 60 numbers, mostly plain ones; at the end, and now and then before it, something else than a comma. */
static void list_text(uint64_t *rng, char *text)
{
    static const char *const between[] = {",",  ",",   ",",  ", ", ", ", ", ", ",  ",
                                          " ,", "],[", ",-", ",0", "",   ".",  ",\n"};
    unsigned separator = below(rng, 2) * 3, n = 1 + below(rng, 60);
    char *p = text;
    for (unsigned i = 0; i < n; i++) {
        if (below(rng, 10) == 0)
            random_text(rng, p);
        else
            sprintf(p, "%.*f", 1 + (int)below(rng, 18),
                    ((double)next_random(rng) / 0x1p63 - 1) * (below(rng, 9) ? 9 : 1e6));
        p += strlen(p);
        p = stpcpy(p, between[below(rng, 30) ? separator : below(rng, sizeof between / sizeof *between)]);
    }
}

static void test_reading__takes_lists_as_it_takes_their_numbers(void **state)
{
    (void)state;
    uint64_t rng = 7;
    static char text[60 * TEXT_MAX];
    size_t found = 0;
    for (int i = 0; i < 20000; i++) {
        list_text(&rng, text);
        const size_t n = strlen(text);
        char *copy = test_malloc(n); /* so that reading beyond its end is seen */
        memcpy(copy, text, n);
        for (int single = 0; single < 2; single++) {
            const char *fault = number_list_fault(copy, n, single);
            if (fault)
                fail_msg("%s: %s", fault, text);
        }
        const char *p = copy;
        double doubles[60];
        struct number_habit habit = {false, false};
        found += number_read_list_f64(&p, copy + n, doubles, 60, &habit);
        test_free(copy);
    }
#ifdef __SSE2__
    assert_true(found > 20000); /* or it was all left to the other way */
#endif
}

static void test_reading__rounds_about_midpoints(void **state)
{
    (void)state;
    uint64_t rng = 2;
    static char text[TEXT_MAX];
    for (int i = 0; i < 4000; i++) {
        midpoint_text(&rng, text);
        assert_true(reads_right(text));
    }
}

static void test_reading__tells_when_rounding_twice_would_go_wrong(void **state)
{
    (void)state;
    /* Just above the midpoint of 1 and the next float, by less than a double can tell. */
    const char text[] = "1.00000005960464477539062500000001,                         ";
    const char *p = text;
    double v;
    float f;
    unsigned flags = 0;
    assert_int_equal(number_read_f64(&p, text + sizeof text - 1, &v, &flags), NUMBER_OK);
    assert_int_equal(flags, NUMBER_TIE);
    p = text;
    flags = 0;
    assert_int_equal(number_read_f32(&p, text + sizeof text - 1, &f, &flags), NUMBER_OK);
    assert_true((float)v == 1 && f == 1 + FLT_EPSILON && flags == 0);
}

/* Where the text stands of its double, and whether reading flags it where that matters, as a list and alone. */
static void assert_side(const char *number, int side)
{
    char text[512];
    double v, listed[1];
    unsigned flags = 0;
    struct number_habit habit = {.wide = true};
    const int n = snprintf(text, sizeof text, "%s,%200s", number, "");
    const char *p = text, *q = text;
    assert_int_equal(number_read_f64(&p, text + n, &v, &flags), NUMBER_OK);
    if (number_side(text, p, v) != side || ((flags & NUMBER_TIE) == 0 && side != 0)) {
        fail_msg("%s: side %d, flags %u", number, number_side(text, p, v), flags);
    }
    assert_true(side == 0 || number_read_list_f64(&q, text + n, listed, 1, &habit) == 0);
}

static void test_reading__tells_the_side_of_narrow_midpoints(void **state)
{
    (void)state;
    /* float16: 1 + 2^-11, 2^-25, 3 * 2^-25, 65520; bfloat16: 1 + 2^-8, 511 * 2^119, 2^-134 */
    static const struct {
        const char *number;
        int side;
    } cases[] = {
        {"1.00048828125", 0},
        {"-1.0004882812500000", 0},
        {"1.0004882812500001", 1},
        {"1.00048828125000001", 1},
        {"-1.00048828125000000001", 1},
        {"1.00048828124999999", -1},
        {"1.000488281249999999999999999999999", -1},
        {"100048828125000001e-17", 1},
        {"0.00100048828125000000001E3", 1},
        {"1.00390625", 0},
        {"1.00390625000000002", 1},
        {"-1.00390624999999998", -1},
        {"2.98023223876953125e-08", 0},
        {"0.0000000298023223876953125", 0},
        {"2.98023223876953126e-08", 1},
        {"2.98023223876953124e-08", -1},
        {"8.94069671630859375e-08", 0},
        {"8.940696716308594e-8", 1},
        {"65520", 0},
        {"65520.0", 0},
        {"6.552e4", 0},
        {"65520.000000000001", 1},
        {"65519.999999999999", -1},
        {"65519.9999999999999999999999", -1},
        {"3.39617752923046e+38", -1},
        {"339617752923046005526922703901628039168", 0},
        {"339617752923046005526922703901628039169", 1},
        {"339617752923046005526922703901628039167", -1},
        {"4.591774807899561e-41", 1},
        {"4.5917748078995606e-41", 1},
        {"4.5917748078995605e-41", -1},
        {"0.99999999999999999", -1},
        {"1.00000000000000000", 0},
        {"0.000000000000000000", 0},
        {"0e0", 0},
        {"1e5", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_side(cases[i].number, cases[i].side);
    }
}

/* Built of `n` equal bytes between a head and a tail, with a comma behind. */
static double long_number(const char *head, char filler, size_t n, const char *tail, unsigned *flags, float *f)
{
    size_t size = strlen(head) + n + strlen(tail) + 1;
    char *text = malloc(size);
    assert_non_null(text);
    memcpy(text, head, strlen(head));
    memset(text + strlen(head), filler, n);
    memcpy(text + strlen(head) + n, tail, strlen(tail));
    text[size - 1] = ',';
    double v = 0;
    unsigned flags32 = 0;
    const char *p = text;
    *flags = 0;
    assert_int_equal(number_read_f64(&p, text + size, &v, flags), NUMBER_OK);
    assert_ptr_equal(p, text + size - 1);
    p = text;
    assert_int_equal(number_read_f32(&p, text + size, f, &flags32), NUMBER_OK);
    free(text);
    return v;
}

static void test_reading__takes_numbers_of_any_length(void **state)
{
    (void)state;
    unsigned flags;
    float f;
    assert_true(long_number("0.", '0', 100000, "1e100001", &flags, &f) == 1 && f == 1);
    assert_true(long_number("1", '0', 100000, "e-100000", &flags, &f) == 1 && f == 1);
    assert_true(long_number("-1", '0', 100000, ".000e-100003", &flags, &f) == -0.001 && f == -0.001f);
    assert_true(long_number("9007199254740993.", '0', 100000, "0", &flags, &f) == 9007199254740992);
    assert_true(long_number("9007199254740993.", '0', 100000, "1", &flags, &f) == 9007199254740994);
    assert_true(long_number("9007199254740992.", '9', 100000, "9", &flags, &f) == 9007199254740993 - 1);
    long_number("16777217.", '0', 100000, "1", &flags, &f);
    assert_true(f == 16777218 && (flags & NUMBER_TIE));
    assert_true(long_number("", '9', 100000, "e-99999", &flags, &f) == 10);
    assert_true(isinf(long_number("", '9', 100000, "", &flags, &f)) && isinf(f) && flags == NUMBER_OVERFLOW);
    assert_true(long_number("0.", '0', 100000, "1", &flags, &f) == 0 && f == 0 && flags == 0);
    assert_true(isinf(long_number("1e", '9', 100000, "", &flags, &f)) && flags == NUMBER_OVERFLOW);
    assert_true(long_number("1e-", '9', 100000, "", &flags, &f) == 0 && f == 0 && flags == 0);
    assert_true(long_number("0e", '9', 100000, "", &flags, &f) == 0 && f == 0 && flags == 0);
    assert_true(long_number("5e-", '0', 100000, "1", &flags, &f) == 0.5 && f == 0.5f);
    assert_true(isinf(long_number("-1e999999999999999999", '0', 1, "", &flags, &f)) && f < 0);
}

/* Every text of up to six of the bytes that mean something, and some that do not. */
static void test_reading__takes_the_grammar_and_nothing_else(void **state)
{
    (void)state;
    static const char bytes[] = "019.eE+-,";
    enum { N = sizeof bytes - 1, LONGEST = 6 };
    char text[LONGEST + 1] = "";
    assert_true(reads_right(""));
    for (int n = 1; n <= (getenv("LOSSD_TEST_LONG") ? LONGEST : 5); n++) {
        int count = 1;
        for (int i = 0; i < n; i++)
            count *= N;
        for (int c = 0; c < count; c++) {
            for (int i = 0, rest = c; i < n; i++, rest /= N)
                text[i] = bytes[rest % N];
            text[n] = '\0';
            assert_true(reads_right(text));
        }
    }
}

static void test_reading__refuses_any_other_byte_at_its_place(void **state)
{
    (void)state;
    static const char *const texts[] = {"-12.5e+07", "0.25",      "3.14159265358979", "12345678.12345678",
                                        "NaN",       "-Infinity", "Infinity"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t at = 0; at <= strlen(texts[i]); at++) {
            for (int byte = 1; byte < 256; byte++) {
                char text[32];
                strcpy(text, texts[i]);
                text[at] = (char)byte;
                text[strlen(texts[i]) + (at == strlen(texts[i]))] = '\0';
                assert_true(reads_right(text));
            }
        }
    }
}

static void test_reading__knows_the_literals(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "NaN", "Infinity", "-Infinity", "-NaN", "+Infinity", "Inf", "-Inf", "nan", "inf",  "infinity", "NAN",  "N", "I",
        "-I",  "NaNx",     "Infinity1", "NaN1", "--1",       "-N",  "- 1",  " 1",  "0x10", "1_000",    "1e5.5"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_true(reads_right(texts[i]));
}

static void test_reading__asks_for_more_at_each_cut(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "-1234.5678e-12,",          "NaN,",  "-Infinity,", "0.0001220703125,", "123456789012345678901234567890.125,",
        "-0.30000000000000004441,", "1e+05,"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t n = 0; n < strlen(texts[i]); n++) {
            char *cut = malloc(n + !n);
            assert_non_null(cut);
            memcpy(cut, texts[i], n);
            const char *p = cut;
            double v;
            float f;
            unsigned flags = 0;
            assert_int_equal(number_read_f64(&p, cut + n, &v, &flags), NUMBER_MORE);
            assert_int_equal(number_read_f32(&p, cut + n, &f, &flags), NUMBER_MORE);
            assert_ptr_equal(p, cut);
            free(cut);
        }
    }
}

/* ---- printing ---- */

static void test_printing__looks_as_python_prints_doubles(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *text;
    } table[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {0x1p+0, "1.0"},
        {-0x1p+0, "-1.0"},
        {0x1.999999999999ap-4, "0.1"},
        {0x1p-1, "0.5"},
        {0x1.5555555555555p-2, "0.3333333333333333"},
        {0x1.5555555555555p-1, "0.6666666666666666"},
        {0x1.a36e2eb1c432dp-14, "0.0001"},
        {0x1.a36e2eb1c432cp-14, "9.999999999999999e-05"},
        {0x1.4f8b588e368f1p-17, "1e-05"},
        {0x1.f75104d551d69p-17, "1.5e-05"},
        {0x1.02e4b6ce5dc68p-13, "0.00012345"},
        {0x1.0624dd2f1a9fcp-10, "0.001"},
        {0x1.47ae147ae147bp-7, "0.01"},
        {0x1.4p+3, "10.0"},
        {0x1.9p+6, "100.0"},
        {0x1.34a456d5cfaadp+10, "1234.5678"},
        {0x1.78c29cp+23, "12345678.0"},
        {0x1.d6f3454p+26, "123456789.0"},
        {0x1.7d783fep+26, "99999999.5"},
        {0x1.7d784p+26, "100000000.0"},
        {0x1.c6bf52634p+49, "1000000000000000.0"},
        {0x1.c6bf526340004p+49, "1000000000000000.5"},
        {0x1.1c37937e07fffp+53, "9999999999999998.0"},
        {0x1.1c37937e08p+53, "1e+16"},
        {0x1.5eddb25e048p+53, "1.2345e+16"},
        {0x1.6345785d8ap+56, "1e+17"},
        {0x1.0f0cf064dd592p+73, "1e+22"},
        {0x1.52d02c7e14af6p+76, "1e+23"},
        {0x1.249ad2594c37dp+332, "1e+100"},
        {0x1.bff2ee48e053p-333, "1e-100"},
        {0x1.1eb2d66005835p+997, "1.5e+300"},
        {-0x1.01297d23ab683p-996, "-1.5e-300"},
        {0x1p-1074, "5e-324"},
        {0x1p-1073, "1e-323"},
        {0x1p-1022, "2.2250738585072014e-308"},
        {0x0.fffffffffffffp-1022, "2.225073858507201e-308"},
        {0x1.fffffffffffffp+1023, "1.7976931348623157e+308"},
        {-0x1.fffffffffffffp+1023, "-1.7976931348623157e+308"},
        {0x1p-44, "5.684341886080802e-14"},
        {0x1p-1021, "4.450147717014403e-308"},
        {0x1p+53, "9007199254740992.0"},
        {0x1p+54, "1.8014398509481984e+16"},
        {0x1p+63, "9.223372036854776e+18"},
        {0x1p+64, "1.8446744073709552e+19"},
        {0x1p+1023, "8.98846567431158e+307"},
        {0x1.fffffffffffffp+52, "9007199254740991.0"},
        {0x1.fffffffffffffp+51, "4503599627370495.5"},
        {0x1.921fb54442d18p+1, "3.141592653589793"},
        {0x1.ad7f29abcaf48p-24, "1e-07"},
        {0x1.ffcp+15, "65504.0"},
        {0x1.fe185ca57c517p+78, "6.02214076e+23"},
        {0x1.3333333333334p-2, "0.30000000000000004"},
        {0x1.7d78400000001p+26, "100000000.00000001"},
        {0x1p-30, "9.313225746154785e-10"},
        {0x1p+89, "6.189700196426902e+26"},
        {0x1p-20, "9.5367431640625e-07"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[NUMBER_PRINT_MAX + 1];
        text[number_print_f64(text, table[i].v)] = '\0';
        assert_string_equal(text, table[i].text);
    }
}

static void test_printing__gives_floats_their_own_shortest(void **state)
{
    (void)state;
    static const struct {
        float v;
        const char *text;
    } table[] = {
        {0.0f, "0.0"},
        {-0.0f, "-0.0"},
        {0x1p+0f, "1.0"},
        {0x1.99999ap-4f, "0.1"},
        {-0x1.99999ap-4f, "-0.1"},
        {0x1.555556p-2f, "0.33333334"},
        {0x1.a36e2ep-14f, "0.0001"},
        {0x1.a36d1cp-14f, "9.9999e-05"},
        {0x1.4f8b58p-17f, "1e-05"},
        {0x1.edd2f2p+6f, "123.456"},
        {0x1.ffcp+15f, "65504.0"},
        {0x1p+24f, "16777216.0"},
        {0x1.000002p+24f, "16777218.0"},
        {0x1p+25f, "33554432.0"},
        {0x1.312dp+23f, "10000000.0"},
        {0x1.7d784p+26f, "100000000.0"},
        {0x1.78c29ep+23f, "12345679.0"},
        {0x1.d6f346p+26f, "123456790.0"},
        {0x1.2a05f2p+33f, "10000000000.0"},
        {0x1p+53f, "9007199000000000.0"},
        {0x1.1c3794p+53f, "1e+16"},
        {0x1.043562p+67f, "1.5e+20"},
        {0x1.fffffep+127f, "3.4028235e+38"},
        {-0x1.fffffep+127f, "-3.4028235e+38"},
        {0x1p-126f, "1.1754944e-38"},
        {0x1.fffffcp-127f, "1.1754942e-38"},
        {0x1p-149f, "1e-45"},
        {0x1p-148f, "3e-45"},
        {0x1.4p-147f, "7e-45"},
        {0x1.16c2p-133f, "1e-40"},
        {0x1p-44f, "5.684342e-14"},
        {0x1p-20f, "9.536743e-07"},
        {0x1p+100f, "1.2676506e+30"},
        {0x1.333334p-2f, "0.3"},
        {0x1.921fb6p+1f, "3.1415927"},
        {0x1.b7cdfep-34f, "1e-10"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[NUMBER_PRINT_MAX + 1];
        text[number_print_f32(text, table[i].v)] = '\0';
        assert_string_equal(text, table[i].text);
    }
}

/* A float of any kind: everyday, of any exponent, of few digits, zero; subnormals now and then. */
static float listed_float(uint64_t *rng)
{
    uint64_t bits = next_random(rng);
    switch (below(rng, 4)) {
    case 0:
        return ldexpf((float)(int64_t)bits, (int)below(rng, 90) - 110);
    case 1: {
        float any = float_from((uint32_t)bits);
        return !isfinite(any) || (fabsf(any) < FLT_MIN && below(rng, 64)) ? 0 : any;
    }
    case 2:
        return (float)(int)below(rng, 100000) * (below(rng, 2) ? 1e-3f : -1e5f);
    default:
        return ldexpf(below(rng, 2) ? 1 : -1, (int)below(rng, 200) - 100);
    }
}

/* Lists stop where they must, write no further than they may, and are what their numbers are, in blocks or not. */
static void test_printing__prints_lists_as_it_prints_their_numbers(void **state)
{
    enum { MANY = 64, ENOUGH = (MANY + 1) * (NUMBER_PRINT_MAX + 1) };
    static char want[ENOUGH];
    const char *const widest = loss_isa();
    uint64_t rng = 7;
    (void)state;
    for (int round = 0; round < 8000; round++) {
        float f[MANY];
        double d[MANY];
        size_t n = 1 + below(&rng, MANY), size[2] = {0}, stop_at = below(&rng, 900);
        size_t printed[2] = {0}, bad = below(&rng, 2) ? n : below(&rng, (unsigned)n);
        for (size_t i = 0; i < n; i++) {
            f[i] = listed_float(&rng);
            d[i] = below(&rng, 4) ? (double)f[i] / 3 : (double)f[i];
            d[i] *= below(&rng, 4) ? 1 : 1e-150; /* three digits of exponent */
        }
        if (bad < n) {
            f[bad] = INFINITY;
            d[bad] = (double)NAN;
        }
        assert_true(loss_isa_select(round % 4 ? widest : "baseline"));
        for (int wide = 0; wide < 2; wide++) {
            while (printed[wide] < bad && size[wide] <= stop_at) {
                char *at = want + size[wide];
                size_t i = printed[wide]++, used = wide ? number_print_f64(at, d[i]) : number_print_f32(at, f[i]);
                at[used] = ',';
                size[wide] += used + 1;
            }
            char *text = malloc(stop_at + NUMBER_PRINT_MAX + 2), *p = text;
            assert_non_null(text);
            text[stop_at + NUMBER_PRINT_MAX + 1] = '!';
            size_t got = wide ? number_print_list_f64(&p, text + stop_at, d, n)
                              : number_print_list_f32(&p, text + stop_at, f, n);
            assert_int_equal(got, printed[wide]);
            assert_int_equal(p - text, size[wide]);
            assert_memory_equal(text, want, size[wide]);
            assert_int_equal(text[stop_at + NUMBER_PRINT_MAX + 1], '!');
            free(text);
        }
    }
    assert_true(loss_isa_select(widest));
}

static void test_printing__is_the_shortest_and_nearest_of_each_exponent(void **state)
{
    (void)state;
    uint64_t rng = 3;
    for (uint64_t exponent = 0; exponent < 2047; exponent++) {
        for (int i = 0; i < 8; i++) {
            uint64_t fraction = i == 0 ? 0 : i == 1 ? 1 : i == 2 ? ~(uint64_t)0 >> 12 : next_random(&rng) >> 12;
            assert_true(prints_right(double_from((next_random(&rng) & 1) << 63 | exponent << 52 | fraction), false) ||
                        (exponent == 0 && fraction == 0));
        }
    }
    for (uint32_t exponent = 0; exponent < 255; exponent++) {
        for (int i = 0; i < 100; i++) {
            uint32_t fraction = i == 0 ? 0 : i == 1 ? 1 : i == 2 ? 0x7fffff : (uint32_t)(next_random(&rng) >> 41);
            assert_true(
                prints_right(float_from((uint32_t)(next_random(&rng) & 1) << 31 | exponent << 23 | fraction), true));
        }
    }
}

static void test_printing__is_the_shortest_of_everyday_numbers(void **state)
{
    (void)state;
    uint64_t rng = 4;
    for (int i = 0; i < 40000; i++) {
        double v = ((double)next_random(&rng) / 0x1p63 - 1) * pow(10, (int)below(&rng, 24) - 6);
        char few[40];
        sprintf(few, "%.*e", (int)below(&rng, 8), v);
        assert_true(prints_right(v, false) && prints_right((float)v, true));
        assert_true(prints_right(strtod(few, NULL), false) && prints_right(strtof(few, NULL), true));
    }
}

/* ---- the long run ---- */

static bool reads_back_as(const char *text, size_t n, float v)
{
    char padded[80];
    memcpy(padded, text, n);
    memset(padded + n, ' ', ROOM + 1);
    const char *p = padded;
    float f = 0;
    unsigned flags = 0;
    return number_read_f32(&p, padded + n + ROOM + 1, &f, &flags) == NUMBER_OK && p == padded + n && f == v;
}

/* Would one digit less do? Both neighbours of that length are tried. */
static bool could_be_shorter(const char *text, float v)
{
    uint64_t digits = 0;
    int exponent = 0, behind_point = 0;
    const char *p = text + (*text == '-');
    for (; *p && *p != 'e'; p++) {
        if (*p == '.') {
            behind_point = 1;
        } else {
            digits = digits * 10 + (unsigned)(*p - '0');
            exponent -= behind_point;
        }
    }
    exponent += *p ? atoi(p + 1) : 0;
    while (digits % 10 == 0) {
        digits /= 10;
        exponent++;
    }
    for (uint64_t fewer = digits / 10; digits > 9 && fewer <= digits / 10 + 1; fewer++) {
        char candidate[48];
        int n = snprintf(candidate, sizeof candidate, "%s%llue%d", *text == '-' ? "-" : "", (unsigned long long)fewer,
                         exponent + 1);
        if (reads_back_as(candidate, (size_t)n, v))
            return true;
    }
    return false;
}

static bool float_survives(uint32_t bits)
{
    float v = float_from(bits);
    if (!isfinite(v) || v == 0)
        return true;
    char text[NUMBER_PRINT_MAX + 8];
    size_t n = number_print_f32(text, v);
    text[n] = '\0';
    bool right = n <= NUMBER_PRINT_MAX && reads_back_as(text, n, v);
    if (right && bits % 16 == 5)
        right = !could_be_shorter(text, v) && strtof(text, NULL) == v;
    if (right && bits % 1024 == 77)
        right = prints_right(v, true);
    if (!right)
        fprintf(stderr, "float %08x: %s\n", bits, text);
    return right;
}

/* Are 64 floats, of which all or none are finite, printed in a list as each is alone? */
static bool lists_as_one_by_one(uint32_t first)
{
    enum { MANY = 64 };
    float v[MANY];
    char list[MANY * (NUMBER_PRINT_MAX + 1)], alone[sizeof list], *p = list, *q = alone;
    for (uint32_t i = 0; i < MANY; i++)
        v[i] = float_from(first + i);
    size_t n = number_print_list_f32(&p, list + sizeof list - NUMBER_PRINT_MAX - 1, v, MANY);
    for (size_t i = 0; i < n; i++) {
        q += number_print_f32(q, v[i]);
        *q++ = ',';
    }
    return n == (isfinite(v[0]) ? MANY : 0) && p - list == q - alone && memcmp(list, alone, (size_t)(p - list)) == 0;
}

static bool all_floats(unsigned worker, unsigned workers)
{
    for (uint64_t bits = worker; bits <= UINT32_MAX; bits += workers) {
        if (!float_survives((uint32_t)bits) || (bits % 64 == 0 && !lists_as_one_by_one((uint32_t)bits)))
            return false;
    }
    return true;
}

static bool many_decimals(unsigned worker, unsigned workers)
{
    uint64_t rng = 1000 + worker;
    static char text[TEXT_MAX];
    for (unsigned i = 0; i < 100000000 / workers; i++) {
        random_text(&rng, text);
        if (!reads_right(text))
            return false;
        double v = double_from(next_random(&rng));
        if (i % 16 == 0 && isfinite(v) && v != 0 && !prints_right(v, false))
            return false;
    }
    return true;
}

/* Processes rather than threads: the checks keep buffers of their own. */
static void run_on_all_cores(bool (*work)(unsigned worker, unsigned workers))
{
    if (!getenv("LOSSD_TEST_LONG"))
        skip();
    unsigned workers = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    for (unsigned w = 0; w < workers; w++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(work(w, workers) ? 0 : 1);
    }
    bool right = true;
    for (unsigned w = 0; w < workers; w++) {
        int status = 1;
        right = wait(&status) > 0 && status == 0 && right;
    }
    assert_true(right);
}

static void test_long_run__every_float_survives_printing_and_reading(void **state)
{
    (void)state;
    run_on_all_cores(all_floats);
}

static void test_long_run__a_hundred_million_decimals_round_to_the_nearest(void **state)
{
    (void)state;
    run_on_all_cores(many_decimals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading__rounds_hard_decimals_to_the_nearest),
        cmocka_unit_test(test_reading__tells_the_signs_of_zero),
        cmocka_unit_test(test_reading__rounds_random_decimals_to_the_nearest),
        cmocka_unit_test(test_reading__takes_lists_as_it_takes_their_numbers),
        cmocka_unit_test(test_reading__rounds_about_midpoints),
        cmocka_unit_test(test_reading__tells_when_rounding_twice_would_go_wrong),
        cmocka_unit_test(test_reading__tells_the_side_of_narrow_midpoints),
        cmocka_unit_test(test_reading__takes_numbers_of_any_length),
        cmocka_unit_test(test_reading__takes_the_grammar_and_nothing_else),
        cmocka_unit_test(test_reading__refuses_any_other_byte_at_its_place),
        cmocka_unit_test(test_reading__knows_the_literals),
        cmocka_unit_test(test_reading__asks_for_more_at_each_cut),
        cmocka_unit_test(test_printing__looks_as_python_prints_doubles),
        cmocka_unit_test(test_printing__gives_floats_their_own_shortest),
        cmocka_unit_test(test_printing__prints_lists_as_it_prints_their_numbers),
        cmocka_unit_test(test_printing__is_the_shortest_and_nearest_of_each_exponent),
        cmocka_unit_test(test_printing__is_the_shortest_of_everyday_numbers),
        cmocka_unit_test(test_long_run__every_float_survives_printing_and_reading),
        cmocka_unit_test(test_long_run__a_hundred_million_decimals_round_to_the_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
