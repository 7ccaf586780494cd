/* What passes between com.c and Go. */
#ifndef GMSA_EDGE_H
#define GMSA_EDGE_H

#include <stdint.h>
#include <windows.h>

/* The longest plugin input, in UTF-16 units; a test compares it with Go's. */
#define EDGE_MAX_INPUT 1024

/* Strings of the COM task allocator; all three or none. */
typedef struct {
    LPWSTR domain, user, password;
} credentials;

#endif
