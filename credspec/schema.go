package credspec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// The names of the document's members that are used more than once.
const (
	nameADConfig    = "ActiveDirectoryConfig"
	nameHostAccount = "HostAccountConfig"
	nameVersion     = "PortableCcgVersion"
	nameGUID        = "PluginGUID"
	nameInput       = "PluginInput"
	nameCredspec    = "credspec" // of a manifest
)

// cmsPlugin is the only entry of CmsPlugins that Windows has a meaning for.
const cmsPlugin = "ActiveDirectory"

// homes are the members by the object that they belong in, for those that are
// found elsewhere.
var homes = map[string]string{
	"CmsPlugins": "the document's outermost object", "DomainJoinConfig": "the document's outermost object", nameADConfig: "the document's outermost object",
	"Sid": "DomainJoinConfig", "MachineAccountName": "DomainJoinConfig", "Guid": "DomainJoinConfig",
	"DnsTreeName": "DomainJoinConfig", "DnsName": "DomainJoinConfig", "NetBiosName": "DomainJoinConfig",
	"GroupManagedServiceAccounts": nameADConfig, nameHostAccount: nameADConfig,
	"Name": "an entry of GroupManagedServiceAccounts", "Scope": "an entry of GroupManagedServiceAccounts",
	nameVersion: nameHostAccount, nameGUID: nameHostAccount, nameInput: nameHostAccount,
}

func (r *reader) document(root *jsontree.Value) {
	if r.wrapped(root) {
		return
	}
	join := &r.spec.DomainJoinConfig
	r.object("", root,
		field{"CmsPlugins", `write "CmsPlugins": ["ActiveDirectory"]`, r.cmsPlugins},
		field{"DomainJoinConfig", "add the domain's names and the default account; gmsa-agent credspec generate writes whole documents", func(path string, v *jsontree.Value) {
			r.object(path, v,
				r.text("Sid", shownSID, &join.Sid, nil, domainSID),
				r.text("MachineAccountName", shownAccount, &join.MachineAccountName, &r.at.account, accountName),
				r.text("Guid", shownGUID, &join.Guid, nil, guid),
				r.text("DnsTreeName", shownForest, &join.DnsTreeName, &r.at.tree, dnsName),
				r.text("DnsName", shownDNS, &join.DnsName, nil, dnsName),
				r.text("NetBiosName", shownNetBIOS, &join.NetBiosName, nil, netBIOSName),
			)
		}},
		field{nameADConfig, "add the list of the accounts that the container may use; gmsa-agent credspec generate writes whole documents", func(path string, v *jsontree.Value) {
			r.object(path, v,
				field{"GroupManagedServiceAccounts", "list the accounts there, each with its name and scope", r.accountList},
				field{nameHostAccount, "", r.hostAccount},
			)
		}},
	)
}

// wrapped refuses a document that is packed into something else.
func (r *reader) wrapped(root *jsontree.Value) bool {
	switch root.Kind {
	case jsontree.String:
		return !r.is(jsontree.Object, "", root, "give the document itself, not a JSON string that holds it")
	case jsontree.Array:
		return !r.is(jsontree.Object, "", root, "give each document by itself")
	case jsontree.Object:
	default:
		return !r.is(jsontree.Object, "", root, "give a credential spec")
	}
	for _, name := range []string{"CmsPlugins", "DomainJoinConfig", nameADConfig} {
		if slices.ContainsFunc(root.Members, func(m jsontree.Member) bool { return m.Name == name }) {
			return false
		}
	}
	for i := range root.Members {
		m := &root.Members[i]
		switch {
		case m.Name == "kind" && m.Value.Text == "GMSACredentialSpec", m.Name == nameCredspec && m.Value.Kind == jsontree.Object:
			r.refuse("", root.Start, "the document is a Kubernetes manifest or a part of one; the credential spec is what its credspec holds",
				"give what its credspec holds, or kubernetes://NAME for the object in the cluster")
			return true
		}
	}
	return false
}

func (r *reader) cmsPlugins(path string, v *jsontree.Value) {
	const hint = `write "CmsPlugins": ["ActiveDirectory"]`
	if !r.is(jsontree.Array, path, v, hint) {
		return
	}
	seen := make(map[string]bool, 1)
	for i := range v.Elements {
		e := &v.Elements[i]
		at := jsontree.PointerIndex(path, i)
		if !r.is(jsontree.String, at, e, hint) {
			continue
		}
		r.spec.CmsPlugins = append(r.spec.CmsPlugins, e.Text)
		switch {
		case e.Text == cmsPlugin:
			if seen[cmsPlugin] {
				r.warn(at, e.Start, fmt.Sprintf("is %s a second time", show(e.Text)), "remove it")
			}
			seen[cmsPlugin] = true
		case strings.EqualFold(e.Text, cmsPlugin):
			seen[cmsPlugin] = true
			r.fail(at, e.Start, fmt.Sprintf("is %s; it should be %q", show(e.Text), cmsPlugin), fmt.Sprintf("write %q", cmsPlugin))
		default:
			remedy := "remove it, unless you know what it is for"
			if near, ok := nearest(e.Text, cmsPlugin); ok {
				remedy = fmt.Sprintf("write %q", near)
			}
			r.warn(at, e.Start, fmt.Sprintf("is %s, which is not known; it is kept as it is", show(e.Text)), remedy)
		}
	}
	if !seen[cmsPlugin] {
		r.fail(path, v.Start, fmt.Sprintf("does not contain %q", cmsPlugin), hint)
	}
}

func (r *reader) accountList(path string, v *jsontree.Value) {
	if !r.is(jsontree.Array, path, v, `write [{"Name": …, "Scope": …}, …], in brackets`) {
		return
	}
	r.at.accounts = v.Start
	for i := range v.Elements {
		e := &v.Elements[i]
		a := listed{start: e.Start, index: i}
		r.object(jsontree.PointerIndex(path, i), e,
			r.text("Name", shownAccount, &a.Name, nil, accountName),
			r.text("Scope", "write the DNS name of the account's domain, and its NetBIOS name in a second entry", &a.Scope, &a.scopeAt, scope),
		)
		r.listed = append(r.listed, a)
		r.scattered = r.scattered || a.Name == "" || a.Scope == ""
		r.spec.ActiveDirectoryConfig.GroupManagedServiceAccounts = append(r.spec.ActiveDirectoryConfig.GroupManagedServiceAccounts, a.Account)
	}
}

func (r *reader) hostAccount(path string, v *jsontree.Value) {
	if v.Kind == jsontree.Null {
		r.warn(path, v.Start, "is null, which is taken for absent; whether Windows takes it so is not documented", "remove it")
		return
	}
	var h HostAccountConfig
	var guidAt int
	var input *jsontree.Value
	r.object(path, v,
		field{nameVersion, `write "PortableCcgVersion": "1"`, func(path string, v *jsontree.Value) {
			if r.is(jsontree.String, path, v, `write "1", in quotation marks`) {
				h.PortableCcgVersion = v.Text
				r.judge(path, v.Start, portableVersion(v.Text))
			}
		}},
		r.text(nameGUID, "this project's plugin is "+PluginGUID, &h.PluginGUID, &guidAt, pluginGUID),
		field{nameInput, "tell the plugin which secret to take; for this project's plugin, by a reference such as local://NAME", func(path string, v *jsontree.Value) {
			hint := `an input that is JSON itself is written as a string, its quotes as \"`
			if r.manifest {
				hint = "an input that is JSON itself is put between single quotes"
			}
			if len(v.Members) == 1 && strings.EqualFold(v.Members[0].Name, "CredentialArn") {
				hint = "an object is what AWS's credentials-fetcher reads, on Linux; " + hint
			}
			if r.is(jsontree.String, path, v, hint) {
				h.PluginInput = v.Text
				input = v
			}
		}},
	)
	if v.Kind != jsontree.Object {
		return
	}
	r.spec.ActiveDirectoryConfig.HostAccountConfig = &h
	r.plugin(jsontree.Pointer(path, nameGUID), guidAt, h.PluginGUID)
	if input != nil {
		r.input(jsontree.Pointer(path, nameInput), input.Start, h)
	}
}
