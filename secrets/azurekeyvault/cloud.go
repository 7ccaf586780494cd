package azurekeyvault

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// cloud is one of Azure's clouds: whose vaults have which names, what a token
// for them is for, and who issues it.
type cloud struct {
	suffix      string // of vaults' names
	audience    string
	authorities []string // hosts of Entra ID; the first is asked, the others are its aliases
}

// clouds has the suffixes and audiences of
// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers
// and the authorities of
// https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud,
// with the aliases that MSAL trusts for them.
var clouds = []cloud{
	{"vault.azure.net", "https://vault.azure.net", []string{"login.microsoftonline.com", "login.microsoft.com", "login.windows.net", "sts.windows.net"}},
	{"vault.azure.cn", "https://vault.azure.cn", []string{"login.chinacloudapi.cn", "login.partner.microsoftonline.cn"}},
	{"vault.usgovcloudapi.net", "https://vault.usgovcloudapi.net", []string{"login.microsoftonline.us", "login.usgovcloudapi.net"}},
}

// scope is the audience as Entra ID wants it to be spelt.
func (c cloud) scope() string { return c.audience + "/.default" }

// forSDK names the authority, so that AZURE_AUTHORITY_HOST does not.
func (c cloud) forSDK() azcloud.Configuration {
	return azcloud.Configuration{ActiveDirectoryAuthorityHost: "https://" + c.authorities[0] + "/", Services: map[azcloud.ServiceName]azcloud.ServiceConfiguration{}}
}

func (c cloud) isAuthority(host string) bool { return slices.Contains(c.authorities, host) }

// vaultName: 3 to 24 letters, digits and hyphens, of which a letter is the
// first, a letter or digit the last, and no two hyphens neighbours.
// https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftkeyvault
var vaultName = regexp.MustCompile(`^[a-z](-?[a-z0-9]){2,23}$`)

// cloudOf says whose vault a host is. Its error goes on after the host.
func cloudOf(host string) (cloud, error) {
	for _, c := range clouds {
		name, ok := strings.CutSuffix(host, "."+c.suffix)
		switch {
		case !ok:
		case len(name) > 24 || !vaultName.MatchString(name):
			return cloud{}, fmt.Errorf("is not a vault's host, such as contoso.%s: %w", c.suffix, fault.ErrMalformed)
		default:
			return c, nil
		}
	}
	if hint := ownName(host); hint != "" {
		return cloud{}, fmt.Errorf("%s: %w", hint, fault.ErrMalformed)
	}
	if strings.Contains(host, ":") {
		return cloud{}, fmt.Errorf("has a port, which vaults do not: %w", fault.ErrMalformed)
	}
	return cloud{}, fmt.Errorf("is not the host of a vault in a cloud that is known: contoso.vault.azure.net, contoso.vault.azure.cn, contoso.vault.usgovcloudapi.net: %w", fault.ErrMalformed)
}

// ownName says which name of a vault to use instead of another one; "" if it
// can't. A vault behind a private endpoint keeps its own name, which the
// private DNS zone leads to the endpoint; the zone's name is in no certificate.
func ownName(host string) string {
	if strings.Contains(host, ".managedhsm.") {
		return "is a managed HSM, which holds keys and no secrets"
	}
	for of, to := range map[string]string{"vaultcore.azure.net": "vault.azure.net", "vaultcore.azure.cn": "vault.azure.cn", "vaultcore.usgovcloudapi.net": "vault.usgovcloudapi.net"} {
		if name, ok := strings.CutSuffix(host, "."+of); ok {
			return "is the name of a private endpoint; the vault's own is " + strings.TrimSuffix(name, ".privatelink") + "." + to
		}
	}
	return ""
}
