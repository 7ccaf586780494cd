package azuredouble

import "strings"

// cloud is one of Azure's: names and the audience of tokens for its vaults.
type cloud struct {
	login, suffix, audience string
}

// clouds are the double's, all at once. The first three are as
// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers
// has them.
var clouds = []cloud{
	{"login.microsoftonline.com", "vault.azure.net", "https://vault.azure.net"},
	{"login.chinacloudapi.cn", "vault.azure.cn", "https://vault.azure.cn"},
	{"login.microsoftonline.us", "vault.usgovcloudapi.net", "https://vault.usgovcloudapi.net"},
}

func cloudOf(is func(cloud) bool) (cloud, bool) {
	for _, c := range clouds {
		if is(c) {
			return c, true
		}
	}
	return cloud{}, false
}

func isLogin(host string) bool {
	_, ok := cloudOf(func(c cloud) bool { return c.login == host })
	return ok
}

func cloudOfVault(host string) (cloud, bool) {
	return cloudOf(func(c cloud) bool { return strings.HasSuffix(host, "."+c.suffix) })
}
