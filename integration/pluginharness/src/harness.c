/*
 * The plugin's harness: does to the plugin what CCG does, and what CCG would
 * not. A C program, because a program may hold one Go runtime only.
 *
 *     harness inproc|local COMMAND [ARGUMENT...]
 *
 * It prints one "name value" a line, UTF-8, and exits 0 if it could do what
 * was asked, whatever the plugin answered; 1 if it could not, with the reason
 * in "failed"; 2 for wrong usage.
 */
#include "ccg.h"
#include "hresult.h"
#include "spy.h"

#include <psapi.h>
#include <tlhelp32.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef ICcgDomainAuthCredentials Plugin;

static DWORD context;

static int failed(const char *what, HRESULT result)
{
    printf("failed %s 0x%08lX\n", what, (unsigned long)result);
    return 1;
}

static void print_text(const char *name, LPCWSTR text)
{
    char utf8[8192];

    if (!text) {
        printf("%s NULL\n", name);
        return;
    }
    if (!WideCharToMultiByte(CP_UTF8, 0, text, -1, utf8, sizeof utf8, NULL, NULL))
        strcpy(utf8, "(unprintable)");
    printf("%s %s\n", name, utf8);
}

/* The UTF-16 units, four hexadecimal digits each: of what UTF-8 cannot carry,
 * of line ends and of normal forms, nothing is lost. */
static void print_units(const char *name, int number, LPCWSTR text)
{
    static const char digits[] = "0123456789abcdef";
    char hex[4 * 4096 + 1];
    char *to = hex;

    if (!text) {
        printf("%s-%d NULL\n", name, number);
        return;
    }
    for (; *text && to < hex + 4 * 4096; text++) {
        *to++ = digits[*text >> 12];
        *to++ = digits[*text >> 8 & 15];
        *to++ = digits[*text >> 4 & 15];
        *to++ = digits[*text & 15];
    }
    *to = 0;
    printf("%s-%d %s\n", name, number, hex);
}

/* One at a time: in Wine 8, activations of one class in processes of their own
 * that overlap fail now and then (E_NOINTERFACE), whatever the class is. */
static HRESULT activate(Plugin **plugin)
{
    static SRWLOCK one = SRWLOCK_INIT;
    HRESULT result;

    AcquireSRWLockExclusive(&one);
    result = CoCreateInstance(&CLSID_GmsaCcgPlugin, NULL, context, &IID_ICcgDomainAuthCredentials, (void **)plugin);
    ReleaseSRWLockExclusive(&one);
    return result;
}

static HRESULT get(Plugin *plugin, LPCWSTR input, LPWSTR *domain, LPWSTR *user, LPWSTR *password)
{
    /* Not NULL, so that it shows who nulls them. */
    *domain = *user = *password = (LPWSTR)(UINT_PTR)0xDEAD;
    return plugin->lpVtbl->GetPasswordCredentials(plugin, input, domain, user, password);
}

static void give_back(LPWSTR domain, LPWSTR user, LPWSTR password)
{
    CoTaskMemFree(domain);
    CoTaskMemFree(user);
    CoTaskMemFree(password);
}

/* call INPUT: one call. */
static int command_call(Plugin *plugin, LPCWSTR input)
{
    LPWSTR domain, user, password;
    HRESULT result = get(plugin, input, &domain, &user, &password);

    printf("result 0x%08lX\n", (unsigned long)result);
    print_text("domain", domain);
    print_text("user", user);
    print_text("password", password);
    if (SUCCEEDED(result))
        give_back(domain, user, password);
    return 0;
}

/* each: one call for each line of standard input, which is an input in ASCII.
 * The first line is number 0. */
static int command_each(Plugin *plugin)
{
    char line[2048];
    WCHAR input[2048];
    int number;

    for (number = 0; fgets(line, sizeof line, stdin); number++) {
        LPWSTR domain, user, password;
        HRESULT result;

        line[strcspn(line, "\r\n")] = 0;
        if (!MultiByteToWideChar(CP_UTF8, 0, line, -1, input, 2048))
            return failed("input", HRESULT_FROM_WIN32(GetLastError()));
        result = get(plugin, input, &domain, &user, &password);
        printf("result-%d 0x%08lX\n", number, (unsigned long)result);
        print_units("domain", number, domain);
        print_units("user", number, user);
        print_units("password", number, password);
        if (SUCCEEDED(result))
            give_back(domain, user, password);
    }
    printf("calls %d\n", number);
    return 0;
}

/* long UNITS: an input of that many characters. */
static int command_long(Plugin *plugin, size_t units)
{
    WCHAR *input = malloc((units + 1) * sizeof *input);
    size_t i;
    int code;

    if (!input)
        return failed("malloc", E_OUTOFMEMORY);
    for (i = 0; i < units; i++)
        input[i] = L'x';
    input[units] = 0;
    code = command_call(plugin, input);
    free(input);
    return code;
}

/* pointers INPUT: every combination with at least one place missing. In the
 * process only: a proxy refuses them before the plugin sees them. */
static int command_pointers(Plugin *plugin, LPCWSTR input)
{
    int missing;

    for (missing = 1; missing < 8; missing++) {
        LPWSTR out[3] = {(LPWSTR)(UINT_PTR)0xDEAD, (LPWSTR)(UINT_PTR)0xDEAD, (LPWSTR)(UINT_PTR)0xDEAD};
        LPWSTR *place[3];
        int i, left = 0;
        HRESULT result;

        for (i = 0; i < 3; i++)
            place[i] = missing & (1 << i) ? NULL : &out[i];
        result = plugin->lpVtbl->GetPasswordCredentials(plugin, input, place[0], place[1], place[2]);
        for (i = 0; i < 3; i++)
            left += place[i] && out[i];
        printf("missing-%d 0x%08lX left %d\n", missing, (unsigned long)result, left);
    }
    return 0;
}

/* com: what COM asks of an object and its factory. In the process only. */
static int command_com(Plugin *plugin)
{
    static const IID foreign = {0x12345678, 0x1234, 0x1234, {1, 2, 3, 4, 5, 6, 7, 8}};
    IClassFactory *factory = NULL;
    IUnknown *unknown = NULL, *again = NULL;
    void *out = (void *)(UINT_PTR)0xDEAD;
    HMODULE dll;
    HRESULT(WINAPI * can_unload)(void);
    HRESULT(WINAPI * get_class)(REFCLSID, REFIID, void **);
    HRESULT result;

    result = plugin->lpVtbl->QueryInterface(plugin, &foreign, &out);
    printf("foreign-interface 0x%08lX left %d\n", (unsigned long)result, out != NULL);
    printf("no-place 0x%08lX\n", (unsigned long)plugin->lpVtbl->QueryInterface(plugin, &foreign, NULL));
    plugin->lpVtbl->QueryInterface(plugin, &IID_IUnknown, (void **)&unknown);
    plugin->lpVtbl->QueryInterface(plugin, &IID_IUnknown, (void **)&again);
    printf("identity %d\n", unknown && unknown == again);
    plugin->lpVtbl->AddRef(plugin);
    printf("references %lu\n", plugin->lpVtbl->Release(plugin)); /* plugin, unknown, again */
    if (unknown)
        IUnknown_Release(unknown);
    if (again)
        IUnknown_Release(again);

    result = CoGetClassObject(&CLSID_GmsaCcgPlugin, context, NULL, &IID_IClassFactory, (void **)&factory);
    if (FAILED(result))
        return failed("class-object", result);
    out = (void *)(UINT_PTR)0xDEAD;
    result = IClassFactory_CreateInstance(factory, (IUnknown *)factory, &IID_IUnknown, &out);
    printf("aggregation 0x%08lX left %d\n", (unsigned long)result, out != NULL);
    out = (void *)(UINT_PTR)0xDEAD;
    result = IClassFactory_CreateInstance(factory, NULL, &foreign, &out);
    printf("foreign-instance 0x%08lX left %d\n", (unsigned long)result, out != NULL);
    printf("lock 0x%08lX\n", (unsigned long)IClassFactory_LockServer(factory, TRUE));
    printf("unlock 0x%08lX\n", (unsigned long)IClassFactory_LockServer(factory, FALSE));
    IClassFactory_Release(factory);

    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (LPCWSTR)plugin->lpVtbl, &dll);
    can_unload = (HRESULT(WINAPI *)(void))(void *)GetProcAddress(dll, "DllCanUnloadNow");
    get_class = (HRESULT(WINAPI *)(REFCLSID, REFIID, void **))(void *)GetProcAddress(dll, "DllGetClassObject");
    if (!can_unload || !get_class)
        return failed("exports", HRESULT_FROM_WIN32(GetLastError()));
    printf("can-unload 0x%08lX\n", (unsigned long)can_unload());
    out = (void *)(UINT_PTR)0xDEAD;
    result = get_class(&foreign, &IID_IClassFactory, &out);
    printf("foreign-class 0x%08lX left %d\n", (unsigned long)result, out != NULL);
    return 0;
}

/* allocations INPUT: the first, second, ... allocation of a call fails, until
 * none does. In the process only. */
static int command_allocations(Plugin *plugin, LPCWSTR input)
{
    LPWSTR domain, user, password;
    HRESULT result;
    int nth;

    for (nth = 1; nth < 16; nth++) {
        spy_fail(nth);
        result = get(plugin, input, &domain, &user, &password);
        spy_fail(0);
        printf("allocation-%d 0x%08lX left %d held %ld\n", nth, (unsigned long)result,
               domain != NULL || user != NULL || password != NULL, spy_held());
        if (SUCCEEDED(result)) {
            give_back(domain, user, password);
            printf("held %ld\n", spy_held());
            return 0;
        }
    }
    return failed("allocations", result);
}

typedef struct {
    LPCWSTR input;
    int calls;
    LONG *wrong;
    Plugin *plugin; /* for "shared" */
} work;

/* The server answers an input with itself in user and password. */
static int right(LPCWSTR input, LPCWSTR domain, LPCWSTR user, LPCWSTR password)
{
    WCHAR want[256];

    wsprintfW(want, L"user-%s", input);
    if (lstrcmpW(domain, L"contoso.com") || lstrcmpW(user, want))
        return 0;
    wsprintfW(want, L"p\u00e4$$-%s", input);
    return !lstrcmpW(password, want);
}

static void call_often(work *w, Plugin *plugin)
{
    HRESULT result;
    int i;

    for (i = 0; i < w->calls; i++) {
        LPWSTR domain, user, password;

        result = get(plugin, w->input, &domain, &user, &password);
        if (FAILED(result)) {
            if (InterlockedIncrement(w->wrong) < 8)
                printf("thread 0x%08lX\n", (unsigned long)result);
            continue;
        }
        if (!right(w->input, domain, user, password))
            InterlockedIncrement(w->wrong);
        give_back(domain, user, password);
    }
}

static DWORD WINAPI worker(void *argument)
{
    work *w = argument;
    Plugin *plugin;
    HRESULT result;

    CoInitializeEx(NULL, COINIT_MULTITHREADED);
    result = activate(&plugin);
    if (FAILED(result)) {
        printf("thread 0x%08lX\n", (unsigned long)result);
        InterlockedIncrement(w->wrong);
        CoUninitialize();
        return 1;
    }
    call_often(w, plugin);
    plugin->lpVtbl->Release(plugin);
    CoUninitialize();
    return 0;
}

static DWORD WINAPI sharing_worker(void *argument)
{
    work *w = argument;

    CoInitializeEx(NULL, COINIT_MULTITHREADED);
    call_often(w, w->plugin);
    CoUninitialize();
    return 0;
}

/* A new handle takes a free place of the process's table, so its value tells
 * about how many there are. (GetProcessHandleCount does not, under Wine.) */
static unsigned handle_mark(void)
{
    HANDLE h = CreateEventW(NULL, FALSE, FALSE, NULL);

    CloseHandle(h);
    return (unsigned)((UINT_PTR)h / 4);
}

static void print_footprint(const char *when)
{
    PROCESS_MEMORY_COUNTERS memory = {.cb = sizeof memory};

    GetProcessMemoryInfo(GetCurrentProcess(), &memory, sizeof memory);
    printf("footprint-%s kib %lu handles %u held %ld\n", when, (unsigned long)(memory.WorkingSetSize / 1024),
           handle_mark(), spy_held());
}

/* The working sets of all plugin hosts, and how many there are. */
static void print_hosts(const char *when)
{
    HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    PROCESSENTRY32W entry = {.dwSize = sizeof entry};
    unsigned long kib = 0;
    int count = 0;
    BOOL more;

    for (more = Process32FirstW(all, &entry); more; more = Process32NextW(all, &entry)) {
        PROCESS_MEMORY_COUNTERS memory = {.cb = sizeof memory};
        HANDLE process;

        if (lstrcmpiW(entry.szExeFile, L"dllhost.exe"))
            continue;
        process = OpenProcess(PROCESS_QUERY_INFORMATION | PROCESS_VM_READ, FALSE, entry.th32ProcessID);
        if (process && GetProcessMemoryInfo(process, &memory, sizeof memory)) {
            kib += (unsigned long)(memory.WorkingSetSize / 1024);
            count++;
        }
        CloseHandle(process);
    }
    CloseHandle(all);
    printf("hosts-%s count %d kib %lu\n", when, count, kib);
}

/* threads ROUNDS CALLS INPUT...: a thread for each input, all at once, each
 * calling CALLS times; and that ROUNDS times. Each activates the plugin for
 * itself, or all call the one that is given. */
static int command_threads(Plugin *shared, int rounds, int calls, LPWSTR *inputs, int count)
{
    HANDLE threads[MAXIMUM_WAIT_OBJECTS];
    work works[MAXIMUM_WAIT_OBJECTS];
    LONG wrong = 0;
    char when[16];
    int round, i;

    if (count > MAXIMUM_WAIT_OBJECTS)
        return failed("threads", E_INVALIDARG);
    for (round = 0; round < rounds; round++) {
        for (i = 0; i < count; i++) {
            works[i] = (work){inputs[i], calls, &wrong, shared};
            threads[i] = CreateThread(NULL, 0, shared ? sharing_worker : worker, &works[i], 0, NULL);
            if (!threads[i])
                return failed("CreateThread", HRESULT_FROM_WIN32(GetLastError()));
        }
        WaitForMultipleObjects(count, threads, TRUE, INFINITE);
        for (i = 0; i < count; i++)
            CloseHandle(threads[i]);
        sprintf(when, "%d", round + 1);
        print_footprint(when);
        if (shared)
            print_hosts(when);
    }
    printf("calls %d\n", rounds * calls * count);
    printf("wrong %ld\n", wrong);
    return 0;
}

/* repeat ROUNDS CALLS INPUT: the same call over and over, whatever comes of it. */
static int command_repeat(Plugin *plugin, int rounds, int calls, LPCWSTR input)
{
    LPWSTR domain, user, password;
    HRESULT result = S_OK;
    char when[16];
    int round, i;

    for (round = 0; round < rounds; round++) {
        for (i = 0; i < calls; i++) {
            result = get(plugin, input, &domain, &user, &password);
            if (SUCCEEDED(result))
                give_back(domain, user, password);
        }
        sprintf(when, "%d", round + 1);
        print_footprint(when);
    }
    printf("result 0x%08lX\n", (unsigned long)result);
    return 0;
}

/* export DLL NAME: calls an export without arguments, as regsvr32 does. */
static int command_export(LPCWSTR path, LPCWSTR name)
{
    char ascii[64];
    HMODULE dll = LoadLibraryW(path);
    HRESULT(WINAPI * function)(void);

    if (!dll)
        return failed("LoadLibrary", HRESULT_FROM_WIN32(GetLastError()));
    WideCharToMultiByte(CP_UTF8, 0, name, -1, ascii, sizeof ascii, NULL, NULL);
    function = (HRESULT(WINAPI *)(void))(void *)GetProcAddress(dll, ascii);
    if (!function)
        return failed("GetProcAddress", HRESULT_FROM_WIN32(GetLastError()));
    printf("result 0x%08lX\n", (unsigned long)function());
    return 0;
}

static int run(int count, LPWSTR *arguments)
{
    Plugin *plugin = NULL;
    LPCWSTR command = arguments[2];
    HRESULT result;
    int code = 2;

    if (count == 5 && !lstrcmpW(command, L"export"))
        return command_export(arguments[3], arguments[4]);
    if (count >= 6 && !lstrcmpW(command, L"threads"))
        return command_threads(NULL, _wtoi(arguments[3]), _wtoi(arguments[4]), arguments + 5, count - 5);

    result = activate(&plugin);
    if (FAILED(result))
        return failed("activate", result);
    if (count == 4 && !lstrcmpW(command, L"call"))
        code = command_call(plugin, arguments[3]);
    else if (count >= 6 && !lstrcmpW(command, L"shared"))
        code = command_threads(plugin, _wtoi(arguments[3]), _wtoi(arguments[4]), arguments + 5, count - 5);
    else if (count == 3 && !lstrcmpW(command, L"null"))
        code = command_call(plugin, NULL);
    else if (count == 3 && !lstrcmpW(command, L"each"))
        code = command_each(plugin);
    else if (count == 6 && !lstrcmpW(command, L"repeat"))
        code = command_repeat(plugin, _wtoi(arguments[3]), _wtoi(arguments[4]), arguments[5]);
    else if (count == 4 && !lstrcmpW(command, L"long"))
        code = command_long(plugin, _wtoi(arguments[3]));
    else if (count == 4 && !lstrcmpW(command, L"pointers"))
        code = command_pointers(plugin, arguments[3]);
    else if (count == 3 && !lstrcmpW(command, L"com"))
        code = command_com(plugin);
    else if (count == 4 && !lstrcmpW(command, L"allocations"))
        code = command_allocations(plugin, arguments[3]);
    plugin->lpVtbl->Release(plugin);
    return code;
}

int main(void)
{
    int count, code;
    LPWSTR *arguments = CommandLineToArgvW(GetCommandLineW(), &count);
    HRESULT result;

    setvbuf(stdout, NULL, _IONBF, 0);
    if (!arguments || count < 3)
        return 2;
    if (!lstrcmpW(arguments[1], L"inproc"))
        context = CLSCTX_INPROC_SERVER;
    else if (!lstrcmpW(arguments[1], L"local"))
        context = CLSCTX_LOCAL_SERVER;
    else
        return 2;
    result = CoInitializeEx(NULL, COINIT_MULTITHREADED);
    if (SUCCEEDED(result))
        result = spy_start();
    if (FAILED(result))
        return failed("COM", result);
    code = run(count, arguments);
    CoUninitialize();
    LocalFree(arguments);
    return code;
}
