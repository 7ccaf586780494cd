package secretstest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Leaked returns the form in which text shows the password, or "" if it does
// not: as it is, quoted, in hexadecimal, in base64, percent-encoded, as Go
// prints byte slices, or as UTF-16.
func Leaked(text string, password []byte) string {
	p := string(password)
	var wide []byte
	for _, u := range utf16.Encode([]rune(p)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	forms := map[string]string{
		"plain":       p,
		"quoted":      strings.Trim(strconv.Quote(p), `"`),
		"ASCII":       strings.Trim(strconv.QuoteToASCII(p), `"`),
		"base64":      strings.TrimRight(base64.StdEncoding.EncodeToString(password), "="),
		"base64url":   strings.TrimRight(base64.RawURLEncoding.EncodeToString(password), "="),
		"URL query":   url.QueryEscape(p),
		"URL path":    url.PathEscape(p),
		"UTF-16":      string(wide),
		"byte list":   strings.Trim(fmt.Sprintf("%v", password), "[]"),
		"Go bytes":    strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", password), "[]byte{"), "}"),
		"spaced hex":  fmt.Sprintf("% x", password),
		"octal bytes": strings.Trim(fmt.Sprintf("%o", password), "[]"),
		"binary":      strings.Trim(fmt.Sprintf("%b", password), "[]"),
	}
	for name, form := range forms {
		if strings.Contains(text, form) {
			return name
		}
	}
	if bytes.Contains(bytes.ToLower([]byte(text)), []byte(hex.EncodeToString(password))) {
		return "hex"
	}
	return ""
}
