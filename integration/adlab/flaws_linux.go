package adlab

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-ldap/ldap/v3"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Flaw is a reason why a user with the right password cannot log on, or not
// everywhere.
type Flaw string

// The flaws that the lab can give to a user.
const (
	Disabled        Flaw = "disabled"
	Locked          Flaw = "locked"
	AccountExpired  Flaw = "account-expired"
	PasswordExpired Flaw = "password-expired"
	MustChange      Flaw = "must-change"
	LogonHours      Flaw = "logon-hours"  // none is allowed
	Workstations    Flaw = "workstations" // only a computer that does not exist is allowed
	ProtectedUser   Flaw = "protected-user"
	SmartCardNeeded Flaw = "smart-card"
	// StalePassword is a user whose password was changed since: an LDAP simple
	// bind still takes the old one for an hour, Kerberos does not.
	StalePassword Flaw = "stale-password"
)

// Bits of userAccountControl and of its computed sister, MS-ADTS 2.2.16.
const (
	accountDisabled   = 0x2
	computedLockout   = 0x10
	normalAccount     = 0x200
	smartCardRequired = 0x40000
	computedExpired   = 0x800000
)

func uac(bits int) string { return strconv.Itoa(bits) }

// AddFlawed adds a user with the flaw, as a member of groups. The domain's own
// settings and every other user stay as they are.
func (a *Admin) AddFlawed(ctx context.Context, name string, flaw Flaw, groups ...string) (User, error) {
	u, err := a.AddUser(name, groups...)
	if err != nil {
		return u, err
	}
	if err := a.spoil(ctx, u, flaw); err != nil {
		return u, fmt.Errorf("make user %s %s: %w", name, flaw, err)
	}
	return u, nil
}

func (a *Admin) spoil(ctx context.Context, u User, flaw Flaw) error {
	dn := a.userDN(u.Name)
	switch flaw {
	case Disabled:
		return a.replace(dn, "userAccountControl", uac(normalAccount|accountDisabled))
	case AccountExpired:
		return a.replace(dn, "accountExpires", "132539328000000000") // 2021-01-01 as a FILETIME
	case MustChange:
		return a.replace(dn, "pwdLastSet", "0")
	case LogonHours:
		return a.replace(dn, "logonHours", string(make([]byte, 21))) // a bit for each hour of the week
	case Workstations:
		return a.replace(dn, "userWorkstations", "NOSUCHPC")
	case SmartCardNeeded:
		return a.replace(dn, "userAccountControl", uac(normalAccount|smartCardRequired))
	case ProtectedUser:
		r := ldap.NewModifyRequest(a.userDN("Protected Users"), nil)
		r.Add("member", []string{dn})
		return a.conn.Modify(r)
	case StalePassword:
		return a.SetPassword(&u) // the caller keeps the old one
	case PasswordExpired:
		if err := a.passwordSettings(u, "-10000000", "0"); err != nil { // one second
			return err
		}
		return a.waitComputed(ctx, dn, computedExpired)
	case Locked:
		if err := a.passwordSettings(u, "-9223372036854775808", "1"); err != nil {
			return err
		}
		if err := a.badLogon(ctx, u); err != nil {
			return err
		}
		return a.waitComputed(ctx, dn, computedLockout)
	}
	return errors.New("no such flaw")
}

// passwordSettings puts a password settings object on one user, so that the
// domain's own policy can stay. Ages are negative, in 100 ns.
func (a *Admin) passwordSettings(u User, maxAge, lockoutThreshold string) error {
	r := ldap.NewAddRequest("CN="+u.Name+",CN=Password Settings Container,CN=System,"+a.d.BaseDN, nil)
	for name, value := range map[string]string{
		"objectClass":                              "msDS-PasswordSettings",
		"msDS-PasswordSettingsPrecedence":          "1",
		"msDS-PasswordReversibleEncryptionEnabled": "FALSE",
		"msDS-PasswordHistoryLength":               "24",
		"msDS-PasswordComplexityEnabled":           "TRUE",
		"msDS-MinimumPasswordLength":               "7",
		"msDS-MinimumPasswordAge":                  "0",
		"msDS-MaximumPasswordAge":                  maxAge,
		"msDS-LockoutThreshold":                    lockoutThreshold,
		"msDS-LockoutObservationWindow":            "-18000000000", // 30 minutes
		"msDS-LockoutDuration":                     "-18000000000",
		"msDS-PSOAppliesTo":                        a.userDN(u.Name),
	} {
		r.Attribute(name, []string{value})
	}
	return a.conn.Add(r)
}

// badLogon binds with a wrong password.
func (a *Admin) badLogon(ctx context.Context, u User) error {
	conn, err := a.d.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	err = conn.Bind(u.Name+"@"+a.d.DNSName, string(newPassword()))
	if !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		return fmt.Errorf("bind with a wrong password: %w", err)
	}
	return nil
}

// waitComputed waits until the domain controller itself says that the user has the bit.
func (a *Admin) waitComputed(ctx context.Context, dn string, bit int) error {
	const attribute = "msDS-User-Account-Control-Computed"
	return lab.WaitFor(ctx, dn, func(context.Context) error {
		e, err := a.one(dn, ldap.ScopeBaseObject, "(objectClass=user)", attribute)
		if err != nil {
			return err
		}
		have, err := strconv.Atoi(e.GetAttributeValue(attribute))
		if err != nil {
			return err
		}
		if have&bit == 0 {
			return fmt.Errorf("%s is %#x", attribute, have)
		}
		return nil
	})
}
