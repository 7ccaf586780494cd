/*
 * ICcgDomainAuthCredentials, the interface by which Container Credential Guard
 * asks a plugin for the plugin user's credentials, and our class of it.
 *
 * https://learn.microsoft.com/windows/win32/api/ccgplugins/nn-ccgplugins-iccgdomainauthcredentials
 */
#ifndef GMSA_CCG_H
#define GMSA_CCG_H

#define COBJMACROS
#include <windows.h>
#include <objbase.h>

/* {EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4}: ours, PluginGUID in credential specs. */
static const CLSID CLSID_GmsaCcgPlugin = {
    0xef7d2b85, 0x2e68, 0x4ab9, {0xa2, 0x83, 0xdc, 0x42, 0xd1, 0x5a, 0xf0, 0xd4}};

/* {6ECDA518-2010-4437-8BC3-46E752B7B172}: Microsoft's, the same for every plugin. */
static const IID IID_ICcgDomainAuthCredentials = {
    0x6ecda518, 0x2010, 0x4437, {0x8b, 0xc3, 0x46, 0xe7, 0x52, 0xb7, 0xb1, 0x72}};

typedef struct ICcgDomainAuthCredentials ICcgDomainAuthCredentials;

typedef struct ICcgDomainAuthCredentialsVtbl {
    HRESULT(STDMETHODCALLTYPE *QueryInterface)(ICcgDomainAuthCredentials *, REFIID, void **);
    ULONG(STDMETHODCALLTYPE *AddRef)(ICcgDomainAuthCredentials *);
    ULONG(STDMETHODCALLTYPE *Release)(ICcgDomainAuthCredentials *);
    /* The strings are the caller's, to be freed with CoTaskMemFree. */
    HRESULT(STDMETHODCALLTYPE *GetPasswordCredentials)(ICcgDomainAuthCredentials *, LPCWSTR pluginInput,
                                                       LPWSTR *domainName, LPWSTR *username, LPWSTR *password);
} ICcgDomainAuthCredentialsVtbl;

struct ICcgDomainAuthCredentials {
    const ICcgDomainAuthCredentialsVtbl *lpVtbl;
};

#endif
