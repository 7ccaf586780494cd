/*
 * Watches the COM task allocator of this process, by COM's own means for it,
 * so that the plugin needs no hook for tests.
 *
 * https://learn.microsoft.com/windows/win32/api/objidl/nn-objidl-imallocspy
 */
#ifndef GMSA_SPY_H
#define GMSA_SPY_H

#include <windows.h>

HRESULT spy_start(void);

/* Lets the nth allocation from now on of the calling thread fail; 0 lets none. */
void spy_fail(int nth);

/* How many allocations of the process are held. COM's own are among them, so
 * only differences mean something. */
LONG spy_held(void);

#endif
