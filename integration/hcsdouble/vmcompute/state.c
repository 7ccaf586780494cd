/*
 * The state that outlives a process, and the record.
 *
 * The real service keeps compute systems and CCG instances; a shim that dies
 * leaves them behind. So here they are files, one each, in a folder that all
 * processes share under a named mutex.
 */
#include "double.h"

#include <stdlib.h>
#include <string.h>

static HANDLE mutex(void)
{
    static HANDLE made;
    HANDLE fresh;
    if (made)
        return made;
    fresh = CreateMutexW(NULL, FALSE, L"Local\\gmsa-agent-hcsdouble");
    if (!fresh)
        abort();
    if (InterlockedCompareExchangePointer(&made, fresh, NULL) != NULL)
        CloseHandle(fresh);
    return made;
}

void state_lock(void)
{
    WaitForSingleObject(mutex(), INFINITE); /* abandoned is as good: files are whole or absent */
}

void state_unlock(void)
{
    ReleaseMutex(mutex());
}

/* The path of a file of the state, with its folder made. The caller frees. */
static WCHAR *path_of(const char *kind, const char *name)
{
    buffer b = { 0 };
    char *base = setting("HCSDOUBLE_STATE");
    WCHAR *wide;
    append(&b, base ? base : "C:\\hcsdouble");
    free(base);
    wide = utf16(b.at);
    CreateDirectoryW(wide, NULL); /* there already is as good; opening the file will tell */
    free(wide);
    if (kind) {
        append(&b, "\\");
        append(&b, kind);
        wide = utf16(b.at);
        CreateDirectoryW(wide, NULL);
        free(wide);
    }
    append(&b, "\\");
    append(&b, name);
    wide = utf16(b.at);
    free(b.at);
    return wide;
}

/* Ids come from hcsshim (container ids); one that is no file name gets none. */
static BOOL is_name(const char *id)
{
    return id[0] && strcspn(id, "\\/:*?\"<>|") == strlen(id) && strcmp(id, ".") && strcmp(id, "..");
}

static BOOL write_file(const WCHAR *path, DWORD disposition, text content)
{
    DWORD access = disposition == OPEN_ALWAYS ? FILE_APPEND_DATA : GENERIC_WRITE, written = 0;
    HANDLE file = CreateFileW(path, access, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, disposition, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return FALSE;
    BOOL ok = WriteFile(file, content.at, (DWORD)content.length, &written, NULL) && written == content.length;
    CloseHandle(file);
    return ok;
}

static char *read_file(const WCHAR *path)
{
    LARGE_INTEGER size;
    DWORD got = 0;
    char *out = NULL;
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return NULL;
    if (GetFileSizeEx(file, &size)) {
        out = allocate((size_t)size.QuadPart + 1);
        if (!ReadFile(file, out, (DWORD)size.QuadPart, &got, NULL)) {
            free(out);
            out = NULL;
        }
    }
    CloseHandle(file);
    return out;
}

BOOL state_write(const char *kind, const char *id, text content)
{
    if (!is_name(id))
        return FALSE;
    WCHAR *path = path_of(kind, id);
    BOOL ok = write_file(path, CREATE_ALWAYS, content);
    free(path);
    return ok;
}

char *state_read(const char *kind, const char *id)
{
    if (!is_name(id))
        return NULL;
    WCHAR *path = path_of(kind, id);
    char *content = read_file(path);
    free(path);
    return content;
}

BOOL state_remove(const char *kind, const char *id)
{
    if (!is_name(id))
        return FALSE;
    WCHAR *path = path_of(kind, id);
    BOOL ok = DeleteFileW(path);
    free(path);
    return ok;
}

BOOL state_has(const char *name)
{
    WCHAR *path = path_of(NULL, name);
    BOOL there = GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES;
    free(path);
    return there;
}

void state_each(const char *kind, void (*each)(text content, void *context), void *context)
{
    WIN32_FIND_DATAW found;
    WCHAR *pattern = path_of(kind, "*");
    HANDLE find = FindFirstFileW(pattern, &found);
    free(pattern);
    if (find == INVALID_HANDLE_VALUE)
        return;
    do {
        if (found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY)
            continue;
        char *name = utf8(found.cFileName);
        char *content = state_read(kind, name);
        if (content)
            each(text_of(content), context);
        free(content);
        free(name);
    } while (FindNextFileW(find, &found));
    FindClose(find);
}

/* ---- the record: one JSON object a line ---- */

/* 100 ns since 1601 */
static ULONGLONG clock_now(void)
{
    FILETIME t;
    GetSystemTimeAsFileTime(&t);
    return (ULONGLONG)t.dwHighDateTime << 32 | t.dwLowDateTime;
}

ULONGLONG call_begins(void)
{
    return clock_now();
}

static void append_time(buffer *b, ULONGLONG when)
{
    FILETIME f = { (DWORD)when, (DWORD)(when >> 32) };
    SYSTEMTIME t;
    FileTimeToSystemTime(&f, &t);
    append_format(b, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", t.wYear, t.wMonth, t.wDay,
                  t.wHour, t.wMinute, t.wSecond, t.wMilliseconds);
}

static void write_line(buffer *line)
{
    append(line, "}\n");
    WCHAR *path = path_of(NULL, "record.jsonl");
    text content = { line->at, line->length };
    state_lock();
    write_file(path, OPEN_ALWAYS, content);
    state_unlock();
    free(path);
    free(line->at);
}

static void begin_line(buffer *line, ULONGLONG began, const char *call, const char *id)
{
    append(line, "{\"time\":");
    append_time(line, began);
    append_format(line, ",\"pid\":%lu,\"dll\":\"" HCSDOUBLE_DLL "\",\"call\":", (unsigned long)GetCurrentProcessId());
    append_quoted(line, text_of(call));
    append(line, ",\"id\":");
    append_quoted(line, text_of(id));
}

static void append_wide(buffer *line, const char *name, PCWSTR value)
{
    if (!value)
        return;
    char *narrow = utf8(value);
    append_format(line, ",\"%s\":", name);
    append_quoted(line, text_of(narrow));
    free(narrow);
}

HRESULT record_answer(ULONGLONG began, const char *call, const char *id, PCWSTR document, PCWSTR answer, HRESULT result)
{
    buffer line = { 0 };
    begin_line(&line, began, call, id);
    append_wide(&line, "document", document);
    append_wide(&line, "answer", answer);
    append_format(&line, ",\"hresult\":\"0x%08lx\",\"ms\":%llu", (unsigned long)result, (clock_now() - began) / 10000);
    write_line(&line);
    return result;
}

HRESULT record(ULONGLONG began, const char *call, const char *id, PCWSTR document, HRESULT result)
{
    return record_answer(began, call, id, document, NULL, result);
}

void record_ccg(const char *id, text report)
{
    buffer line = { 0 };
    begin_line(&line, clock_now(), "ccg", id);
    append(&line, ",\"ccg\":");
    while (report.length && strchr("\r\n", report.at[report.length - 1]))
        report.length--;
    if (report.length && report.at[0] == '{' && !memchr(report.at, '\n', report.length))
        append_text(&line, report);
    else
        append(&line, "{\"error\":\"the CCG double printed no report\"}");
    write_line(&line);
}
