package ccgdouble

import (
	"context"
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/directory"
)

// Credentials are what a plugin returned.
type Credentials struct {
	Domain, User string
	Password     []byte // UTF-8
}

// Plugin is one activated CCG plugin.
type Plugin interface {
	// GetPasswordCredentials returns the HRESULT, too.
	GetPasswordCredentials(input string) (Credentials, int32, error)
	Release()
}

// System is what the host gives to CCG.
type System interface {
	// FindClass says whether the class is among CCG's.
	FindClass(guid string) error
	// Activate starts the class in a process of its own.
	Activate(guid string) (Plugin, error)
}

// Fetch does what CCG does with a credential spec. The report holds the error.
func Fetch(ctx context.Context, cfg Config, sys System, spec []byte) (r Report) {
	if err := r.fetch(ctx, cfg, sys, spec); err != nil {
		r.Error = err.Error()
	}
	return r
}

func (r *Report) fetch(ctx context.Context, cfg Config, sys System, spec []byte) error {
	var d *document
	err := r.step(stepParse, func() (_ string, err error) {
		d, err = parse(spec)
		return "", err
	})
	if err != nil {
		r.Event = EventSpecNotParsed
		return fmt.Errorf("parse the credential spec: %w", err)
	}
	r.Account = d.ActiveDirectoryConfig.GroupManagedServiceAccounts[0].Name
	host := d.ActiveDirectoryConfig.HostAccountConfig
	if host == nil {
		return nil // the host's own account would be asked, and there is none
	}
	r.PluginGUID = host.PluginGUID
	creds, err := r.plugin(sys, host.PluginGUID, host.PluginInput)
	if err != nil {
		return err
	}
	defer clear(creds.Password)
	r.Domain, r.User = creds.Domain, creds.User
	r.Event = EventCredentialsFetched
	if err := r.prove(ctx, cfg, d, creds); err != nil {
		r.Event = EventGMSAFetchFailed
		return fmt.Errorf("fetch the gMSA's credentials: %w", err)
	}
	return nil
}

// plugin gets the plugin user's credentials.
func (r *Report) plugin(sys System, guid, input string) (creds Credentials, err error) {
	r.Event = EventPluginNotActivated
	err = r.step(stepFindClass, func() (string, error) { return "", sys.FindClass(guid) })
	if err != nil {
		return creds, fmt.Errorf("find the plugin %s: %w", guid, err)
	}
	var plugin Plugin
	err = r.step(stepActivate, func() (_ string, err error) {
		plugin, err = sys.Activate(guid)
		return "", err
	})
	if err != nil {
		return creds, fmt.Errorf("activate the plugin %s: %w", guid, err)
	}
	defer plugin.Release()
	r.Event = EventPluginInstantiated
	err = r.step(stepGetCredentials, func() (_ string, err error) {
		var hr int32
		creds, hr, err = plugin.GetPasswordCredentials(input)
		r.HResult = fmt.Sprintf("0x%08x", uint32(hr))
		return "", err
	})
	if err != nil {
		r.Event = EventPluginFailed
		return creds, fmt.Errorf("ask the plugin %s: %w", guid, err)
	}
	return creds, nil
}

// prove becomes the gMSA.
func (r *Report) prove(ctx context.Context, cfg Config, d *document, creds Credentials) error {
	domain := d.DomainJoinConfig.DnsName
	proof, err := directory.Prove(ctx, cfg.Domains[strings.ToLower(domain)], directory.Request{
		Domain: domain, NetBIOS: d.DomainJoinConfig.NetBiosName, Account: r.Account,
		UserDomain: creds.Domain, User: creds.User, Password: creds.Password,
	}, nil)
	for _, s := range proof.Steps {
		r.Steps = append(r.Steps, Step{Name: s.Name, Millis: millis(s.Duration), Detail: s.Detail})
	}
	r.Principal, r.WhoAmI, r.Expires = proof.Principal, proof.AuthzID, proof.Expires
	return err
}
