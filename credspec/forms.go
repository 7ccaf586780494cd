package credspec

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// verdict is what is wrong with a value's form; the zero value is nothing.
type verdict struct {
	severity Severity
	message  string
	hint     string
}

func wrong(hint, format string, args ...any) verdict {
	return verdict{SeverityError, fmt.Sprintf(format, args...), hint}
}

func doubtful(hint, format string, args ...any) verdict {
	return verdict{SeverityWarning, fmt.Sprintf(format, args...), hint}
}

// show quotes a value, or enough of it to recognise it by.
func show(s string) string {
	const most = 64
	if runes := []rune(s); len(runes) > most {
		return strconv.Quote(string(runes[:most])) + "…"
	}
	return strconv.Quote(s)
}

// Where the values come from, for hints: the module that New-CredentialSpec
// takes them from, too.
const (
	shownSID     = "(Get-ADDomain).DomainSID shows it"
	shownGUID    = "(Get-ADDomain).ObjectGUID shows the domain's"
	shownForest  = "(Get-ADDomain).Forest shows it"
	shownDNS     = "(Get-ADDomain).DNSRoot shows it"
	shownNetBIOS = "(Get-ADDomain).NetBIOSName shows it"
	shownAccount = "take the gMSA's SamAccountName, without the $"
)

// mended is the hint for a slip that many values can have in common, else the
// form's own.
func mended(s, hint string) string {
	switch {
	case s == "":
	case strings.TrimSpace(s) != s:
		return "remove the blanks around it"
	case strings.Contains(s, "?"):
		return "New-CredentialSpec writes ASCII, and a ? for each letter that it loses; write the letter, in UTF-8"
	}
	return hint
}

// placeholder reports whether s is what the documentation of AKS, Kubernetes
// and AWS writes where a value has to be put: <NAME>, $NAME, ${NAME}, {{ name }}.
func placeholder(s string) bool {
	s = strings.TrimSpace(s)
	if inner, ok := strings.CutPrefix(s, "$"); ok {
		return inner != "" && strings.Trim(inner, "{}ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") == ""
	}
	return len(s) > 2 && s[0] == '<' && s[len(s)-1] == '>' || strings.Contains(s, "{{") && strings.Contains(s, "}}")
}

// filled is check for a value that has been filled in.
func filled(check func(string) verdict) func(string) verdict {
	return func(s string) verdict {
		if placeholder(s) {
			return wrong("put the value in its place", "is the placeholder %s", show(s))
		}
		return check(s)
	}
}

// attributeBytes reports whether s is an attribute's bytes in base64, as LDAP
// tools show them.
func attributeBytes(s string, size int) bool {
	b, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(b) == size
}

// domainSID wants the SID of a domain: S-1-5-21 and three numbers of 32 bits
// ([MS-DTYP] 2.4.2.4).
func domainSID(s string) verdict {
	const domainBytes, accountBytes = 24, 28 // 8 and 4 for each of 4 or 5 numbers
	hint := mended(s, shownSID)
	if attributeBytes(s, domainBytes) || attributeBytes(s, accountBytes) {
		hint = "these look like objectSid's bytes in base64; write the SID as text: S-1-5-21-…"
	}
	parts := strings.Split(s, "-")
	if len(parts) < 4 || !strings.EqualFold(parts[0], "S") || parts[1] != "1" || parts[2] != "5" || parts[3] != "21" {
		return wrong(hint, "is %s; a domain's SID is S-1-5-21- and three numbers", show(s))
	}
	numbers := parts[4:]
	for _, n := range numbers {
		if v, err := strconv.ParseUint(n, 10, 32); err != nil || strconv.FormatUint(v, 10) != n {
			return wrong(hint, "is %s, of which %s is not a number of 32 bits", show(s), show(n))
		}
	}
	switch {
	case len(numbers) == 4:
		// Microsoft's and AWS's pages have asked for the account's now and
		// then; Microsoft has taken that back, because netlogon fails with it.
		return wrong(fmt.Sprintf("the domain's is %s, if the account is of that domain", strings.Join(parts[:7], "-")),
			"is %s, the SID of an account; the domain's has three numbers after S-1-5-21", show(s))
	case len(numbers) != 3:
		return wrong(hint, "is %s; a domain's SID has three numbers after S-1-5-21", show(s))
	case strings.Trim(strings.Join(numbers, ""), "0") == "":
		return doubtful(hint, "is %s, which no domain has", show(s))
	case parts[0] != "S":
		return doubtful("write a capital S", "is %s, with a small s", show(s))
	}
	return verdict{}
}

// bareGUID reports whether s is 8-4-4-4-12 hexadecimal digits.
func bareGUID(s string) bool {
	parts := strings.Split(s, "-")
	if len(parts) != 5 {
		return false
	}
	for i, n := range []int{8, 4, 4, 4, 12} {
		if len(parts[i]) != n || strings.Trim(parts[i], hexadecimal) != "" {
			return false
		}
	}
	return true
}

const hexadecimal = "0123456789abcdefABCDEF"

// unbrace removes a pair of braces.
func unbrace(s string) (inner string, braces bool) {
	if len(s) >= 2 && s[0] == '{' && s[len(s)-1] == '}' {
		return s[1 : len(s)-1], true
	}
	return s, false
}

// guid wants a GUID, with braces or without.
func guid(s string) verdict {
	inner, _ := unbrace(s)
	switch {
	case bareGUID(inner):
		if strings.Trim(inner, "0-") == "" {
			return doubtful(shownGUID, "is %s, which no domain has", show(s))
		}
		return verdict{}
	case len(inner) == 32 && strings.Trim(inner, hexadecimal) == "":
		return wrong(fmt.Sprintf("write it with hyphens: %s-%s-%s-%s-%s", inner[:8], inner[8:12], inner[12:16], inner[16:20], inner[20:]),
			"is %s; a GUID is 8-4-4-4-12 hexadecimal digits", show(s))
	case attributeBytes(s, 16):
		return wrong("these look like objectGUID's bytes in base64; write the GUID as text", "is %s; a GUID is 8-4-4-4-12 hexadecimal digits", show(s))
	}
	return wrong(mended(s, shownGUID), "is %s; a GUID is 8-4-4-4-12 hexadecimal digits", show(s))
}

// pluginGUID wants what CLSIDFromString reads: a GUID in braces.
func pluginGUID(s string) verdict {
	const ours = "this project's plugin is " + PluginGUID
	inner, braces := unbrace(s)
	switch {
	case strings.EqualFold(inner, unreadableExample):
		return wrong(ours, "is %s, the example of Microsoft's and Amazon's documentation, which is no GUID: it has letters after F", show(s))
	case !bareGUID(inner):
		return wrong(mended(s, ours), "is %s; a plugin's CLSID is {8-4-4-4-12 hexadecimal digits}", show(s))
	case !braces:
		return wrong("write {"+s+"}", "is %s, without braces", show(s))
	}
	return verdict{}
}

func portableVersion(s string) verdict {
	if s != PortableCcgVersion {
		return wrong(fmt.Sprintf("write %q", PortableCcgVersion), "is %s; the only version there is is %q", show(s), PortableCcgVersion)
	}
	return verdict{}
}

// dnsName wants a domain's DNS name. Active Directory allows the underscore,
// and letters beyond ASCII, which few have and fewer tools can deal with.
func dnsName(s string) verdict {
	hint := mended(s, shownDNS)
	if s == "" {
		return wrong(hint, "is empty")
	}
	if len(s) > 253 { // RFC 1035's 255 octets, less the length bytes at both ends
		return wrong(hint, "is %s; a DNS name has at most 253 characters", show(s))
	}
	foreign := false
	labels := strings.Split(s, ".")
	if last := len(labels) - 1; last > 0 && labels[last] == "" && labels[last-1] != "" {
		return wrong("leave out the dot", "is %s, with a dot at the end", show(s))
	}
	for _, label := range labels {
		bad := strings.ContainsFunc(label, func(c rune) bool {
			foreign = foreign || c >= 0x80
			return c < 0x80 && c != '-' && c != '_' && !('0' <= c && c <= '9') && !('a' <= c && c <= 'z') && !('A' <= c && c <= 'Z')
		})
		if bad || label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return wrong(hint, "is %s, which is not a DNS name", show(s))
		}
	}
	switch {
	case foreign:
		return doubtful("see that the DNS servers of hosts and containers resolve it", "is %s, with characters that many DNS servers do not take", show(s))
	case len(labels) == 1:
		return doubtful("if that is the NetBIOS name, write the DNS name", "is %s, a DNS name of a single label", show(s))
	}
	return verdict{}
}

// netBIOSName wants a domain's NetBIOS name: 1 to 15 characters, of which
// Microsoft disallows \ / : * ? " < > | and, in Active Directory, the dot.
func netBIOSName(s string) verdict {
	hint := mended(s, shownNetBIOS)
	switch n := len(utf16.Encode([]rune(s))); {
	case n == 0:
		return wrong(hint, "is empty")
	case n > 15 && dnsName(s) == verdict{}:
		return wrong(hint, "is %s, which looks like a DNS name; a NetBIOS name has at most 15 characters", show(s))
	case n > 15:
		return wrong(hint, "is %s; a NetBIOS name has at most 15 characters", show(s))
	case strings.ContainsAny(s, `\/:*?"<>|`) || strings.ContainsFunc(s, isControl) || strings.TrimSpace(s) != s || s[0] == '.':
		return wrong(hint, "is %s, which is not a NetBIOS name", show(s))
	case strings.Contains(s, "."):
		return doubtful(hint, "is %s; a NetBIOS name has no dot nowadays", show(s))
	}
	return verdict{}
}

// accountName wants a gMSA's name: its sAMAccountName without the $, at most
// 15 characters, without the characters that a sAMAccountName may not have.
func accountName(s string) verdict {
	switch {
	case s == "":
		return wrong(shownAccount, "is empty")
	case strings.HasSuffix(s, "$"):
		return wrong("leave out the $", "is %s, with a $ at the end", show(s))
	case strings.ContainsAny(s, `\@`):
		return wrong("write the account's name alone", "is %s, with a domain", show(s))
	case strings.ContainsAny(s, "\"/[]:;|=,+*?<>$") || strings.ContainsFunc(s, isControl) || strings.TrimSpace(s) != s:
		return wrong(mended(s, shownAccount), "is %s, which is not an account's name", show(s))
	case len(utf16.Encode([]rune(s))) > 15:
		return wrong("take the gMSA's SamAccountName, which New-ADServiceAccount cuts or refuses", "is %s; a gMSA's name has at most 15 characters", show(s))
	}
	return verdict{}
}

// scope wants a domain's name in either form.
func scope(s string) verdict {
	if d := dnsName(s); d.severity != SeverityError && strings.Contains(s, ".") {
		return d
	}
	n := netBIOSName(s)
	if n.severity == SeverityError {
		return wrong(mended(s, "write the DNS name of the account's domain, and its NetBIOS name in a second entry"),
			"is %s, which is neither a DNS nor a NetBIOS name of a domain", show(s))
	}
	return n
}
