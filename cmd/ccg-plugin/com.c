//go:build windows && cgo

/*
 * The COM side of the plugin: the DLL's exports, the class factory and the
 * object. Everything that is more than COM is done in Go.
 *
 * Nothing here keeps data between calls but reference counts, so any number of
 * threads may call. The class factory and its table are constants, because the
 * DLL stays loaded for good.
 */
#include "ccg.h"
#include "hresult.h"
#include "edge.h"
#include "_cgo_export.h"

typedef struct {
    ICcgDomainAuthCredentials com; /* first: COM's pointer is ours */
    LONG references;
} plugin;

static HRESULT STDMETHODCALLTYPE plugin_QueryInterface(ICcgDomainAuthCredentials *this, REFIID iid, void **out)
{
    if (!out)
        return E_POINTER;
    *out = NULL;
    if (!IsEqualIID(iid, &IID_IUnknown) && !IsEqualIID(iid, &IID_ICcgDomainAuthCredentials))
        return E_NOINTERFACE;
    this->lpVtbl->AddRef(this);
    *out = this;
    return S_OK;
}

static ULONG STDMETHODCALLTYPE plugin_AddRef(ICcgDomainAuthCredentials *this)
{
    return InterlockedIncrement(&((plugin *)this)->references);
}

static ULONG STDMETHODCALLTYPE plugin_Release(ICcgDomainAuthCredentials *this)
{
    LONG left = InterlockedDecrement(&((plugin *)this)->references);
    if (left == 0)
        CoTaskMemFree(this);
    return left;
}

static HRESULT STDMETHODCALLTYPE plugin_GetPasswordCredentials(ICcgDomainAuthCredentials *this, LPCWSTR input,
                                                               LPWSTR *domain, LPWSTR *user, LPWSTR *password)
{
    credentials got = {NULL, NULL, NULL};
    size_t units;
    HRESULT result;

    (void)this;
    /* Null what can be nulled, also when one of the three is missing. */
    if (domain)
        *domain = NULL;
    if (user)
        *user = NULL;
    if (password)
        *password = NULL;
    if (!domain || !user || !password)
        return goRefused(E_POINTER);
    if (!input)
        return goRefused(GMSA_E_NO_INPUT);
    units = wcsnlen(input, EDGE_MAX_INPUT + 1);
    if (units > EDGE_MAX_INPUT)
        return goRefused(GMSA_E_INPUT_TOO_LONG);
    result = goGetPasswordCredentials((WCHAR *)input, units, &got);
    if (FAILED(result))
        return result;
    *domain = got.domain;
    *user = got.user;
    *password = got.password;
    return S_OK;
}

static const ICcgDomainAuthCredentialsVtbl plugin_vtable = {
    plugin_QueryInterface,
    plugin_AddRef,
    plugin_Release,
    plugin_GetPasswordCredentials,
};

static HRESULT STDMETHODCALLTYPE factory_QueryInterface(IClassFactory *this, REFIID iid, void **out)
{
    if (!out)
        return E_POINTER;
    *out = NULL;
    if (!IsEqualIID(iid, &IID_IUnknown) && !IsEqualIID(iid, &IID_IClassFactory))
        return E_NOINTERFACE;
    *out = this;
    return S_OK;
}

/* The factory is not counted: there is one, for as long as the process lives. */
static ULONG STDMETHODCALLTYPE factory_AddRef(IClassFactory *this)
{
    (void)this;
    return 2;
}

static ULONG STDMETHODCALLTYPE factory_Release(IClassFactory *this)
{
    (void)this;
    return 1;
}

static HRESULT STDMETHODCALLTYPE factory_CreateInstance(IClassFactory *this, IUnknown *outer, REFIID iid, void **out)
{
    plugin *made;
    HRESULT result;

    (void)this;
    if (!out)
        return E_POINTER;
    *out = NULL;
    if (outer)
        return CLASS_E_NOAGGREGATION;
    made = CoTaskMemAlloc(sizeof *made);
    if (!made)
        return E_OUTOFMEMORY;
    made->com.lpVtbl = &plugin_vtable;
    made->references = 1;
    result = plugin_QueryInterface(&made->com, iid, out);
    plugin_Release(&made->com); /* QueryInterface holds it now, or nobody does */
    return result;
}

static HRESULT STDMETHODCALLTYPE factory_LockServer(IClassFactory *this, BOOL lock)
{
    (void)this;
    (void)lock; /* the DLL is never unloaded */
    return S_OK;
}

static IClassFactoryVtbl factory_vtable = {
    factory_QueryInterface, factory_AddRef, factory_Release, factory_CreateInstance, factory_LockServer,
};

static IClassFactory factory = {&factory_vtable};

__declspec(dllexport) HRESULT STDMETHODCALLTYPE DllGetClassObject(REFCLSID clsid, REFIID iid, void **out)
{
    if (!out)
        return E_POINTER;
    *out = NULL;
    if (!IsEqualCLSID(clsid, &CLSID_GmsaCcgPlugin))
        return CLASS_E_CLASSNOTAVAILABLE;
    return factory_QueryInterface(&factory, iid, out);
}

/* A Go runtime cannot be unloaded: its threads would run on in freed code. */
__declspec(dllexport) HRESULT STDMETHODCALLTYPE DllCanUnloadNow(void)
{
    return S_FALSE;
}

extern IMAGE_DOS_HEADER __ImageBase; /* the linker's: where this DLL is loaded */

__declspec(dllexport) HRESULT STDMETHODCALLTYPE DllRegisterServer(void)
{
    return goRegister((uintptr_t)&__ImageBase);
}

__declspec(dllexport) HRESULT STDMETHODCALLTYPE DllUnregisterServer(void)
{
    return goUnregister();
}
