/*
 * Finding members of a JSON document. Documents come from hcsshim, which
 * writes them with encoding/json; what is not JSON is not found.
 */
#include "double.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void skip_blanks(text *t)
{
    while (t->length && strchr(" \t\r\n", t->at[0])) {
        t->at++;
        t->length--;
    }
}

/* Takes the character c from the front of t. */
static BOOL take(text *t, char c)
{
    skip_blanks(t);
    if (!t->length || t->at[0] != c)
        return FALSE;
    t->at++;
    t->length--;
    return TRUE;
}

/* The length of the string literal, quotes included, that t starts with. */
static size_t string_length(text t)
{
    for (size_t i = 1; i < t.length; i++) {
        if (t.at[i] == '\\')
            i++;
        else if (t.at[i] == '"')
            return i + 1;
    }
    return 0;
}

/* Takes one value of any kind from the front of t. */
static BOOL take_value(text *t, text *value)
{
    size_t depth = 0, n = 0;
    skip_blanks(t);
    do {
        if (n >= t->length)
            return FALSE;
        switch (t->at[n]) {
        case '"': {
            text rest = { t->at + n, t->length - n };
            size_t length = string_length(rest);
            if (!length)
                return FALSE;
            n += length;
            break;
        }
        case '{':
        case '[':
            depth++;
            n++;
            break;
        case '}':
        case ']':
            if (!depth)
                return FALSE;
            depth--;
            n++;
            break;
        default:
            if (depth) {
                n++;
                break;
            }
            while (n < t->length && !strchr(",]} \t\r\n", t->at[n]))
                n++;
            if (!n)
                return FALSE;
        }
    } while (depth);
    value->at = t->at;
    value->length = n;
    t->at += n;
    t->length -= n;
    return TRUE;
}

static BOOL member(text object, const char *name, text *value)
{
    if (!take(&object, '{'))
        return FALSE;
    do {
        text key;
        skip_blanks(&object);
        if (!object.length || object.at[0] != '"' || !take_value(&object, &key))
            return FALSE;
        if (!take(&object, ':') || !take_value(&object, value))
            return FALSE;
        char *got = json_string(key);
        BOOL found = got && strcmp(got, name) == 0;
        free(got);
        if (found)
            return TRUE;
    } while (take(&object, ','));
    return FALSE;
}

BOOL json_find(text document, text *value, ...)
{
    va_list path;
    const char *name;
    BOOL found = TRUE;
    *value = document;
    va_start(path, value);
    while (found && (name = va_arg(path, const char *)) != NULL)
        found = member(*value, name, value);
    va_end(path);
    return found;
}

BOOL json_each(text array, void (*each)(text element, void *context), void *context)
{
    text element;
    if (!take(&array, '['))
        return FALSE;
    while (take_value(&array, &element)) {
        each(element, context);
        if (!take(&array, ','))
            break;
    }
    return take(&array, ']');
}

/* Reads the four digits of \uXXXX. */
static BOOL unit(text t, unsigned *out)
{
    *out = 0;
    if (t.length < 4)
        return FALSE;
    for (int i = 0; i < 4; i++) {
        char c = t.at[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)(c - 'A' + 10);
        else
            return FALSE;
        *out = *out << 4 | digit;
    }
    return TRUE;
}

static void append_rune(buffer *b, unsigned r)
{
    char s[5] = { 0 };
    if (r < 0x80) {
        s[0] = (char)r;
    } else if (r < 0x800) {
        s[0] = (char)(0xc0 | r >> 6);
        s[1] = (char)(0x80 | (r & 0x3f));
    } else if (r < 0x10000) {
        s[0] = (char)(0xe0 | r >> 12);
        s[1] = (char)(0x80 | (r >> 6 & 0x3f));
        s[2] = (char)(0x80 | (r & 0x3f));
    } else {
        s[0] = (char)(0xf0 | r >> 18);
        s[1] = (char)(0x80 | (r >> 12 & 0x3f));
        s[2] = (char)(0x80 | (r >> 6 & 0x3f));
        s[3] = (char)(0x80 | (r & 0x3f));
    }
    append(b, s);
}

char *json_string(text value)
{
    buffer out = { 0 };
    skip_blanks(&value);
    if (value.length < 2 || value.at[0] != '"' || string_length(value) != value.length)
        return NULL;
    append(&out, "");
    for (size_t i = 1; i < value.length - 1; i++) {
        text one = { value.at + i, 1 };
        if (value.at[i] != '\\') {
            append_text(&out, one);
            continue;
        }
        static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
        char c = value.at[++i];
        const char *escape = strchr(escapes, c);
        if (c && escape) {
            one.at = meant + (escape - escapes);
            append_text(&out, one);
            continue;
        }
        unsigned r, low;
        text digits = { value.at + i + 1, value.length - i - 1 };
        if (c != 'u' || !unit(digits, &r)) {
            free(out.at);
            return NULL;
        }
        i += 4;
        text next = { value.at + i + 1, value.length - i - 1 };
        if (r >= 0xd800 && r < 0xdc00 && next.length > 6 && next.at[0] == '\\' && next.at[1] == 'u') {
            text rest = { next.at + 2, next.length - 2 };
            if (unit(rest, &low) && low >= 0xdc00 && low < 0xe000) {
                r = 0x10000 + ((r - 0xd800) << 10) + (low - 0xdc00);
                i += 6;
            }
        }
        append_rune(&out, r >= 0xd800 && r < 0xe000 ? 0xfffd : r);
    }
    return out.at;
}
