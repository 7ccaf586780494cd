/* What the files of the HCS double share. See README.md. */
#ifndef HCSDOUBLE_DOUBLE_H
#define HCSDOUBLE_DOUBLE_H

#include <stddef.h>
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <objbase.h>

#define EXPORT __declspec(dllexport)

/* Results, as winerror.h and the HCS documentation name them. */
#define DOUBLE_E_PENDING          ((HRESULT)0xC0370103) /* HCS_E_OPERATION_PENDING */
#define DOUBLE_E_INVALID_JSON     ((HRESULT)0xC037010D) /* HCS_E_INVALID_JSON */
#define DOUBLE_E_SYSTEM_NOT_FOUND ((HRESULT)0xC037010E) /* HCS_E_SYSTEM_NOT_FOUND */
#define DOUBLE_E_SYSTEM_EXISTS    ((HRESULT)0xC037010F) /* HCS_E_SYSTEM_ALREADY_EXISTS */
#define DOUBLE_E_ALREADY_STOPPED  ((HRESULT)0xC0370110) /* HCS_E_SYSTEM_ALREADY_STOPPED */
#define DOUBLE_E_PROCESS_STOPPED  ((HRESULT)0x8037011F) /* HCS_E_PROCESS_ALREADY_STOPPED */
#define DOUBLE_E_NOT_FOUND        HRESULT_FROM_WIN32(ERROR_NOT_FOUND)
#define DOUBLE_E_EXISTS           HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS)
#define DOUBLE_E_NOT_SUPPORTED    HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED)
#define DOUBLE_E_RPC_UNAVAILABLE  HRESULT_FROM_WIN32(RPC_S_SERVER_UNAVAILABLE)

/* ---- text.c ---- */

/* A piece of memory that somebody else owns. */
typedef struct { const char *at; size_t length; } text;

/* A growing string, always terminated. Zero is empty. */
typedef struct { char *at; size_t length, room; } buffer;

void *allocate(size_t size); /* zeroed; ends the process when there is none */
char *copy(text t);
void append(buffer *b, const char *s);
void append_text(buffer *b, text t);
void append_format(buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void append_guid(buffer *b); /* a new one, without braces */
void append_quoted(buffer *b, text t); /* as a JSON string */
text text_of(const char *s);           /* NULL is empty */

char *utf8(PCWSTR s);            /* NULL is ""; the caller frees */
WCHAR *utf16(const char *s);     /* the caller frees */
PWSTR task_string(const char *s); /* for the caller of the API, who uses CoTaskMemFree */
char *setting(const char *name); /* of the environment, NULL when unset or empty; the caller frees */

/* ---- json.c ---- */

/* Finds the member that path (NULL-terminated names) leads to. */
BOOL json_find(text document, text *value, ...);
/* Reads a JSON string; NULL when value is none. The caller frees. */
char *json_string(text value);
/* Calls each for the elements of an array; FALSE when it is none. */
BOOL json_each(text array, void (*each)(text element, void *context), void *context);

/* ---- state.c ---- */

/* Take and leave what all processes that load this DLL share. Recursive. */
void state_lock(void);
void state_unlock(void);

/* Files of the state, by kind ("ccg", "systems") and id. Call them locked. */
BOOL state_write(const char *kind, const char *id, text content);
char *state_read(const char *kind, const char *id); /* NULL: there is none */
BOOL state_remove(const char *kind, const char *id);
BOOL state_has(const char *name); /* a file of the state folder itself */
void state_each(const char *kind, void (*each)(text content, void *context), void *context);

/* Starts the clock of a call. */
ULONGLONG call_begins(void);
/* Adds a call to the record and returns result. document and answer may be NULL. */
HRESULT record(ULONGLONG began, const char *call, const char *id, PCWSTR document, HRESULT result);
HRESULT record_answer(ULONGLONG began, const char *call, const char *id, PCWSTR document, PCWSTR answer, HRESULT result);
/* Adds what the CCG double printed, which is one JSON object, to the record. */
void record_ccg(const char *id, text report);

/* ---- ccg.c ---- */

/* Lets the CCG double fetch the credentials. */
HRESULT ccg_start(const char *id, const char *credential_spec);
/* The two service calls on PropertyType ContainerCredentialGuard. */
HRESULT ccg_modify(text settings, PWSTR *result);
void ccg_properties(buffer *answer);
/* The result document of a failure for want of credentials. */
PWSTR ccg_failure(const char *id, HRESULT reason);

/* ---- service.c ---- */

/* The service calls. Their strings are the caller's, who uses CoTaskMemFree. */
HRESULT service_modify(PCWSTR settings, PWSTR *result);
HRESULT service_properties(PCWSTR query, PWSTR *out);

/* ---- system.c ---- */
void system_initialize(void);

#endif
