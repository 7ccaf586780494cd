package credspec

import (
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

// domainSID wants the SID of a domain: S-1-5-21 and three numbers of 32 bits
// ([MS-DTYP] 2.4.2.4).
func domainSID(s string) verdict {
	const hint = "(Get-ADDomain).DomainSID shows it"
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
		return wrong("leave out the last number", "is %s, the SID of an account; the domain's has three numbers after S-1-5-21", show(s))
	case len(numbers) != 3:
		return wrong(hint, "is %s; a domain's SID has three numbers after S-1-5-21", show(s))
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
		if len(parts[i]) != n || strings.Trim(parts[i], "0123456789abcdefABCDEF") != "" {
			return false
		}
	}
	return true
}

// unbrace removes a pair of braces.
func unbrace(s string) (inner string, braces bool) {
	if len(s) >= 2 && s[0] == '{' && s[len(s)-1] == '}' {
		return s[1 : len(s)-1], true
	}
	return s, false
}

// guid wants a GUID, with braces or without.
func guid(s string) verdict {
	if inner, _ := unbrace(s); !bareGUID(inner) {
		return wrong("(Get-ADDomain).ObjectGUID shows the domain's", "is %s; a GUID is 8-4-4-4-12 hexadecimal digits", show(s))
	}
	return verdict{}
}

// pluginGUID wants what CLSIDFromString reads: a GUID in braces.
func pluginGUID(s string) verdict {
	inner, braces := unbrace(s)
	switch {
	case !bareGUID(inner):
		return wrong("this project's plugin is "+PluginGUID, "is %s; a plugin's CLSID is {8-4-4-4-12 hexadecimal digits}", show(s))
	case !braces:
		return wrong("write {"+s+"}", "is %s, without braces", show(s))
	}
	return verdict{}
}

func portableVersion(s string) verdict {
	if s != PortableCcgVersion {
		return wrong("", "is %s; the only version there is is %q", show(s), PortableCcgVersion)
	}
	return verdict{}
}

// dnsName wants a domain's DNS name. Active Directory allows the underscore,
// and letters beyond ASCII, which few have and fewer tools can deal with.
func dnsName(s string) verdict {
	if s == "" {
		return wrong("", "is empty")
	}
	if len(s) > 253 { // RFC 1035's 255 octets, less the length bytes at both ends
		return wrong("", "is %s; a DNS name has at most 253 characters", show(s))
	}
	foreign := false
	labels := strings.Split(s, ".")
	if last := len(labels) - 1; last > 0 && labels[last] == "" && labels[last-1] != "" {
		return wrong("leave it out", "is %s, with a dot at the end", show(s))
	}
	for _, label := range labels {
		bad := strings.ContainsFunc(label, func(c rune) bool {
			foreign = foreign || c >= 0x80
			return c < 0x80 && c != '-' && c != '_' && !('0' <= c && c <= '9') && !('a' <= c && c <= 'z') && !('A' <= c && c <= 'Z')
		})
		if bad || label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return wrong("", "is %s, which is not a DNS name", show(s))
		}
	}
	switch {
	case foreign:
		return doubtful("", "is %s, with characters that many DNS servers do not take", show(s))
	case len(labels) == 1:
		return doubtful("if that is the NetBIOS name, write the DNS name", "is %s, a DNS name of a single label", show(s))
	}
	return verdict{}
}

// netBIOSName wants a domain's NetBIOS name: 1 to 15 characters, of which
// Microsoft disallows \ / : * ? " < > | and, in Active Directory, the dot.
func netBIOSName(s string) verdict {
	switch n := len(utf16.Encode([]rune(s))); {
	case n == 0:
		return wrong("", "is empty")
	case n > 15 && dnsName(s) == verdict{}:
		return wrong("(Get-ADDomain).NetBIOSName shows it", "is %s, which looks like a DNS name; a NetBIOS name has at most 15 characters", show(s))
	case n > 15:
		return wrong("(Get-ADDomain).NetBIOSName shows it", "is %s; a NetBIOS name has at most 15 characters", show(s))
	case strings.ContainsAny(s, `\/:*?"<>|`) || strings.ContainsFunc(s, isControl) || strings.TrimSpace(s) != s || s[0] == '.':
		return wrong("", "is %s, which is not a NetBIOS name", show(s))
	case strings.Contains(s, "."):
		return doubtful("(Get-ADDomain).NetBIOSName shows it", "is %s; a NetBIOS name has no dot nowadays", show(s))
	}
	return verdict{}
}

// accountName wants a gMSA's name: its sAMAccountName without the $, at most
// 15 characters, without the characters that a sAMAccountName may not have.
func accountName(s string) verdict {
	switch {
	case s == "":
		return wrong("", "is empty")
	case strings.HasSuffix(s, "$"):
		return wrong("leave it out", "is %s, with a $ at the end", show(s))
	case strings.ContainsAny(s, `\@`):
		return wrong("write the account's name alone", "is %s, with a domain", show(s))
	case strings.ContainsAny(s, "\"/[]:;|=,+*?<>$") || strings.ContainsFunc(s, isControl) || strings.TrimSpace(s) != s:
		return wrong("", "is %s, which is not an account's name", show(s))
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
		return wrong("", "is %s, which is neither a DNS nor a NetBIOS name of a domain", show(s))
	}
	return n
}
