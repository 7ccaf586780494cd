/*
 * Compute systems, their processes, and the notifications that both send.
 *
 * A handle is what a caller got from Create or Open: its own callback, onto an
 * object that other handles of this process may share. A compute system is also
 * a file of the state, so that other processes can enumerate, open and
 * terminate it; they are not notified, which the real service would do.
 *
 * Creation, start and shutdown answer "pending" and complete by notification,
 * as the real service does. A notification that comes before the handle's
 * callback is kept for it.
 */
#include "double.h"

#include <stdlib.h>
#include <string.h>

typedef void (CALLBACK *notification_callback)(DWORD type, void *context, HRESULT status, PCWSTR data);

/* HCS_NOTIFICATIONS, as hcsshim's internal/hcs/callback.go has them. */
enum { system_exited = 0x1, create_completed = 0x2, start_completed = 0x3, process_exited = 0x10000 };

typedef struct handle handle;
typedef struct compute_system compute_system;
typedef struct container_process container_process;

struct handle {
    compute_system *system;
    container_process *process; /* NULL for a handle on the system itself */
    notification_callback callback;
    void *context;
    DWORD kept[4]; /* notifications that wait for a callback; each type comes once */
    int kept_count;
    int delivering; /* callbacks that run now */
    BOOL closed;
    handle *next; /* of the same object */
};

struct container_process {
    DWORD pid;
    BOOL exited;
    DWORD exit_code;
    HANDLE end; /* event */
    handle *handles;
    compute_system *system;
    container_process *next;
};

struct compute_system {
    char *id;
    char *kind; /* members of its properties that say what it is */
    BOOL stopped;
    handle *handles;
    container_process *processes;
    compute_system *next;
};

/* Guards everything below; never held over a callback or a file. */
static CRITICAL_SECTION lock;
static CONDITION_VARIABLE delivered;
static compute_system *systems;
static DWORD next_pid = 1000;

void system_initialize(void)
{
    InitializeCriticalSection(&lock);
    InitializeConditionVariable(&delivered);
}

/* ---- notifications ---- */

typedef struct { handle *to; DWORD type; notification_callback callback; void *context; } delivery;

static DWORD WINAPI deliver(void *context)
{
    delivery *d = context;
    d->callback(d->type, d->context, S_OK, L"");
    EnterCriticalSection(&lock);
    d->to->delivering--;
    LeaveCriticalSection(&lock);
    WakeAllConditionVariable(&delivered);
    free(d);
    return 0;
}

/* Each on a thread of its own: a caller may block in its callback. Locked. */
static void notify(handle *h, DWORD type)
{
    if (h->closed)
        return;
    if (!h->callback) {
        if (h->kept_count < (int)ARRAYSIZE(h->kept))
            h->kept[h->kept_count++] = type;
        return;
    }
    delivery *d = allocate(sizeof *d);
    d->to = h;
    d->type = type;
    d->callback = h->callback;
    d->context = h->context;
    h->delivering++;
    HANDLE thread = CreateThread(NULL, 0, deliver, d, 0, NULL);
    if (!thread)
        abort();
    CloseHandle(thread);
}

static void notify_all(handle *h, DWORD type)
{
    for (; h; h = h->next)
        notify(h, type);
}

static HRESULT register_callback(handle *h, notification_callback callback, void *context, handle **registration)
{
    EnterCriticalSection(&lock);
    h->callback = callback;
    h->context = context;
    for (int i = 0; i < h->kept_count; i++)
        notify(h, h->kept[i]);
    h->kept_count = 0;
    LeaveCriticalSection(&lock);
    *registration = h;
    return S_OK;
}

/* After this, no callback runs and none will. */
static HRESULT unregister_callback(handle *h)
{
    EnterCriticalSection(&lock);
    h->callback = NULL;
    while (h->delivering)
        SleepConditionVariableCS(&delivered, &lock, INFINITE);
    LeaveCriticalSection(&lock);
    return S_OK;
}

/* ---- handles ---- */

/* Locked. */
static handle *new_handle(compute_system *s, container_process *p)
{
    handle *h = allocate(sizeof *h), **list = p ? &p->handles : &s->handles;
    h->system = s;
    h->process = p;
    h->next = *list;
    *list = h;
    return h;
}

static void close_handle(handle *h)
{
    handle **at;
    EnterCriticalSection(&lock);
    h->closed = TRUE;
    while (h->delivering)
        SleepConditionVariableCS(&delivered, &lock, INFINITE);
    for (at = h->process ? &h->process->handles : &h->system->handles; *at != h; at = &(*at)->next)
        ;
    *at = h->next;
    LeaveCriticalSection(&lock);
    free(h);
}

/* Objects are never freed: they are few, and handles point to them. */
static compute_system *new_system(const char *id, const char *kind)
{
    compute_system *s = allocate(sizeof *s);
    s->id = copy(text_of(id));
    s->kind = copy(text_of(kind));
    s->next = systems;
    systems = s;
    return s;
}

/* The system of that id that has not stopped. Locked. */
static compute_system *live_system(const char *id)
{
    compute_system *s = systems;
    while (s && (s->stopped || strcmp(s->id, id)))
        s = s->next;
    return s;
}

/* ---- processes ---- */

static void end_process(container_process *p, DWORD code)
{
    EnterCriticalSection(&lock);
    if (!p->exited) {
        p->exited = TRUE;
        p->exit_code = code;
        SetEvent(p->end);
        notify_all(p->handles, process_exited);
    }
    LeaveCriticalSection(&lock);
}

typedef struct { container_process *process; DWORD ms; } lifetime;

static DWORD WINAPI live(void *context)
{
    lifetime *l = context;
    if (WaitForSingleObject(l->process->end, l->ms) == WAIT_TIMEOUT)
        end_process(l->process, 0);
    free(l);
    return 0;
}

/* ---- states of a system ---- */

static const char container_kind[] = "\"SystemType\":\"Container\",\"RuntimeOsType\":\"Windows\"";

/* What the document that a system is made of says it is. The caller frees. */
static char *kind_of(text document)
{
    text value;
    buffer b = { 0 };
    if (json_find(document, &value, "VirtualMachine", NULL)) {
        append(&b, "\"SystemType\":\"VirtualMachine\",\"RuntimeId\":\"");
        append_guid(&b);
        append(&b, "\"");
    } else {
        append(&b, container_kind);
    }
    return b.at;
}

static BOOL write_system(const char *id, const char *kind, const char *state)
{
    buffer b = { 0 };
    append(&b, "{\"Id\":");
    append_quoted(&b, text_of(id));
    append(&b, ",\"Owner\":\"containerd-shim-runhcs-v1.exe\",");
    append(&b, kind);
    append(&b, ",\"State\":");
    append_quoted(&b, text_of(state));
    append(&b, "}");
    state_lock();
    text content = { b.at, b.length };
    BOOL ok = state_write("systems", id, content);
    state_unlock();
    free(b.at);
    return ok;
}

/* Exit code of a process whose container ends: ERROR_PROCESS_ABORTED. */
enum { aborted = 1067 };

static HRESULT stop(handle *h)
{
    compute_system *s = h->system;
    EnterCriticalSection(&lock);
    BOOL before = s->stopped;
    container_process *processes = s->processes; /* grows at the front only */
    s->stopped = TRUE;
    LeaveCriticalSection(&lock);
    if (before)
        return DOUBLE_E_ALREADY_STOPPED;
    state_lock();
    BOOL there = state_remove("systems", s->id);
    state_unlock();
    for (container_process *p = processes; p; p = p->next)
        end_process(p, aborted);
    EnterCriticalSection(&lock);
    notify_all(s->handles, system_exited);
    LeaveCriticalSection(&lock);
    return there ? DOUBLE_E_PENDING : DOUBLE_E_ALREADY_STOPPED; /* another process was first */
}

/* ---- the API on systems ---- */

EXPORT HRESULT WINAPI HcsCreateComputeSystem(PCWSTR wide_id, PCWSTR configuration, HANDLE identity, handle **out, PWSTR *result)
{
    ULONGLONG began = call_begins();
    char *id = utf8(wide_id), *document = utf8(configuration), *known, *kind = kind_of(text_of(document));
    text value;
    HRESULT hr = DOUBLE_E_PENDING;
    (void)identity;
    *out = NULL;
    *result = NULL;

    state_lock();
    known = state_read("systems", id);
    state_unlock();
    if (known) {
        hr = DOUBLE_E_SYSTEM_EXISTS;
    } else if (!json_find(text_of(document), &value, NULL) || !value.length || value.at[0] != '{') {
        hr = DOUBLE_E_INVALID_JSON;
    } else if (json_find(text_of(document), &value, "Credentials", NULL)) {
        /* Schema 1: the service looks after the credentials by itself. */
        char *spec = json_string(value);
        HRESULT failed = spec && *spec ? ccg_start(id, spec) : S_OK;
        if (FAILED(failed)) {
            *result = ccg_failure(id, failed);
            hr = failed;
        }
        free(spec);
    }
    if (hr == DOUBLE_E_PENDING && !write_system(id, kind, "Created"))
        hr = E_FAIL;
    if (hr == DOUBLE_E_PENDING) {
        EnterCriticalSection(&lock);
        *out = new_handle(new_system(id, kind), NULL);
        notify(*out, create_completed);
        LeaveCriticalSection(&lock);
    }
    record_answer(began, "HcsCreateComputeSystem", id, configuration, *result, hr);
    free(kind);
    free(known);
    free(document);
    free(id);
    return hr;
}

EXPORT HRESULT WINAPI HcsOpenComputeSystem(PCWSTR wide_id, handle **out, PWSTR *result)
{
    ULONGLONG began = call_begins();
    char *id = utf8(wide_id), *known;
    HRESULT hr = DOUBLE_E_SYSTEM_NOT_FOUND;
    *out = NULL;
    *result = NULL;
    state_lock();
    known = state_read("systems", id);
    state_unlock();
    if (known) {
        EnterCriticalSection(&lock);
        compute_system *s = live_system(id);
        *out = new_handle(s ? s : new_system(id, container_kind), NULL);
        LeaveCriticalSection(&lock);
        hr = S_OK;
    }
    record(began, "HcsOpenComputeSystem", id, NULL, hr);
    free(known);
    free(id);
    return hr;
}

EXPORT HRESULT WINAPI HcsCloseComputeSystem(handle *h)
{
    record(call_begins(), "HcsCloseComputeSystem", h->system->id, NULL, S_OK);
    close_handle(h);
    return S_OK;
}

static void append_system(text content, void *context)
{
    buffer *b = context;
    if (b->at[b->length - 1] != '[')
        append(b, ",");
    append_text(b, content);
}

EXPORT HRESULT WINAPI HcsEnumerateComputeSystems(PCWSTR query, PWSTR *out, PWSTR *result)
{
    ULONGLONG began = call_begins();
    buffer b = { 0 };
    *result = NULL;
    append(&b, "[");
    state_lock();
    state_each("systems", append_system, &b);
    state_unlock();
    append(&b, "]");
    *out = task_string(b.at);
    free(b.at);
    return record_answer(began, "HcsEnumerateComputeSystems", "", query, *out, S_OK);
}

EXPORT HRESULT WINAPI HcsStartComputeSystem(handle *h, PCWSTR options, PWSTR *result)
{
    ULONGLONG began = call_begins();
    HRESULT hr = DOUBLE_E_PENDING;
    *result = NULL;
    EnterCriticalSection(&lock);
    if (h->system->stopped)
        hr = DOUBLE_E_ALREADY_STOPPED;
    else
        notify_all(h->system->handles, start_completed);
    LeaveCriticalSection(&lock);
    if (hr == DOUBLE_E_PENDING)
        write_system(h->system->id, h->system->kind, "Running");
    return record(began, "HcsStartComputeSystem", h->system->id, options, hr);
}

EXPORT HRESULT WINAPI HcsShutdownComputeSystem(handle *h, PCWSTR options, PWSTR *result)
{
    ULONGLONG began = call_begins();
    *result = NULL;
    return record(began, "HcsShutdownComputeSystem", h->system->id, options, stop(h));
}

EXPORT HRESULT WINAPI HcsTerminateComputeSystem(handle *h, PCWSTR options, PWSTR *result)
{
    ULONGLONG began = call_begins();
    *result = NULL;
    return record(began, "HcsTerminateComputeSystem", h->system->id, options, stop(h));
}

static void is_process_list(text element, void *context)
{
    char *type = json_string(element);
    if (type && strcmp(type, "ProcessList") == 0)
        *(BOOL *)context = TRUE;
    free(type);
}

/* By it containerd, when it comes back, tells a running container from a leak. */
static void append_processes(buffer *b, compute_system *s)
{
    const char *between = "";
    append(b, ",\"ProcessList\":[");
    EnterCriticalSection(&lock);
    for (container_process *p = s->processes; p; p = p->next) {
        if (p->exited)
            continue;
        append_format(b, "%s{\"ProcessId\":%lu,\"ImageName\":\"double.exe\"}", between, (unsigned long)p->pid);
        between = ",";
    }
    LeaveCriticalSection(&lock);
    append(b, "]");
}

EXPORT HRESULT WINAPI HcsGetComputeSystemProperties(handle *h, PCWSTR query, PWSTR *out, PWSTR *result)
{
    ULONGLONG began = call_begins();
    text types;
    BOOL with_processes = FALSE;
    char *asked = utf8(query), *properties;
    *out = NULL;
    *result = NULL;
    if (json_find(text_of(asked), &types, "PropertyTypes", NULL))
        json_each(types, is_process_list, &with_processes);
    state_lock();
    properties = state_read("systems", h->system->id);
    state_unlock();
    if (properties) {
        buffer b = { 0 };
        text open = { properties, strlen(properties) - 1 }; /* without the brace that closes it */
        append_text(&b, open);
        if (with_processes)
            append_processes(&b, h->system);
        append(&b, "}");
        *out = task_string(b.at);
        free(b.at);
    }
    free(properties);
    free(asked);
    return record_answer(began, "HcsGetComputeSystemProperties", h->system->id, query, *out, *out ? S_OK : DOUBLE_E_SYSTEM_NOT_FOUND);
}

EXPORT HRESULT WINAPI HcsModifyComputeSystem(handle *h, PCWSTR configuration, PWSTR *result)
{
    *result = NULL;
    return record(call_begins(), "HcsModifyComputeSystem", h->system->id, configuration, S_OK);
}

static HRESULT unsupported(const char *call, handle *h, PCWSTR options, PWSTR *result)
{
    *result = NULL;
    return record(call_begins(), call, h->system->id, options, DOUBLE_E_NOT_SUPPORTED);
}

EXPORT HRESULT WINAPI HcsPauseComputeSystem(handle *h, PCWSTR options, PWSTR *result)
{
    return unsupported("HcsPauseComputeSystem", h, options, result);
}

EXPORT HRESULT WINAPI HcsResumeComputeSystem(handle *h, PCWSTR options, PWSTR *result)
{
    return unsupported("HcsResumeComputeSystem", h, options, result);
}

EXPORT HRESULT WINAPI HcsSaveComputeSystem(handle *h, PCWSTR options, PWSTR *result)
{
    return unsupported("HcsSaveComputeSystem", h, options, result);
}

EXPORT HRESULT WINAPI HcsRegisterComputeSystemCallback(handle *h, notification_callback callback, void *context, handle **registration)
{
    return register_callback(h, callback, context, registration);
}

EXPORT HRESULT WINAPI HcsUnregisterComputeSystemCallback(handle *registration)
{
    return unregister_callback(registration);
}

/* ---- the API on the service, but for service.c ---- */

EXPORT HRESULT WINAPI HcsModifyServiceSettings(PCWSTR settings, PWSTR *result)
{
    return service_modify(settings, result);
}

EXPORT HRESULT WINAPI HcsGetServiceProperties(PCWSTR query, PWSTR *out, PWSTR *result)
{
    *result = NULL;
    return service_properties(query, out);
}

/* The network service shares this DLL on old builds; there are no networks. */
EXPORT HRESULT WINAPI HNSCall(PCWSTR method, PCWSTR path, PCWSTR request, PWSTR *response)
{
    char *id = utf8(path);
    (void)method;
    *response = task_string("{\"Success\":true,\"Output\":[]}");
    HRESULT hr = record(call_begins(), "HNSCall", id, request, S_OK);
    free(id);
    return hr;
}

/* ---- the API on processes ---- */

/* HCS_PROCESS_INFORMATION */
typedef struct { DWORD ProcessId, Reserved; HANDLE StdInput, StdOutput, StdError; } process_information;

EXPORT HRESULT WINAPI HcsCreateProcess(handle *h, PCWSTR parameters, process_information *information, handle **out, PWSTR *result)
{
    ULONGLONG began = call_begins();
    lifetime *l = NULL;
    HRESULT hr = DOUBLE_E_ALREADY_STOPPED;
    *out = NULL;
    *result = NULL;
    memset(information, 0, sizeof *information); /* no standard handles: nothing writes to them */
    char *ms = setting("HCSDOUBLE_PROCESS_MS");

    EnterCriticalSection(&lock);
    if (!h->system->stopped) {
        container_process *p = allocate(sizeof *p);
        p->system = h->system;
        p->pid = next_pid += 4;
        p->end = CreateEventW(NULL, TRUE, FALSE, NULL);
        p->next = h->system->processes;
        h->system->processes = p;
        information->ProcessId = p->pid;
        *out = new_handle(h->system, p);
        l = allocate(sizeof *l);
        l->process = p;
        l->ms = ms && strtoul(ms, NULL, 10) ? (DWORD)strtoul(ms, NULL, 10) : INFINITE;
        hr = S_OK;
    }
    LeaveCriticalSection(&lock);
    free(ms);
    if (l) {
        HANDLE thread = CreateThread(NULL, 0, live, l, 0, NULL);
        if (!thread)
            abort();
        CloseHandle(thread);
    }
    return record(began, "HcsCreateProcess", h->system->id, parameters, hr);
}

EXPORT HRESULT WINAPI HcsOpenProcess(handle *h, DWORD pid, handle **out, PWSTR *result)
{
    ULONGLONG began = call_begins();
    container_process *p;
    *out = NULL;
    *result = NULL;
    EnterCriticalSection(&lock);
    for (p = h->system->processes; p && p->pid != pid; p = p->next)
        ;
    if (p)
        *out = new_handle(h->system, p);
    LeaveCriticalSection(&lock);
    return record(began, "HcsOpenProcess", h->system->id, NULL, p ? S_OK : DOUBLE_E_NOT_FOUND);
}

EXPORT HRESULT WINAPI HcsCloseProcess(handle *h)
{
    record(call_begins(), "HcsCloseProcess", h->system->id, NULL, S_OK);
    close_handle(h);
    return S_OK;
}

static HRESULT kill(const char *call, handle *h, PCWSTR options)
{
    ULONGLONG began = call_begins();
    EnterCriticalSection(&lock);
    BOOL before = h->process->exited;
    LeaveCriticalSection(&lock);
    end_process(h->process, aborted);
    return record(began, call, h->system->id, options, before ? DOUBLE_E_PROCESS_STOPPED : S_OK);
}

EXPORT HRESULT WINAPI HcsTerminateProcess(handle *h, PWSTR *result)
{
    *result = NULL;
    return kill("HcsTerminateProcess", h, NULL);
}

EXPORT HRESULT WINAPI HcsSignalProcess(handle *h, PCWSTR options, PWSTR *result)
{
    *result = NULL;
    return kill("HcsSignalProcess", h, options);
}

EXPORT HRESULT WINAPI HcsGetProcessInfo(handle *h, process_information *information, PWSTR *result)
{
    *result = NULL;
    memset(information, 0, sizeof *information);
    information->ProcessId = h->process->pid;
    return record(call_begins(), "HcsGetProcessInfo", h->system->id, NULL, S_OK);
}

EXPORT HRESULT WINAPI HcsGetProcessProperties(handle *h, PWSTR *out, PWSTR *result)
{
    buffer b = { 0 };
    *result = NULL;
    EnterCriticalSection(&lock);
    append_format(&b, "{\"ProcessId\":%lu,\"Exited\":%s,\"ExitCode\":%lu,\"LastWaitResult\":0}", (unsigned long)h->process->pid,
                  h->process->exited ? "true" : "false", (unsigned long)h->process->exit_code);
    LeaveCriticalSection(&lock);
    *out = task_string(b.at);
    free(b.at);
    return record_answer(call_begins(), "HcsGetProcessProperties", h->system->id, NULL, *out, S_OK);
}

EXPORT HRESULT WINAPI HcsModifyProcess(handle *h, PCWSTR settings, PWSTR *result)
{
    *result = NULL;
    return record(call_begins(), "HcsModifyProcess", h->system->id, settings, S_OK);
}

EXPORT HRESULT WINAPI HcsRegisterProcessCallback(handle *h, notification_callback callback, void *context, handle **registration)
{
    return register_callback(h, callback, context, registration);
}

EXPORT HRESULT WINAPI HcsUnregisterProcessCallback(handle *registration)
{
    return unregister_callback(registration);
}

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, void *reserved)
{
    (void)instance, (void)reserved;
    if (reason == DLL_PROCESS_ATTACH)
        system_initialize();
    return TRUE;
}
