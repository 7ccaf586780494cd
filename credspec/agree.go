package credspec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// listed is an entry of GroupManagedServiceAccounts and where it stands.
type listed struct {
	Account
	index          int
	start, scopeAt int
}

const (
	pathAccounts = "/" + nameADConfig + "/GroupManagedServiceAccounts"
	pathAccount  = "/DomainJoinConfig/MachineAccountName"
	pathTree     = "/DomainJoinConfig/DnsTreeName"
)

// agreement checks what several members say together.
func (r *reader) agreement() {
	r.forest()
	if r.at.accounts < 0 {
		return
	}
	if len(r.listed) == 0 {
		r.fail(pathAccounts, r.at.accounts, "lists no account", "list the default account, with the domain's DNS name and with its NetBIOS name")
		return
	}
	accounts := r.byName()
	if name := r.spec.DomainJoinConfig.MachineAccountName; sound(name) && !slices.ContainsFunc(accounts, func(entries []listed) bool { return sameName(entries[0].Name, name) }) {
		remedy := "list it there, with the domain's DNS name and with its NetBIOS name"
		if near, ok := nearest(name, names(accounts)...); ok {
			remedy = fmt.Sprintf("if it is %s, write the same in both places; else %s", show(near), remedy)
		}
		r.fail(pathAccount, r.at.account, fmt.Sprintf("is %s, which is not among the accounts of %s", show(name), pathAccounts), remedy)
	}
	if !r.scattered { // what is wrong with an entry may be all that is wrong
		for _, entries := range accounts {
			r.scopes(entries)
		}
	}
}

// sound reports whether an account's name has the form of one.
func sound(name string) bool { return filled(accountName)(name).severity != SeverityError }

// forest checks the domain against its forest. A domain's name ends in that of
// the root of its tree; the forest's first tree gives the forest its name, and
// another tree's names have nothing in common with it.
func (r *reader) forest() {
	domain, forest := r.spec.DomainJoinConfig.DnsName, r.spec.DomainJoinConfig.DnsTreeName
	if domain == "" || forest == "" || r.at.tree < 0 || dnsName(domain) != (verdict{}) || dnsName(forest) != (verdict{}) || placeholder(domain) || placeholder(forest) {
		return
	}
	switch {
	case sameName(domain, forest) || within(domain, forest):
	case within(forest, domain):
		r.warn(pathTree, r.at.tree, fmt.Sprintf("is %s, which is below the domain %s; a forest's root is never below one of its domains", show(forest), show(domain)),
			"see whether DnsName and DnsTreeName have changed places; "+shownForest)
	default:
		r.warn(pathTree, r.at.tree, fmt.Sprintf("is %s, and the domain %s is not below it; that is right in a forest of several trees only", show(forest), show(domain)),
			shownForest)
	}
}

// within reports whether a DNS name is below another.
func within(name, above string) bool {
	return len(name) > len(above)+1 && name[len(name)-len(above)-1] == '.' && sameName(name[len(name)-len(above):], above)
}

func sameName(a, b string) bool { return strings.EqualFold(a, b) }

// byName puts the entries of each account together, in the order of their first.
// Those whose name has been reported are left out.
func (r *reader) byName() [][]listed {
	var accounts [][]listed
	index := make(map[string]int, len(r.listed))
	for _, a := range r.listed {
		if a.Scope == "" || !sound(a.Name) {
			continue
		}
		key := strings.ToLower(a.Name)
		i, ok := index[key]
		if !ok {
			i = len(accounts)
			index[key] = i
			accounts = append(accounts, nil)
		}
		accounts[i] = append(accounts[i], a)
	}
	return accounts
}

func names(accounts [][]listed) []string {
	all := make([]string, len(accounts))
	for i, entries := range accounts {
		all[i] = entries[0].Name
	}
	return all
}

// scopes checks that an account is listed with both names of its domain: which
// of the two a program logs on with is the program's choice. One slip is
// reported once: where a name is wrong in itself, what follows from it is not.
func (r *reader) scopes(entries []listed) {
	join := r.spec.DomainJoinConfig
	account := entries[0].Name
	own, sure := r.ownNames()
	isOwn := func(scope string) bool {
		return slices.ContainsFunc(own, func(s string) bool { return sameName(s, scope) })
	}
	first := make(map[string]int, len(entries)) // by scope
	var foreign []listed
	broken := false
	for _, e := range entries {
		key := strings.ToLower(e.Scope)
		if before, twice := first[key]; twice {
			// A domain whose two names are the same has an entry for each.
			if !isOwn(e.Scope) || len(own) > 1 {
				r.warn(jsontree.PointerIndex(pathAccounts, e.index), e.start,
					fmt.Sprintf("lists %s with the scope %s, as entry %d does", show(e.Name), show(e.Scope), before), "remove one of them")
			}
			continue
		}
		first[key] = e.index
		near, isNear := nearest(e.Scope, own...)
		switch {
		case isOwn(e.Scope):
		case scope(e.Scope) != verdict{}:
			broken = true
		case isNear && !slices.ContainsFunc(entries, func(o listed) bool { return sameName(o.Scope, near) }):
			r.warn(jsontree.PointerIndex(pathAccounts, e.index)+"/Scope", e.scopeAt,
				fmt.Sprintf("is %s, which is almost the domain's %s", show(e.Scope), show(near)), fmt.Sprintf("write %q, unless there is another domain of that name", near))
			first[strings.ToLower(near)] = e.index
		default:
			foreign = append(foreign, e)
		}
	}
	var lacks []string
	for _, name := range own {
		if _, ok := first[strings.ToLower(name)]; !ok {
			lacks = append(lacks, show(name))
		}
	}
	isDefault := sameName(account, join.MachineAccountName)
	switch {
	case broken: // it may be what is lacking
	case len(lacks) > 0 && (isDefault || len(lacks) < len(own)):
		which := "the account"
		if isDefault {
			which = "the default account"
		}
		r.warn(pathAccounts, r.at.accounts, fmt.Sprintf("lists %s %s without the scope %s", which, show(account), strings.Join(lacks, " and without ")),
			"list it twice: with the domain's DNS name and with its NetBIOS name")
	case sure:
		r.foreign(account, foreign)
	}
}

// ownNames are the different names of the domain that have a name's form; sure
// says that these are all.
func (r *reader) ownNames() (own []string, sure bool) {
	join := r.spec.DomainJoinConfig
	dns, netbios := filled(dnsName)(join.DnsName), filled(netBIOSName)(join.NetBiosName)
	if dns.severity != SeverityError {
		own = append(own, join.DnsName)
	}
	if netbios.severity != SeverityError && !sameName(join.DnsName, join.NetBiosName) {
		own = append(own, join.NetBiosName)
	}
	return own, dns.severity != SeverityError && netbios.severity != SeverityError
}

// foreign checks an account's entries with other domains' names. Which DNS name
// goes with which NetBIOS name is not known; that there are as many is.
func (r *reader) foreign(account string, entries []listed) {
	var dns, netbios []listed
	for _, e := range entries {
		if strings.Contains(e.Scope, ".") {
			dns = append(dns, e)
		} else {
			netbios = append(netbios, e)
		}
	}
	switch {
	case len(dns) > len(netbios):
		r.oneName(account, dns[len(dns)-1], "DNS", "NetBIOS")
	case len(netbios) > len(dns):
		r.oneName(account, netbios[len(netbios)-1], "NetBIOS", "DNS")
	}
}

func (r *reader) oneName(account string, e listed, has, lacks string) {
	r.warn(jsontree.PointerIndex(pathAccounts, e.index), e.start,
		fmt.Sprintf("lists %s with its domain's %s name %s only", show(account), has, show(e.Scope)),
		fmt.Sprintf("list it with the %s name of that domain, too", lacks))
}
