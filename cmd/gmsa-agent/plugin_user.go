package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/directory"
)

// checkPluginUser warns where the plugin user, as far as it is known, may not
// read the managed passwords. The document is right all the same: the right can
// be given later.
func (g *generation) checkPluginUser(ctx context.Context, c *connection, accounts []*directory.ServiceAccount) {
	user := g.secret
	switch {
	case g.noFetch != nil:
		g.warn("", "whether the plugin user may read the managed password is not checked: %v", g.noFetch)
		return
	case user == nil && g.host == nil && c.about.secret.Scheme != "":
		for i, f := range g.login.credentials {
			if f.ref.Equal(c.about.secret) {
				user = &g.login.credentials[i]
			}
		}
	}
	if user == nil {
		return
	}
	if !user.Serves(c.facts.DNSName, c.facts.NetBIOS) {
		g.warn("", "the agent will refuse the document: the secret %s is of the domain %s and serves no credential spec of %s", user.ref, user.Domain, c.facts.DNSName)
		return
	}
	for _, a := range accounts {
		access, err := c.Access(ctx, a, user.User)
		if err != nil {
			g.warn("", "whether %s may read the managed password of %s is not known: %v", user.User, a.Name, err)
			continue
		}
		if !access.Allowed {
			message, hint := notAllowed(access, a.Name, c.facts.DNSName)
			g.warn(hint, "%s", message)
		}
	}
}

// notAllowed says that a user may not read a managed password, and what would
// give the right.
func notAllowed(access *directory.Access, account, domain string) (message, hint string) {
	message = fmt.Sprintf("%s may not read the managed password of %s; who may: %s", access.User, account, access.WhoMay())
	if access.Through != nil {
		message = fmt.Sprintf("%s may not read the managed password of %s: it is denied to %s", access.User, account, access.Through)
	}
	var all []string
	for _, reader := range access.Readers {
		if reader.Group && access.Through == nil {
			return message, fmt.Sprintf("Add-ADGroupMember %s -Members %s -Server %s", quoted(reader.Name), quoted(access.User), domain)
		}
		all = append(all, quoted(reader.Name))
	}
	// The command replaces the list, so those who may already are named, too.
	return message, fmt.Sprintf("let a group that %s is in do so, too: Set-ADServiceAccount %s -PrincipalsAllowedToRetrieveManagedPassword %s -Server %s",
		access.User, quoted(account), strings.Join(append(all, "GROUP"), ","), domain)
}
