/*
 * bcryptprimitives.dll for Wine before 8.13, which has none. Every Go program
 * loads it at its start for the one function below.
 *
 * Documentation: https://learn.microsoft.com/windows/win32/seccng/processprng
 */
#include <windows.h>

/* RtlGenRandom's exported name; advapi32's headers only declare the macro. */
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length)
{
    while (length > 0) {
        ULONG chunk = length > 0x10000000 ? 0x10000000 : (ULONG)length;
        if (!SystemFunction036(data, chunk))
            return FALSE;
        data += chunk;
        length -= chunk;
    }
    return TRUE;
}
