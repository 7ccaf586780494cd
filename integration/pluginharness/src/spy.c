#define COBJMACROS
#include "spy.h"

#include <objbase.h>

static LONG held;
static DWORD failing_thread;
static int until_failure;

void spy_fail(int nth)
{
    failing_thread = GetCurrentThreadId();
    until_failure = nth;
}

LONG spy_held(void)
{
    return InterlockedCompareExchange(&held, 0, 0);
}

static HRESULT STDMETHODCALLTYPE spy_QueryInterface(IMallocSpy *this, REFIID iid, void **out)
{
    if (!IsEqualIID(iid, &IID_IUnknown) && !IsEqualIID(iid, &IID_IMallocSpy)) {
        *out = NULL;
        return E_NOINTERFACE;
    }
    *out = this;
    return S_OK;
}

static ULONG STDMETHODCALLTYPE spy_AddRef(IMallocSpy *this)
{
    (void)this;
    return 2;
}

static ULONG STDMETHODCALLTYPE spy_Release(IMallocSpy *this)
{
    (void)this;
    return 1;
}

/* Zero makes the allocation fail. */
static SIZE_T STDMETHODCALLTYPE spy_PreAlloc(IMallocSpy *this, SIZE_T size)
{
    (void)this;
    if (until_failure > 0 && GetCurrentThreadId() == failing_thread && --until_failure == 0)
        return 0;
    return size;
}

static void *STDMETHODCALLTYPE spy_PostAlloc(IMallocSpy *this, void *actual)
{
    (void)this;
    if (actual)
        InterlockedIncrement(&held);
    return actual;
}

static void *STDMETHODCALLTYPE spy_PreFree(IMallocSpy *this, void *request, BOOL spied)
{
    (void)this;
    if (request && spied)
        InterlockedDecrement(&held);
    return request;
}

static void STDMETHODCALLTYPE spy_PostFree(IMallocSpy *this, BOOL spied)
{
    (void)this;
    (void)spied;
}

static SIZE_T STDMETHODCALLTYPE spy_PreRealloc(IMallocSpy *this, void *request, SIZE_T size, void **actual, BOOL spied)
{
    (void)this;
    (void)spied;
    *actual = request;
    return size;
}

static void *STDMETHODCALLTYPE spy_PostRealloc(IMallocSpy *this, void *actual, BOOL spied)
{
    (void)this;
    (void)spied;
    return actual;
}

static void *STDMETHODCALLTYPE spy_PreGetSize(IMallocSpy *this, void *request, BOOL spied)
{
    (void)this;
    (void)spied;
    return request;
}

static SIZE_T STDMETHODCALLTYPE spy_PostGetSize(IMallocSpy *this, SIZE_T actual, BOOL spied)
{
    (void)this;
    (void)spied;
    return actual;
}

static void *STDMETHODCALLTYPE spy_PreDidAlloc(IMallocSpy *this, void *request, BOOL spied)
{
    (void)this;
    (void)spied;
    return request;
}

static int STDMETHODCALLTYPE spy_PostDidAlloc(IMallocSpy *this, void *request, BOOL spied, int actual)
{
    (void)this;
    (void)request;
    (void)spied;
    return actual;
}

static void STDMETHODCALLTYPE spy_PreHeapMinimize(IMallocSpy *this)
{
    (void)this;
}

static void STDMETHODCALLTYPE spy_PostHeapMinimize(IMallocSpy *this)
{
    (void)this;
}

static IMallocSpyVtbl vtable = {
    spy_QueryInterface, spy_AddRef,      spy_Release,     spy_PreAlloc,    spy_PostAlloc,
    spy_PreFree,        spy_PostFree,    spy_PreRealloc,  spy_PostRealloc, spy_PreGetSize,
    spy_PostGetSize,    spy_PreDidAlloc, spy_PostDidAlloc, spy_PreHeapMinimize, spy_PostHeapMinimize,
};

static IMallocSpy spy = {&vtable};

HRESULT spy_start(void)
{
    return CoRegisterMallocSpy(&spy);
}
