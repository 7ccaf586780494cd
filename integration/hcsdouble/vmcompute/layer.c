/*
 * Container layers. Recorded: the calls, with the layer's path. Invented: that
 * they succeed. Nothing is mounted.
 *
 * C declarations: hcsshim documents them in internal/wclayer; the info and
 * descriptor structures are not looked into.
 */
#include "double.h"

#include <stdlib.h>
#include <string.h>

static HRESULT layer(const char *call, PCWSTR path)
{
    char *id = utf8(path);
    HRESULT hr = record(call_begins(), call, id, NULL, S_OK);
    free(id);
    return hr;
}

EXPORT HRESULT WINAPI ActivateLayer(const void *info, PCWSTR id)
{
    (void)info;
    return layer("ActivateLayer", id);
}

EXPORT HRESULT WINAPI DeactivateLayer(const void *info, PCWSTR id)
{
    (void)info;
    return layer("DeactivateLayer", id);
}

EXPORT HRESULT WINAPI DestroyLayer(const void *info, PCWSTR id)
{
    (void)info;
    return layer("DestroyLayer", id);
}

EXPORT HRESULT WINAPI PrepareLayer(const void *info, PCWSTR id, const void *descriptors, SIZE_T count)
{
    (void)info, (void)descriptors, (void)count;
    return layer("PrepareLayer", id);
}

EXPORT HRESULT WINAPI UnprepareLayer(const void *info, PCWSTR id)
{
    (void)info;
    return layer("UnprepareLayer", id);
}

EXPORT HRESULT WINAPI CreateSandboxLayer(const void *info, PCWSTR id, SIZE_T parent, const void *descriptors, SIZE_T count)
{
    (void)info, (void)parent, (void)descriptors, (void)count;
    return layer("CreateSandboxLayer", id);
}

EXPORT HRESULT WINAPI ExpandSandboxSize(const void *info, PCWSTR id, ULONGLONG size)
{
    (void)info, (void)size;
    return layer("ExpandSandboxSize", id);
}

/* Called twice: for the length in characters, then for the text. */
EXPORT HRESULT WINAPI GetLayerMountPath(const void *info, PCWSTR id, SIZE_T *length, PWSTR path)
{
    static const WCHAR volume[] = L"\\\\?\\Volume{6fcfcd44-6d3b-4d7b-a6c5-0d9f1a2b3c4d}\\";
    (void)info;
    if (path && *length >= ARRAYSIZE(volume))
        memcpy(path, volume, sizeof volume);
    *length = ARRAYSIZE(volume);
    return layer("GetLayerMountPath", id);
}

EXPORT HRESULT WINAPI LayerExists(const void *info, PCWSTR id, DWORD *exists)
{
    (void)info;
    *exists = TRUE;
    return layer("LayerExists", id);
}

/* The real one hashes the name with SHA-1 (RFC 4122); any stable GUID will do. */
EXPORT HRESULT WINAPI NameToGuid(PCWSTR name, GUID *guid)
{
    unsigned char *bytes = (unsigned char *)guid;
    memset(guid, 0, sizeof *guid);
    for (size_t i = 0; name[i]; i++)
        bytes[i % sizeof *guid] = (unsigned char)(bytes[i % sizeof *guid] * 31 + (unsigned char)name[i]);
    return layer("NameToGuid", name);
}

EXPORT HRESULT WINAPI GrantVmAccess(PCWSTR vm, PCWSTR file)
{
    (void)vm;
    return layer("GrantVmAccess", file);
}

EXPORT HRESULT WINAPI GetBaseImages(PWSTR *images)
{
    *images = task_string("[]");
    return layer("GetBaseImages", L"");
}
