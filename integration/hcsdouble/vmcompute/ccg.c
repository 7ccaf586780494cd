/*
 * Container Credential Guard's part: instances, and the program that stands
 * for ccg.exe.
 *
 * Recorded: the requests. Invented: that the credentials are fetched while
 * AddInstance waits, the values of Cookie, RpcEndpoint and HvSocketConfig, and the codes for an
 * id that exists already or does not. That a container whose plugin fails is
 * not created, with "the RPC server is unavailable", is what KEP-689 and the
 * Hyper-V-Compute log (event 11507) report of the real one.
 */
#include "double.h"

#include <ntsecapi.h>
#include <stdlib.h>
#include <string.h>

/* Writes all of input to the pipe; the CCG double may end before it has read it. */
static void write_pipe(HANDLE pipe, text input)
{
    DWORD written;
    while (input.length && WriteFile(pipe, input.at, (DWORD)input.length, &written, NULL)) {
        input.at += written;
        input.length -= written;
    }
}

static void read_pipe(HANDLE pipe, buffer *out)
{
    char chunk[4096];
    DWORD got;
    while (ReadFile(pipe, chunk, sizeof chunk, &got, NULL) && got) {
        text t = { chunk, got };
        append_text(out, t);
    }
}

typedef struct { HANDLE process; DWORD ms; } deadline;

/* Ends a CCG double that takes too long, which also ends reading from it. */
static DWORD WINAPI watch(void *context)
{
    deadline *d = context;
    if (WaitForSingleObject(d->process, d->ms) == WAIT_TIMEOUT)
        TerminateProcess(d->process, 1);
    return 0;
}

/* Runs program with input on its standard input; TRUE when it exits with 0. */
static BOOL run(const char *program, DWORD ms, text input, buffer *output)
{
    SECURITY_ATTRIBUTES inherited = { sizeof inherited, NULL, TRUE };
    STARTUPINFOW start = { .cb = sizeof start, .dwFlags = STARTF_USESTDHANDLES };
    PROCESS_INFORMATION process;
    HANDLE in, out;
    DWORD code = 1;

    if (!CreatePipe(&start.hStdInput, &in, &inherited, (DWORD)input.length + 1))
        return FALSE;
    if (!CreatePipe(&out, &start.hStdOutput, &inherited, 0)) {
        CloseHandle(start.hStdInput);
        CloseHandle(in);
        return FALSE;
    }
    SetHandleInformation(in, HANDLE_FLAG_INHERIT, 0);
    SetHandleInformation(out, HANDLE_FLAG_INHERIT, 0);

    buffer line = { 0 };
    append(&line, "\"");
    append(&line, program);
    append(&line, "\"");
    WCHAR *command = utf16(line.at);
    BOOL started = CreateProcessW(NULL, command, NULL, NULL, TRUE, 0, NULL, NULL, &start, &process);
    free(command);
    free(line.at);
    CloseHandle(start.hStdInput);
    CloseHandle(start.hStdOutput);
    if (started) {
        deadline d = { process.hProcess, ms };
        HANDLE watcher = CreateThread(NULL, 0, watch, &d, 0, NULL);
        write_pipe(in, input);
        CloseHandle(in);
        in = NULL;
        read_pipe(out, output);
        WaitForSingleObject(process.hProcess, INFINITE);
        if (watcher) {
            WaitForSingleObject(watcher, INFINITE);
            CloseHandle(watcher);
        }
        GetExitCodeProcess(process.hProcess, &code);
        CloseHandle(process.hThread);
        CloseHandle(process.hProcess);
    }
    if (in)
        CloseHandle(in);
    CloseHandle(out);
    return started && code == 0;
}

/* Waits while the state folder has a file "hold", for tests that need the time. */
static void wait_hold(DWORD ms)
{
    ULONGLONG end = GetTickCount64() + ms;
    while (state_has("hold") && GetTickCount64() < end)
        Sleep(10);
}

HRESULT ccg_start(const char *id, const char *credential_spec)
{
    buffer report = { 0 };
    BOOL ok = FALSE;
    char *program = setting("HCSDOUBLE_CCG");
    if (program) {
        char *value = setting("HCSDOUBLE_CCG_TIMEOUT_MS");
        DWORD ms = value ? (DWORD)strtoul(value, NULL, 10) : 60000;
        wait_hold(ms);
        ok = run(program, ms, text_of(credential_spec), &report);
        free(value);
    }
    append(&report, "");
    record_ccg(id, text_of(report.at));
    free(report.at);
    free(program);
    return ok ? S_OK : DOUBLE_E_RPC_UNAVAILABLE;
}

PWSTR ccg_failure(const char *id, HRESULT reason)
{
    buffer message = { 0 }, b = { 0 };
    append(&message, "Failed to setup the external credentials for Container '");
    append(&message, id);
    append_format(&message, "': The RPC server is unavailable. (0x%08lX).", (unsigned long)reason);
    append_format(&b, "{\"Error\":%ld,\"ErrorMessage\":\"The RPC server is unavailable.\",\"ErrorEvents\":[{\"Message\":", (long)reason);
    append_quoted(&b, text_of(message.at));
    append(&b, ",\"Provider\":\"Microsoft-Windows-Hyper-V-Compute\",\"EventId\":11507}]}");
    PWSTR out = task_string(b.at);
    free(b.at);
    free(message.at);
    return out;
}

static void append_random(buffer *b, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        unsigned char c;
        RtlGenRandom(&c, 1);
        append_format(b, "%02x", c);
    }
}

/* ContainerCredentialGuardTransport */
static const char lrpc[] = "LRPC", hv_socket[] = "HvSocket";

/* The instance as HcsGetServiceProperties answers it. */
static char *instance(const char *id, const char *spec, const char *transport)
{
    buffer b = { 0 };
    append(&b, "{\"Id\":");
    append_quoted(&b, text_of(id));
    append(&b, ",\"CredentialGuard\":{\"Cookie\":\"");
    append_random(&b, 16);
    append(&b, "\",\"RpcEndpoint\":\"ccg-");
    append_random(&b, 8);
    append(&b, "\",\"Transport\":");
    append_quoted(&b, text_of(transport));
    append(&b, ",\"CredentialSpec\":");
    append_quoted(&b, text_of(spec));
    append(&b, "}");
    if (strcmp(transport, hv_socket) == 0) {
        append(&b, ",\"HvSocketConfig\":{\"ServiceId\":\"");
        append_guid(&b);
        append(&b, "\",\"ServiceConfig\":{\"BindSecurityDescriptor\":\"D:P(A;;FA;;;SY)\",\"ConnectSecurityDescriptor\":\"D:P(A;;FA;;;SY)\","
                   "\"AllowWildcardBinds\":true}}");
    }
    append(&b, "}");
    return b.at;
}

/* A string member of the request's OperationDetails; NULL when absent. */
static char *detail(text settings, const char *name)
{
    text value;
    return json_find(settings, &value, "Settings", "OperationDetails", name, NULL) ? json_string(value) : NULL;
}

static HRESULT add(const char *id, text settings, PWSTR *result)
{
    HRESULT hr;
    char *spec = detail(settings, "CredentialSpec"), *transport = detail(settings, "Transport"), *known;
    state_lock();
    known = state_read("ccg", id);
    state_unlock();
    if (!spec || !transport) {
        hr = DOUBLE_E_INVALID_JSON;
    } else if (known) {
        hr = DOUBLE_E_EXISTS;
    } else if (strcmp(transport, lrpc) && strcmp(transport, hv_socket)) {
        hr = DOUBLE_E_INVALID_JSON;
    } else {
        hr = ccg_start(id, spec); /* outside of the lock: it takes seconds */
        if (FAILED(hr)) {
            *result = ccg_failure(id, hr);
        } else {
            char *made = instance(id, spec, transport);
            state_lock();
            if (!state_write("ccg", id, text_of(made)))
                hr = E_FAIL;
            state_unlock();
            free(made);
        }
    }
    free(known);
    free(spec);
    free(transport);
    return hr;
}

HRESULT ccg_modify(text settings, PWSTR *result)
{
    text value;
    HRESULT hr = DOUBLE_E_INVALID_JSON;
    char *operation = json_find(settings, &value, "Settings", "Operation", NULL) ? json_string(value) : NULL;
    char *id = detail(settings, "Id");
    if (operation && id && strcmp(operation, "AddInstance") == 0) {
        hr = add(id, settings, result);
    } else if (operation && id && strcmp(operation, "RemoveInstance") == 0) {
        state_lock();
        hr = state_remove("ccg", id) ? S_OK : DOUBLE_E_NOT_FOUND;
        state_unlock();
    }
    free(operation);
    free(id);
    return hr;
}

static void append_instance(text content, void *context)
{
    buffer *b = context;
    if (b->at[b->length - 1] != '[')
        append(b, ",");
    append_text(b, content);
}

void ccg_properties(buffer *answer)
{
    append(answer, "{\"Instances\":[");
    state_lock();
    state_each("ccg", append_instance, answer);
    state_unlock();
    append(answer, "]}");
}
