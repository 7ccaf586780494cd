package credspec

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strings"
)

// scheme is what the grammar of references knows of one scheme.
type scheme struct {
	// check refuses what cannot be meant, and returns the canonical form.
	check func(rest string) (string, error)
	// names says that what follows is a name and not a URL: nothing in it can
	// be a credential.
	names bool
	// arn says that what follows may be an ARN, which then stands for itself.
	arn bool
}

// schemes lists every scheme that the project has a meaning for, whether this
// build has a source for it or not.
var schemes = map[string]scheme{
	"file":       {checkFile, true, false},
	"registry":   {nil, true, false},
	SchemeRaw:    {nil, false, false},
	"config":     {nil, true, false},
	"http":       {checkHTTP, false, false},
	"https":      {checkHTTPS, false, false},
	"s3":         {checkS3, true, true},
	"ssm":        {checkSSM, true, true},
	"oci":        {checkOCI, false, false},
	"kubernetes": {checkKubernetes, true, false},
}

// KnownSchemes lists, sorted, every scheme that has a meaning. A [Mux] says
// which of them can be resolved here.
func KnownSchemes() []string {
	var names []string
	for name := range schemes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// checkFile wants a path that stays within a folder on every operating system,
// whichever this one is. Its canonical form has slashes only.
func checkFile(rest string) (string, error) {
	name := strings.ReplaceAll(rest, `\`, "/")
	switch {
	case strings.HasPrefix(name, "/"):
		return "", errors.New("is an absolute path; files are found in the credential spec folders, as file://NAME.json")
	case strings.Contains(name, ":"):
		return "", errors.New("has a colon in its path (a drive or a stream)")
	}
	name = path.Clean(name)
	switch {
	case name == "..", strings.HasPrefix(name, "../"):
		return "", errors.New("climbs out of the credential spec folders")
	case name == ".":
		return "", errors.New("names no file")
	}
	for element := range strings.SplitSeq(name, "/") {
		if strings.TrimRight(element, ". ") != element {
			return "", errors.New("has a path element that ends in a dot or a blank, which Windows would drop")
		}
	}
	return name, nil
}

func checkHTTPS(rest string) (string, error) { return rest, checkURL("https", rest, nil) }

func checkHTTP(rest string) (string, error) {
	return rest, checkURL("http", rest, func(u *url.URL) error {
		if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
			return nil
		}
		return errors.New("is plain http to another host; use https")
	})
}

func checkURL(scheme, rest string, also func(*url.URL) error) error {
	u, err := url.Parse(scheme + "://" + rest)
	switch {
	case err != nil: // its text repeats the URL
		return errors.New("is not a URL")
	case u.Hostname() == "":
		return errors.New("names no host")
	case u.User != nil:
		return errors.New("has a user in it; everyone who sees a container sees its reference")
	case u.Fragment != "":
		return errors.New("has a fragment that is not a pin (#sha256=…)")
	case also != nil:
		return also(u)
	}
	return nil
}

func checkS3(rest string) (string, error) {
	if strings.HasPrefix(rest, "arn:") {
		return checkARN("s3", rest)
	}
	bucket, key, ok := strings.Cut(rest, "/")
	if !ok || bucket == "" || key == "" {
		return "", errors.New("is not s3://BUCKET/KEY")
	}
	return rest, nil
}

func checkSSM(rest string) (string, error) {
	if strings.HasPrefix(rest, "arn:") {
		return checkARN("ssm", rest)
	}
	return rest, nil
}

func checkARN(scheme, rest string) (string, error) {
	service, arn, err := parseARN(rest)
	if err == nil && service != scheme {
		err = fmt.Errorf("has scheme %s and an ARN of %s", scheme, service)
	}
	return arn, err
}

func checkOCI(rest string) (string, error) {
	host, repository, ok := strings.Cut(rest, "/")
	if !ok || host == "" || repository == "" || strings.ContainsAny(rest, "?# ") || strings.Contains(host, "@") {
		return "", errors.New("is not oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@DIGEST")
	}
	return rest, nil
}

// checkKubernetes wants the name of a cluster-scoped object: a DNS-1123
// subdomain, as Kubernetes' own validation has it.
func checkKubernetes(rest string) (string, error) {
	if len(rest) <= 253 {
		ok := true
		for label := range strings.SplitSeq(rest, ".") {
			ok = ok && label != "" && strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" &&
				label[0] != '-' && label[len(label)-1] != '-'
		}
		if ok {
			return rest, nil
		}
	}
	return "", errors.New("is not kubernetes://NAME, the name of a GMSACredentialSpec (which has no namespace)")
}

// parseARN reads an Amazon resource name: arn:partition:service:region:account:resource.
func parseARN(s string) (scheme, arn string, err error) {
	parts := strings.SplitN(s, ":", 6)
	if len(parts) != 6 {
		return "", "", errors.New("is not an ARN of six parts")
	}
	partition, service, region, account, resource := strings.ToLower(parts[1]), strings.ToLower(parts[2]), parts[3], parts[4], parts[5]
	if partition != "aws" && !strings.HasPrefix(partition, "aws-") {
		return "", "", errors.New("is an ARN of no AWS partition")
	}
	switch service {
	case "s3":
		if bucket, key, _ := strings.Cut(resource, "/"); bucket == "" || key == "" {
			return "", "", errors.New("is not arn:aws:s3:::BUCKET/KEY")
		}
	case "ssm":
		if name, ok := strings.CutPrefix(resource, "parameter/"); !ok || name == "" || region == "" || account == "" {
			return "", "", errors.New("is not arn:aws:ssm:REGION:ACCOUNT:parameter/NAME")
		}
	case "secretsmanager":
		return "", "", errors.New("is an ARN of a secret; a credential spec can be in s3 or ssm")
	default:
		return "", "", fmt.Errorf("is an ARN of service %q; a credential spec can be in s3 or ssm", service)
	}
	return service, strings.Join([]string{"arn", partition, service, region, account, resource}, ":"), nil
}
