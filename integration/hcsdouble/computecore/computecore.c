/*
 * computecore.dll: HCS's documented interface, as far as the agent uses it. It
 * answers from the same state as vmcompute.dll.
 *
 * C declarations: https://learn.microsoft.com/virtualization/api/hcs/reference/hcsgetserviceproperties
 * and https://learn.microsoft.com/virtualization/api/hcs/reference/hcsmodifyservicesettings.
 * Their strings are the caller's to release with LocalFree.
 */
#include "../vmcompute/double.h"

#include <string.h>

/* Moves a string of CoTaskMemAlloc's into memory of LocalAlloc's. */
static PWSTR local_string(PWSTR task)
{
    if (!task)
        return NULL;
    size_t size = (wcslen(task) + 1) * sizeof *task;
    PWSTR local = LocalAlloc(LMEM_FIXED, size);
    if (local)
        memcpy(local, task, size);
    CoTaskMemFree(task);
    return local;
}

EXPORT HRESULT WINAPI HcsGetServiceProperties(PCWSTR query, PWSTR *result)
{
    PWSTR task;
    HRESULT hr = service_properties(query, &task);
    *result = local_string(task);
    return hr;
}

EXPORT HRESULT WINAPI HcsModifyServiceSettings(PCWSTR settings, PWSTR *result)
{
    PWSTR task;
    HRESULT hr = service_modify(settings, &task);
    task = local_string(task);
    if (result)
        *result = task;
    else
        LocalFree(task);
    return hr;
}
