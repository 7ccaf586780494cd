/*
 * The two calls on the service, which vmcompute.dll and computecore.dll have
 * under the same names. The strings that they answer with are task_string's.
 */
#include "double.h"

#include <stdlib.h>
#include <string.h>

HRESULT service_modify(PCWSTR settings, PWSTR *result)
{
    ULONGLONG began = call_begins();
    text value;
    HRESULT hr = DOUBLE_E_NOT_SUPPORTED;
    char *document = utf8(settings), *type = NULL, *id = NULL;
    *result = NULL;
    if (json_find(text_of(document), &value, "PropertyType", NULL))
        type = json_string(value);
    if (json_find(text_of(document), &value, "Settings", "OperationDetails", "Id", NULL))
        id = json_string(value);
    if (type && strcmp(type, "ContainerCredentialGuard") == 0)
        hr = ccg_modify(text_of(document), result);
    record_answer(began, "HcsModifyServiceSettings", id ? id : "", settings, *result, hr);
    free(type);
    free(id);
    free(document);
    return hr;
}

typedef struct { buffer answer; int count; HRESULT hr; } properties;

static void append_property(text element, void *context)
{
    properties *p = context;
    char *type = json_string(element);
    if (p->count++)
        append(&p->answer, ",");
    if (type && strcmp(type, "ContainerCredentialGuard") == 0)
        ccg_properties(&p->answer);
    else if (type && strcmp(type, "Basic") == 0)
        append(&p->answer, "{\"SupportedSchemaVersions\":[{\"Major\":1,\"Minor\":0},{\"Major\":2,\"Minor\":1}]}");
    else if (type && strcmp(type, "ProcessorTopology") == 0)
        append(&p->answer, "{\"LogicalProcessorCount\":2,\"LogicalProcessors\":[{\"LpIndex\":0},{\"LpIndex\":1,\"CoreId\":1,\"RootVpIndex\":1}]}");
    else
        p->hr = DOUBLE_E_NOT_SUPPORTED;
    free(type);
}

HRESULT service_properties(PCWSTR query, PWSTR *out)
{
    ULONGLONG began = call_begins();
    properties p = { .hr = S_OK };
    text types;
    char *document = utf8(query);
    *out = NULL;
    append(&p.answer, "{\"Properties\":[");
    if (!json_find(text_of(document), &types, "PropertyTypes", NULL) || !json_each(types, append_property, &p))
        p.hr = DOUBLE_E_INVALID_JSON;
    append(&p.answer, "]}");
    if (SUCCEEDED(p.hr))
        *out = task_string(p.answer.at);
    free(p.answer.at);
    free(document);
    return record_answer(began, "HcsGetServiceProperties", "", query, *out, p.hr);
}
