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
)

// cmsPlugin is the only entry of CmsPlugins that Windows has a meaning for.
const cmsPlugin = "ActiveDirectory"

func (r *reader) document(root *jsontree.Value) {
	if root.Kind == jsontree.String {
		r.is(jsontree.Object, "", root, "give the document itself, not a JSON string that holds it")
		return
	}
	join := &r.spec.DomainJoinConfig
	r.object("", root,
		field{"CmsPlugins", true, r.cmsPlugins},
		field{"DomainJoinConfig", true, func(path string, v *jsontree.Value) {
			r.object(path, v,
				r.text("Sid", &join.Sid, domainSID),
				field{"MachineAccountName", true, func(path string, v *jsontree.Value) {
					r.defaultAt = v.Start
					r.text("", &join.MachineAccountName, accountName).read(path, v)
				}},
				r.text("Guid", &join.Guid, guid),
				r.text("DnsTreeName", &join.DnsTreeName, dnsName),
				r.text("DnsName", &join.DnsName, dnsName),
				r.text("NetBiosName", &join.NetBiosName, netBIOSName),
			)
		}},
		field{nameADConfig, true, func(path string, v *jsontree.Value) {
			r.object(path, v,
				field{"GroupManagedServiceAccounts", true, r.accountList},
				field{nameHostAccount, false, r.hostAccount},
			)
		}},
	)
}

func (r *reader) cmsPlugins(path string, v *jsontree.Value) {
	if !r.is(jsontree.Array, path, v, "") {
		return
	}
	for i := range v.Elements {
		e := &v.Elements[i]
		at := jsontree.PointerIndex(path, i)
		if !r.is(jsontree.String, at, e, "") {
			continue
		}
		r.spec.CmsPlugins = append(r.spec.CmsPlugins, e.Text)
		switch {
		case e.Text == cmsPlugin:
		case strings.EqualFold(e.Text, cmsPlugin):
			r.fail(at, e.Start, fmt.Sprintf("is %s; it should be %q", show(e.Text), cmsPlugin), "")
		default:
			r.warn(at, e.Start, fmt.Sprintf("is %s, which is not known; it is kept as it is", show(e.Text)), "")
		}
	}
	if !slices.ContainsFunc(r.spec.CmsPlugins, func(s string) bool { return strings.EqualFold(s, cmsPlugin) }) {
		r.fail(path, v.Start, fmt.Sprintf("does not contain %q", cmsPlugin), "")
	}
}

func (r *reader) accountList(path string, v *jsontree.Value) {
	if !r.is(jsontree.Array, path, v, "") {
		return
	}
	r.accountsAt = v.Start
	for i := range v.Elements {
		var a Account
		r.object(jsontree.PointerIndex(path, i), &v.Elements[i],
			r.text("Name", &a.Name, accountName),
			r.text("Scope", &a.Scope, scope),
		)
		r.spec.ActiveDirectoryConfig.GroupManagedServiceAccounts = append(r.spec.ActiveDirectoryConfig.GroupManagedServiceAccounts, a)
	}
}

func (r *reader) hostAccount(path string, v *jsontree.Value) {
	if v.Kind == jsontree.Null {
		r.warn(path, v.Start, "is null, which is taken for absent; whether Windows takes it so is not documented", "remove it")
		return
	}
	var h HostAccountConfig
	r.object(path, v,
		r.text(nameVersion, &h.PortableCcgVersion, portableVersion),
		r.text(nameGUID, &h.PluginGUID, pluginGUID),
		field{nameInput, true, func(path string, v *jsontree.Value) {
			if !r.is(jsontree.String, path, v, `an input that is JSON itself is written as a string, its quotes as \"`) {
				return
			}
			h.PluginInput = v.Text
			switch {
			case v.Text == "":
				r.warn(path, v.Start, "is empty", "")
			case strings.ContainsRune(v.Text, 0):
				r.refuse(path, v.Start, "has a NUL character; the plugin would see only what is before it", "")
			}
		}},
	)
	if v.Kind == jsontree.Object {
		r.spec.ActiveDirectoryConfig.HostAccountConfig = &h
	}
}

// accounts checks what several members say together.
func (r *reader) accounts() {
	const path = "/" + nameADConfig + "/GroupManagedServiceAccounts"
	if r.accountsAt < 0 {
		return
	}
	join, list := r.spec.DomainJoinConfig, r.spec.ActiveDirectoryConfig.GroupManagedServiceAccounts
	if len(list) == 0 {
		r.fail(path, r.accountsAt, "lists no account", "")
		return
	}
	if r.defaultAt < 0 || join.MachineAccountName == "" {
		return
	}
	var scopes []string
	for _, a := range list {
		if strings.EqualFold(a.Name, join.MachineAccountName) {
			scopes = append(scopes, a.Scope)
		}
	}
	if len(scopes) == 0 {
		r.fail("/DomainJoinConfig/MachineAccountName", r.defaultAt,
			fmt.Sprintf("is %s, which is not among the accounts of %s", show(join.MachineAccountName), path), "list it there")
		return
	}
	for _, want := range []string{join.DnsName, join.NetBiosName} {
		if want != "" && !slices.ContainsFunc(scopes, func(s string) bool { return strings.EqualFold(s, want) }) {
			r.warn(path, r.accountsAt, fmt.Sprintf("lists the default account %s without the scope %s", show(join.MachineAccountName), show(want)),
				"list it twice: with the domain's DNS name and with its NetBIOS name")
		}
	}
}
