package main

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/directory"
	"github.com/gmsa-agent/gmsa-agent/secrets/local"
)

// directoryHints are the rows of the table of hints for what a domain
// controller says. Commands that Active Directory's administrator types are
// PowerShell's.
var directoryHints = map[directory.Kind]func(s *session, e *verifyError) string{
	directory.Unreachable: func(s *session, e *verifyError) string {
		return fmt.Sprintf("this host must reach a domain controller on ports 88, 389 and 636; %s can name one: %s", e.setting("controllers", "--dc"), s.again("config show"))
	},
	directory.NoSuchDomain: func(_ *session, e *verifyError) string {
		return fmt.Sprintf("%s can name servers that know the domain; what this host's say: nslookup -type=SRV _ldap._tcp.dc._msdcs.%s", e.setting("dns", "--dns"), e.domain)
	},
	directory.Untrusted: func(s *session, e *verifyError) string {
		return fmt.Sprintf("%s can name the certificate that signs the domain controllers'; see what is in effect: %s", e.setting("ca_file", "--ca-file"), s.again("config show"))
	},
	directory.ClockSkew: func(*session, *verifyError) string {
		if runtime.GOOS == "windows" {
			return "set this host's clock: w32tm /resync"
		}
		return "set this host's clock; what it is now: timedatectl status"
	},
	directory.UnknownUser:        storeAnew,
	directory.WrongPassword:      storeAnew,
	directory.PasswordExpired:    setPassword,
	directory.MustChangePassword: setPassword,
	directory.NoAESKey:           setPassword,
	directory.AccountLocked:      onAccount("Unlock-ADAccount %s"),
	directory.AccountDisabled:    onAccount("Enable-ADAccount %s"),
	directory.AccountExpired:     onAccount("Clear-ADAccountExpiration %s"),
	directory.AccountRestricted:  onAccount("Get-ADUser %s -Properties LockedOut,AccountExpirationDate,logonHours"),
	directory.LogonHours:         onAccount("Get-ADUser %s -Properties logonHours"),
	directory.Workstation:        onAccount("Get-ADUser %s -Properties LogonWorkstations"),
	directory.SmartCardRequired:  onAccount("Set-ADUser %s -SmartcardLogonRequired $false"),
	directory.NoSuchAccount: func(_ *session, e *verifyError) string {
		names := "the credential spec names " + e.gmsa + "; "
		if e.step == stepAccount { // where it was asked for by name
			names = ""
		}
		return fmt.Sprintf("%ssee which there are: Get-ADServiceAccount -Filter * -Server %s", names, e.domain)
	},
	directory.NotAuthorized: func(_ *session, e *verifyError) string {
		return fmt.Sprintf("%s must be, or be in a group, among those who may; see who they are: Get-ADServiceAccount %s -Server %s -Properties PrincipalsAllowedToRetrieveManagedPassword", e.user, e.gmsa, e.domain)
	},
	directory.NoSuchService: func(_ *session, e *verifyError) string {
		return "see whose it is, if anybody's: setspn -Q " + quoted(e.spn)
	},
	directory.NoTicket: func(_ *session, e *verifyError) string {
		return fmt.Sprintf("get one, in a file that --%s can name: kinit -c FILE:PATH USER@%s", flagCache, strings.ToUpper(cmp.Or(e.domain, "realm")))
	},
}

// setting is what names something about how the domain is reached.
func (e *verifyError) setting(key, flag string) string {
	s := "directory.domains." + e.domain + "." + key
	if e.flags {
		s = flag + ", or " + s + " in the configuration,"
	}
	return s
}

// ofDirectory is the hint for a verification that ended at a domain controller.
func ofDirectory(s *session, err error) string {
	said, ok := errors.AsType[*directory.Error](err)
	e, inVerify := errors.AsType[*verifyError](err)
	if !ok || !inVerify {
		return ""
	}
	if hint := directoryHints[said.Kind]; hint != nil {
		return hint(s, e)
	}
	return ""
}

// whose is the account that a step was about.
func (e *verifyError) whose() string {
	switch e.step {
	case directory.StepImpersonate, directory.StepWhoAmI, directory.StepServiceTicket:
		return e.gmsa + "$"
	}
	return e.user
}

func onAccount(command string) func(*session, *verifyError) string {
	return func(_ *session, e *verifyError) string {
		return fmt.Sprintf("in %s: "+command, e.domain, quoted(e.whose())) + " -Server " + e.domain
	}
}

func storeAnew(s *session, e *verifyError) string {
	if e.whose() != e.user {
		return "the managed password has just changed, or not reached this domain controller; try again: " + s.command
	}
	if e.secret.Scheme == "" {
		return "give another user, or the password of this one; what says who asks: " + s.command + " --help"
	}
	if e.secret.Scheme == local.Scheme {
		return fmt.Sprintf("store the right password, and check the user: %s --domain %s --user %s %s",
			s.again("secret put"), quoted(e.domain), quoted(e.user), quoted(e.secret.Rest))
	}
	return "correct the secret where it is kept, then look at it: " + s.again("secret check "+quoted(e.secret.String()))
}

func setPassword(s *session, e *verifyError) string {
	if e.whose() != e.user {
		return onAccount("Reset-ADServiceAccountPassword %s")(s, e)
	}
	return "set a new password there and store it: " + fmt.Sprintf("Set-ADAccountPassword %s -Reset -Server %s", quoted(e.user), e.domain)
}
