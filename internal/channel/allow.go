package channel

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Allow says which peers a channel serves. It comes after the access list of
// the endpoint itself, and is narrower: an access list knows accounts, this
// knows programs too.
type Allow struct {
	// Users are SIDs of users or of groups on Windows, "uid:" and a number
	// on unix. Empty allows nobody.
	Users []string
	// Images are absolute paths of programs, compared without regard to case
	// on Windows. Empty allows any program of an allowed user.
	Images []string
}

// DefaultAllow is who may use a channel where the configuration is silent.
func DefaultAllow(a Audience) Allow { return defaultAllow(a) }

// Check returns nil if p fits, else an error that wraps [fault.ErrDenied] and
// names what did not fit.
func (a Allow) Check(p *Peer) error {
	if !slices.ContainsFunc(a.Users, p.is) {
		return fmt.Errorf("%s: %w: the channel is not for this user, only for %s", p, fault.ErrDenied, orNobody(a.Users))
	}
	if len(a.Images) != 0 && !slices.ContainsFunc(a.Images, p.runs) {
		return fmt.Errorf("%s: %w: the channel is not for this program, only for %s", p, fault.ErrDenied, strings.Join(a.Images, ", "))
	}
	return nil
}

func (p *Peer) is(user string) bool {
	same := func(sid string) bool { return strings.EqualFold(sid, user) }
	return user != "" && (same(p.User) || slices.ContainsFunc(p.Groups, same))
}

func (p *Peer) runs(image string) bool { return p.Image != "" && sameImage(p.Image, image) }

func orNobody(users []string) string {
	if len(users) == 0 {
		return "nobody"
	}
	return strings.Join(users, ", ")
}
