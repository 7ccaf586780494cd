package secrets

import (
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// scheme is the grammar of one scheme's references.
type scheme struct {
	query []string             // the parameters it knows
	check func(ref *Ref) error // checks Rest and Query and makes them canonical
}

var schemes = map[string]scheme{
	"local":             {nil, checkLocal},
	"azurekeyvault":     {[]string{"object_id", "client_id", "workload"}, checkAzure},
	"kubernetes":        {nil, checkKubernetes},
	"vault":             {[]string{"field"}, checkVault},
	"awssecretsmanager": {[]string{"region", "version_id", "version_stage"}, checkAWSSecret},
	"awsssm":            {[]string{"region"}, checkAWSParameter},
	"gcpsecretmanager":  {nil, checkGCP},
}

// Schemes returns the schemes that [ParseRef] knows, sorted, whether or not a
// store for them is built in.
func Schemes() []string { return slices.Sorted(maps.Keys(schemes)) }

// localName: what is a file name everywhere, can't hide, climb or be an option,
// and leaves room for a suffix within the 255 bytes that file systems allow.
var localName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,126}$`)

// windowsDevice: names that Windows takes for devices, with any extension.
// https://learn.microsoft.com/windows/win32/fileio/naming-a-file
var windowsDevice = regexp.MustCompile(`^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)`)

func checkLocal(r *Ref) error {
	// Windows folds case in file names: a store that moves from Linux must not
	// find two secrets in one file.
	r.Rest = strings.ToLower(r.Rest)
	switch {
	case !localName.MatchString(r.Rest):
		return malformed("a name is up to 127 letters, digits, \".\", \"_\" and \"-\" and begins with a letter or digit")
	case strings.HasSuffix(r.Rest, "."):
		return malformed("a name cannot end in a dot")
	case windowsDevice.MatchString(r.Rest):
		return malformed("the name is reserved by Windows")
	}
	return nil
}

var (
	guid       = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	dnsLabel   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	azureName  = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`)
	azureVer   = regexp.MustCompile(`^[0-9a-f]{32}$`)
	awsRegion  = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$`)
	awsSecret  = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`)
	awsStage   = regexp.MustCompile(`^[!-~]{1,256}$`)
	awsParam   = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`)
	gcpProject = regexp.MustCompile(`^([a-z][a-z0-9-]{4,28}[a-z0-9]|[a-z0-9.]+:[a-z][a-z0-9-]{4,28}[a-z0-9]|[0-9]{1,20})$`)
	gcpID      = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
)

// checkAzure: HOST/secrets/NAME[/VERSION]. The identity that fetches is named
// by at most one parameter.
func checkAzure(r *Ref) error {
	host, path, _ := strings.Cut(r.Rest, "/")
	host, err := dnsHost(host, "443")
	if err != nil {
		return err
	}
	parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	if len(parts) < 2 || len(parts) > 3 || !strings.EqualFold(parts[0], "secrets") {
		return malformed("not HOST/secrets/NAME[/VERSION]")
	}
	if !azureName.MatchString(parts[1]) {
		return malformed("the secret's name is not 1 to 127 letters, digits and \"-\"")
	}
	r.Rest = host + "/secrets/" + parts[1]
	if len(parts) == 3 {
		v := strings.ToLower(parts[2])
		if !azureVer.MatchString(v) {
			return malformed("the version is not 32 hexadecimal digits")
		}
		r.Rest += "/" + v
	}
	if len(r.Query) > 1 {
		return malformed("more than one of object_id, client_id and workload names the identity")
	}
	for _, k := range []string{"object_id", "client_id"} {
		if !r.Query.Has(k) {
			continue
		}
		id := strings.ToLower(r.Query.Get(k))
		if !guid.MatchString(id) {
			return malformed("%s is not a GUID", k)
		}
		r.Query.Set(k, id)
	}
	if r.Query.Has("workload") && r.Query.Get("workload") != "true" {
		return malformed("workload can only be true; leave it out otherwise")
	}
	return nil
}

// dnsHost accepts a DNS name of two labels or more, with a port. A single label
// or an address is refused: a token for a service of the cloud must not go to
// whatever answers to it.
func dnsHost(host, defaultPort string) (string, error) {
	host = strings.ToLower(host)
	port := ""
	if h, p, err := net.SplitHostPort(host); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return "", malformed("the port is not a number from 1 to 65535")
		}
		host = h
		if p = strconv.FormatUint(n, 10); p != defaultPort {
			port = ":" + p
		}
	}
	host = strings.TrimSuffix(host, ".")
	labels := strings.Split(host, ".")
	if _, err := netip.ParseAddr(host); err == nil || len(labels) < 2 || len(host) > 253 {
		return "", malformed("the host is not a full DNS name")
	}
	for _, l := range labels {
		if !dnsLabel.MatchString(l) {
			return "", malformed("the host is not a full DNS name")
		}
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return "", malformed("the host is not a full DNS name") // 10.1, 0x.1: addresses to some resolvers
	}
	return host + port, nil
}

// checkKubernetes: NAMESPACE/NAME, an RFC 1123 label and subdomain.
func checkKubernetes(r *Ref) error {
	ns, name, _ := strings.Cut(r.Rest, "/")
	if !dnsLabel.MatchString(ns) {
		return malformed("the namespace is not a lower-case RFC 1123 label")
	}
	if len(name) > 253 {
		return malformed("the secret's name is longer than 253 characters")
	}
	for l := range strings.SplitSeq(name, ".") {
		if !dnsLabel.MatchString(l) {
			return malformed("the secret's name is not a lower-case RFC 1123 subdomain")
		}
	}
	return nil
}

// checkVault: MOUNT/PATH. Where the mount ends only the server knows.
func checkVault(r *Ref) error {
	segments := strings.Split(r.Rest, "/")
	if len(segments) < 2 {
		return malformed("not MOUNT/PATH")
	}
	for _, s := range segments {
		if s == "" || s == "." || s == ".." || strings.TrimSpace(s) != s {
			return malformed("a part of the path is empty, \".\", \"..\" or begins or ends with a blank")
		}
	}
	return nil
}

// checkAWSSecret: an ARN, or a secret's name.
func checkAWSSecret(r *Ref) error {
	if err := checkRegion(r); err != nil {
		return err
	}
	if r.Query.Has("version_id") && r.Query.Has("version_stage") {
		return malformed("both version_id and version_stage choose the version")
	}
	for _, k := range []string{"version_id", "version_stage"} {
		if r.Query.Has(k) && !awsStage.MatchString(r.Query.Get(k)) {
			return malformed("%s is not 1 to 256 visible ASCII characters", k)
		}
	}
	if isARN(r.Rest) {
		a, err := parseARN(r.Rest)
		if err != nil {
			return err
		}
		if a.Scheme != r.Scheme {
			return malformed("the ARN is of another service")
		}
		return nil
	}
	if !awsSecret.MatchString(r.Rest) {
		return malformed("the secret's name is not 1 to 512 of letters, digits and /_+=.@-")
	}
	return nil
}

// checkAWSParameter: an ARN, or a parameter's name. A name with slashes in it
// must begin with one for the service, and does here. One without is another
// name than the same with a slash before it.
func checkAWSParameter(r *Ref) error {
	if err := checkRegion(r); err != nil {
		return err
	}
	if isARN(r.Rest) {
		a, err := parseARN(r.Rest)
		if err != nil {
			return err
		}
		if a.Scheme != r.Scheme {
			return malformed("the ARN is of another service")
		}
		return nil
	}
	name := strings.TrimPrefix(r.Rest, "/")
	if len(name) > 1010 || !awsParam.MatchString(name) {
		return malformed("the parameter's name is not up to 1010 of letters, digits and _.-/")
	}
	if strings.Contains(name, "/") {
		r.Rest = "/" + name
	}
	return nil
}

func checkRegion(r *Ref) error {
	if !r.Query.Has("region") {
		return nil
	}
	if isARN(r.Rest) {
		return malformed("an ARN names its region; leave the parameter out")
	}
	if !awsRegion.MatchString(r.Query.Get("region")) {
		return malformed("region does not look like eu-west-1")
	}
	return nil
}

func isARN(s string) bool { return len(s) > 4 && strings.EqualFold(s[:4], "arn:") }

// parseARN: arn:PARTITION:SERVICE:REGION:ACCOUNT:secret:NAME, or
// arn:PARTITION:ssm:REGION:ACCOUNT:parameter/NAME.
// https://docs.aws.amazon.com/service-authorization/latest/reference/
func parseARN(s string) (Ref, error) {
	p := strings.SplitN(s, ":", 6)
	if len(p) < 6 {
		return Ref{}, malformed("an ARN has six parts, this has %d", len(p))
	}
	p[0] = "arn"
	switch account := strings.Trim(p[4], "0123456789"); {
	case p[1] != "aws" && !strings.HasPrefix(p[1], "aws-"):
		return Ref{}, malformed("the ARN's partition is not aws, aws-cn, aws-us-gov, …")
	case strings.Trim(p[1], "abcdefghijklmnopqrstuvwxyz-") != "":
		return Ref{}, malformed("the ARN's partition is not aws, aws-cn, aws-us-gov, …")
	case !awsRegion.MatchString(p[3]):
		return Ref{}, malformed("the ARN's region does not look like eu-west-1")
	case p[4] == "" || account != "":
		return Ref{}, malformed("the ARN's account is not a number")
	}
	switch p[2] {
	case "secretsmanager":
		name, ok := strings.CutPrefix(p[5], "secret:")
		if !ok || !awsSecret.MatchString(name) {
			return Ref{}, malformed("the ARN's resource is not secret:NAME")
		}
		return Ref{Scheme: "awssecretsmanager", Rest: strings.Join(p, ":")}, nil
	case "ssm":
		name, ok := strings.CutPrefix(p[5], "parameter/")
		if !ok || len(name) > 1010 || !awsParam.MatchString(name) {
			return Ref{}, malformed("the ARN's resource is not parameter/NAME")
		}
		return Ref{Scheme: "awsssm", Rest: strings.Join(p, ":")}, nil
	}
	return Ref{}, malformed("the ARN is neither of secretsmanager nor of ssm")
}

// checkGCP: projects/P[/locations/L]/secrets/S[/versions/V]; the version is
// "latest" if there is none.
func checkGCP(r *Ref) error {
	p := strings.Split(r.Rest, "/")
	bad := malformed("not projects/PROJECT[/locations/LOCATION]/secrets/SECRET[/versions/VERSION]")
	if len(p)%2 != 0 || len(p) < 4 || len(p) > 8 {
		return bad
	}
	want := []string{"projects", "secrets", "versions"}
	if p[2] == "locations" {
		want = []string{"projects", "locations", "secrets", "versions"}
	}
	if n := len(p) / 2; n != len(want) && n != len(want)-1 {
		return bad
	}
	for i := 0; i < len(p); i += 2 {
		ok := gcpID.MatchString(p[i+1])
		if i == 0 {
			ok = gcpProject.MatchString(p[1])
		}
		if p[i] != want[i/2] || !ok {
			return bad
		}
	}
	if len(p)/2 < len(want) {
		r.Rest += "/versions/latest"
	}
	return nil
}
