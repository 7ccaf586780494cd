package gcpdouble

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// refuse answers with an error as Google's APIs have it. A reason stands in the
// ErrorInfo that most refusals come with.
func refuse(w http.ResponseWriter, status int, code, message, reason string) {
	e := map[string]any{"code": status, "message": message + " " + Canary, "status": code}
	if reason != "" {
		domain := "googleapis.com"
		if strings.HasPrefix(reason, "IAM_") {
			domain = "iam.googleapis.com"
		}
		e["details"] = []any{
			map[string]any{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": domain, "metadata": map[string]any{"resource": Canary}},
			map[string]any{"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US", "message": message + " " + Canary},
		}
	}
	answer(w, status, map[string]any{"error": e})
}

// refuseOAuth answers with an error of RFC 6749, section 5.2.
func refuseOAuth(w http.ResponseWriter, status int, code, description string) {
	answer(w, status, map[string]any{"error": code, "error_description": description})
}

func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		http.Error(w, Canary, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may have left
}
