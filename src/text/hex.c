/* SPDX-License-Identifier: Apache-2.0 */
#include <text/hex.h>

#include <string.h>

const char hex_digits[16] = "0123456789abcdef";

int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

void hex_write(char *text, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n; i++) {
        *text++ = hex_digits[b[i] >> 4];
        *text++ = hex_digits[b[i] & 15];
    }
    *text = '\0';
}

bool hex_read(const char *text, unsigned char *bytes, size_t max, size_t *n)
{
    size_t size = strlen(text);
    if (size == 0 || size % 2 != 0 || size / 2 > max || strspn(text, "0123456789abcdef") != size) {
        return false;
    }
    for (size_t i = 0; i < size / 2; i++) {
        bytes[i] = (unsigned char)(hex_value(text[2 * i]) * 16 + hex_value(text[2 * i + 1]));
    }
    *n = size / 2;
    return true;
}
