/* Buffers, UTF-8 and JSON strings. */
#include "double.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *allocate(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p)
        abort(); /* a test double has nothing better to do */
    return p;
}

text text_of(const char *s)
{
    text t = { s ? s : "", s ? strlen(s) : 0 };
    return t;
}

char *copy(text t)
{
    char *s = allocate(t.length + 1);
    memcpy(s, t.at, t.length);
    return s;
}

void append_text(buffer *b, text t)
{
    if (b->length + t.length + 1 > b->room) {
        size_t room = (b->length + t.length + 1) * 2;
        char *at = allocate(room);
        if (b->at)
            memcpy(at, b->at, b->length);
        free(b->at);
        b->at = at;
        b->room = room;
    }
    memcpy(b->at + b->length, t.at, t.length);
    b->length += t.length;
    b->at[b->length] = 0;
}

void append(buffer *b, const char *s)
{
    append_text(b, text_of(s));
}

void append_format(buffer *b, const char *format, ...)
{
    char line[512]; /* for numbers, names and the like: callers append what has no bound */
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof line)
        abort();
    append(b, line);
}

void append_quoted(buffer *b, text t)
{
    append(b, "\"");
    for (size_t i = 0; i < t.length; i++) {
        unsigned char c = (unsigned char)t.at[i];
        text one = { t.at + i, 1 };
        if (c == '"' || c == '\\') {
            append(b, "\\");
            append_text(b, one);
        } else if (c < 0x20 || c == 0x7f) {
            append_format(b, "\\u%04x", c);
        } else {
            append_text(b, one);
        }
    }
    append(b, "\"");
}

char *utf8(PCWSTR s)
{
    if (!s)
        return copy(text_of(""));
    int n = WideCharToMultiByte(CP_UTF8, 0, s, -1, NULL, 0, NULL, NULL);
    char *out = allocate((size_t)n + 1);
    WideCharToMultiByte(CP_UTF8, 0, s, -1, out, n, NULL, NULL);
    return out;
}

WCHAR *utf16(const char *s)
{
    int n = MultiByteToWideChar(CP_UTF8, 0, s, -1, NULL, 0);
    WCHAR *out = allocate(((size_t)n + 1) * sizeof *out);
    MultiByteToWideChar(CP_UTF8, 0, s, -1, out, n);
    return out;
}

PWSTR task_string(const char *s)
{
    WCHAR *wide = utf16(s);
    size_t size = (wcslen(wide) + 1) * sizeof *wide;
    PWSTR out = CoTaskMemAlloc(size);
    if (out)
        memcpy(out, wide, size);
    free(wide);
    return out;
}

char *setting(const char *name)
{
    WCHAR *wide = utf16(name);
    DWORD n = GetEnvironmentVariableW(wide, NULL, 0);
    char *out = NULL;
    if (n > 1) {
        WCHAR *value = allocate(n * sizeof *value);
        GetEnvironmentVariableW(wide, value, n);
        out = utf8(value);
        free(value);
    }
    free(wide);
    return out;
}

void append_guid(buffer *b)
{
    GUID g;
    if (FAILED(CoCreateGuid(&g)))
        abort();
    append_format(b, "%08lx-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", (unsigned long)g.Data1, g.Data2, g.Data3, g.Data4[0], g.Data4[1],
                  g.Data4[2], g.Data4[3], g.Data4[4], g.Data4[5], g.Data4[6], g.Data4[7]);
}
