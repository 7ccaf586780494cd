package secrets

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
)

// The PluginInput spellings of the three CCG plugins that exist beside this
// one, so that a document written for them works when its PluginGUID is
// changed. What their parsers take to mean something means the same here; what
// they guess at, or fill up from the call before, is an error.

// parseAzureInput: ObjectId=GUID;SecretUri=URL, in any order, keys in any case,
// other keys ignored, values up to the next ";" and free to contain "=".
func parseAzureInput(s string) (Ref, error) {
	values := map[string]string{}
	parts := strings.Split(strings.TrimSuffix(s, ";"), ";")
	for i, part := range parts {
		key, value, ok := strings.Cut(part, "=")
		if !ok {
			// The plugin would take this for the beginning of the next key.
			return Ref{}, malformed("part %d between semicolons is not key=value", i+1)
		}
		folded := strings.ToLower(key)
		known := folded == "objectid" || folded == "secreturi"
		if t := strings.TrimSpace(folded); !known && (t == "objectid" || t == "secreturi") {
			// The plugin would not know the key.
			return Ref{}, malformed("blanks around the key %q", t)
		}
		if !known {
			continue
		}
		if _, twice := values[folded]; twice {
			return Ref{}, malformed("%s is given twice", folded)
		}
		if value == "" {
			return Ref{}, malformed("%s is empty", folded)
		}
		values[folded] = value
	}
	for _, k := range []string{"ObjectId", "SecretUri"} {
		if values[strings.ToLower(k)] == "" {
			return Ref{}, malformed("no %s=… in what looks like ObjectId=…;SecretUri=…", k)
		}
	}
	name, rest, ok := strings.Cut(values["secreturi"], "://")
	switch {
	case !ok || !strings.EqualFold(name, "https"):
		return Ref{}, malformed("SecretUri does not begin with https://")
	case strings.Contains(rest, "?"):
		return Ref{}, malformed("SecretUri has a query")
	case strings.Contains(rest, "@"):
		return Ref{}, malformed("SecretUri has user information")
	}
	if err := checkRest(rest); err != nil {
		return Ref{}, err
	}
	r := Ref{Scheme: "azurekeyvault", Rest: rest, Query: url.Values{"object_id": {values["objectid"]}}}
	return r, checkAzure(&r)
}

// parseRancherInput: NAMESPACE:SECRET.
func parseRancherInput(s string) (Ref, error) {
	ns, name, _ := strings.Cut(s, ":")
	if strings.Contains(s, "/") {
		return Ref{}, malformed("not NAMESPACE:SECRET: contains a slash")
	}
	r := Ref{Scheme: "kubernetes", Rest: ns + "/" + name}
	return r, checkKubernetes(&r)
}

// parseECSInput: a JSON object with credentialArn; the ECS agent adds
// regKeyPath to it, and drops other keys, as its Go decoder matches keys in any
// case.
func parseECSInput(s string) (Ref, error) {
	dec := json.NewDecoder(strings.NewReader(s))
	if _, err := dec.Token(); err != nil {
		return Ref{}, malformed("not a JSON object")
	}
	arn := ""
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return Ref{}, malformed("not a JSON object")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return Ref{}, malformed("not a JSON object")
		}
		if k, _ := key.(string); !strings.EqualFold(k, "credentialArn") {
			continue
		}
		if arn != "" {
			return Ref{}, malformed("credentialArn is given twice")
		}
		if err := json.Unmarshal(value, &arn); err != nil || !bytes.HasPrefix(value, []byte{'"'}) || arn == "" {
			return Ref{}, malformed("credentialArn is not a text, or empty")
		}
	}
	if _, err := dec.Token(); err != nil || strings.TrimSpace(s[dec.InputOffset():]) != "" {
		return Ref{}, malformed("not a JSON object")
	}
	if arn == "" {
		return Ref{}, malformed("no credentialArn in the JSON object")
	}
	return parseARN(arn)
}
