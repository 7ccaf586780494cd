package directory

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/iana/msgtype"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/iana/patype"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Key usages of RFC 4120 7.5.1.
const (
	usageTimestamp = 1
	usageASRep     = 3
)

// logon gets a ticket-granting ticket with a password in UTF-8. salt is that
// of the account's keys if the KDC names none.
//
// It is an AS exchange of our own: gokrb5's client has no contexts, needs the
// password as a string that cannot be wiped, and drops the error's data, which
// says why an account is refused.
func (c *Client) logon(ctx context.Context, dc *Controller, user string, password []byte, salt string) (*ticket, error) {
	if len(password) == 0 {
		return nil, failf(WrongPassword, "it is empty")
	}
	body, err := logonRequest(c.realm, user)
	if err != nil {
		return nil, fail(Malformed, err)
	}

	// The first request has no proof; the KDC answers with what it wants, and
	// with its time. It may as well answer with a ticket.
	reply, err := c.askAS(ctx, dc, body, nil)
	params := keyParams{etype: etypes[0], salt: salt, iterations: defaultIterations}
	if e := (*kdcError)(nil); errors.As(err, &e) && e.code == errPreauthRequired {
		if params, err = keyParamsOf(e.data, params); err != nil {
			return nil, err
		}
		var proof *types.PAData
		if proof, err = params.timestamp(password); err != nil {
			return nil, fail(Malformed, err)
		}
		reply, err = c.askAS(ctx, dc, body, proof)
	}
	if err != nil {
		return nil, kdcFailure(err)
	}
	return openASRep(reply, body, params, password)
}

// openASRep takes the ticket out of the reply to a request.
func openASRep(reply []byte, body messages.KDCReqBody, params keyParams, password []byte) (*ticket, error) {
	var rep messages.ASRep
	if err := rep.Unmarshal(reply); err != nil {
		return nil, fail(Malformed, err)
	}
	if body.CName.NameType != nametype.KRB_NT_ENTERPRISE && !slices.Equal(rep.CName.NameString, body.CName.NameString) {
		return nil, failf(Malformed, "a ticket of %q", rep.CName.PrincipalNameString())
	}
	params, err := params.ofReply(rep)
	if err != nil {
		return nil, err
	}
	key, err := stringToKey(params.etype, password, params.salt, params.iterations)
	if err != nil {
		return nil, fail(Malformed, err)
	}
	defer clear(key.KeyValue)
	plain, err := decrypt(rep.EncPart, key, usageASRep)
	if err != nil {
		// Only an account that needs no pre-authentication gets here with a wrong password.
		return nil, fail(WrongPassword, err)
	}
	defer clear(plain)
	t, err := take(rep.KDCRepFields, plain, body)
	if err != nil {
		return nil, fail(Malformed, err)
	}
	return t, nil
}

// logonRequest asks for a ticket-granting ticket of the realm.
func logonRequest(realm, user string) (messages.KDCReqBody, error) {
	cname := types.PrincipalName{NameType: nametype.KRB_NT_PRINCIPAL, NameString: []string{user}}
	krbtgt := types.PrincipalName{NameType: nametype.KRB_NT_SRV_INST, NameString: []string{"krbtgt", realm}}
	body, err := newRequest(realm, cname, krbtgt)
	if err == nil && strings.Contains(user, "@") {
		// A user principal name: the KDC answers with the logon name it is of.
		body.CName.NameType = nametype.KRB_NT_ENTERPRISE
		types.SetFlag(&body.KDCOptions, flags.Canonicalize)
	}
	return body, err
}

func (c *Client) askAS(ctx context.Context, dc *Controller, body messages.KDCReqBody, proof *types.PAData) ([]byte, error) {
	req := messages.ASReq{KDCReqFields: messages.KDCReqFields{PVNO: iana.PVNO, MsgType: msgtype.KRB_AS_REQ, ReqBody: body}}
	if proof != nil {
		req.PAData = types.PADataSequence{*proof}
	}
	b, err := req.Marshal()
	if err != nil {
		return nil, fail(Malformed, err)
	}
	return c.askKDC(ctx, dc, b)
}

// keyParams are what a key is derived with, besides the password.
type keyParams struct {
	etype      int32
	salt       string
	iterations uint32
}

// timestamp is the proof that we have the key (RFC 4120 5.2.7.2).
func (p keyParams) timestamp(password []byte) (*types.PAData, error) {
	key, err := stringToKey(p.etype, password, p.salt, p.iterations)
	if err != nil {
		return nil, err
	}
	defer clear(key.KeyValue)
	now, err := types.GetPAEncTSEncAsnMarshalled()
	if err != nil {
		return nil, err
	}
	sealed, err := crypto.GetEncryptedData(now, key, usageTimestamp, 0)
	if err != nil {
		return nil, err
	}
	b, err := sealed.Marshal()
	return &types.PAData{PADataType: patype.PA_ENC_TIMESTAMP, PADataValue: b}, err
}

// keyParamsOf reads the KDC's wishes from the data of its
// KDC_ERR_PREAUTH_REQUIRED; what it does not say stays as in p.
func keyParamsOf(data []byte, p keyParams) (keyParams, error) {
	var seq types.PADataSequence
	if _, err := asn1.Unmarshal(data, &seq); err != nil {
		return p, fail(Malformed, fmt.Errorf("pre-authentication data: %w", err))
	}
	return p.with(seq)
}

// ofReply adapts p to a reply that is encrypted with a key of another type than the proof.
func (p keyParams) ofReply(rep messages.ASRep) (keyParams, error) {
	p, err := p.with(types.PADataSequence(rep.PAData))
	if err != nil {
		return p, err
	}
	if !slices.Contains(etypes, rep.EncPart.EType) {
		return p, failf(NoAESKey, "the reply is encrypted with type %d", rep.EncPart.EType)
	}
	p.etype = rep.EncPart.EType
	return p, nil
}

// with takes over the first entry of an ETYPE-INFO2 whose type we have.
func (p keyParams) with(seq types.PADataSequence) (keyParams, error) {
	for _, pa := range seq {
		if pa.PADataType != patype.PA_ETYPE_INFO2 {
			continue
		}
		info, err := pa.GetETypeInfo2()
		if err != nil {
			return p, fail(Malformed, fmt.Errorf("ETYPE-INFO2: %w", err))
		}
		i := slices.IndexFunc(info, func(e types.ETypeInfo2Entry) bool { return slices.Contains(etypes, e.EType) })
		if i < 0 {
			return p, failf(NoAESKey, "the KDC offers none")
		}
		p.etype = info[i].EType
		if info[i].Salt != "" {
			p.salt = info[i].Salt
		}
		if params := info[i].S2KParams; len(params) == 4 {
			p.iterations = binary.BigEndian.Uint32(params)
		}
		if p.iterations < defaultIterations || p.iterations > maxIterations {
			return p, failf(Malformed, "the KDC wants %d iterations of string-to-key", p.iterations)
		}
		return p, nil
	}
	return p, nil
}
