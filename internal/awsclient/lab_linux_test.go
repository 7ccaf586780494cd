package awsclient

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/gmsa-agent/gmsa-agent/integration/awslab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

func TestAWebIdentityIsExchangedByMoto(t *testing.T) {
	if err := awslab.Ready(); err != nil {
		t.Skip(err)
	}
	moto, err := awslab.Start(t.Context(), lab.Report(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := moto.Stop(); err != nil {
			t.Error(err)
		}
	})
	c := newClientFor(t, Config{
		Credentials: "web_identity", Region: awslab.Region, Endpoints: map[string]string{"sts": moto.URL},
		RoleARN: "arn:aws:iam::" + awslab.AccountID + ":role/agent", TokenFile: write(t, "a.projected.token"),
	})
	sdk, err := c.SDK(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	who, err := sts.NewFromConfig(sdk, func(o *sts.Options) {
		o.Region, o.BaseEndpoint = awslab.Region, c.Endpoint("sts")
	}).GetCallerIdentity(t.Context(), nil)
	if want := "arn:aws:sts::" + awslab.AccountID + ":assumed-role/agent/gmsa-agent"; err != nil || *who.Arn != want {
		t.Errorf("%+v, %v, want %s", who, err, want)
	}
}

// Amazon's own double speaks version 2 and refuses everything else.
func TestAnInstanceAnswersWithItsRegionAndRole(t *testing.T) {
	if err := awslab.Ready(); err != nil {
		t.Skip(err)
	}
	imds, err := awslab.StartMetadata(t.Context(), awslab.Instance{Region: "ap-northeast-1", ID: "AKIAROLE", Secret: "s", SessionToken: "t"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := imds.Stop(); err != nil {
			t.Error(err)
		}
	})
	c := newClientFor(t, Config{Endpoints: map[string]string{"imds": imds.URL}})
	sdk, err := c.SDK(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	region, err := c.Region(t.Context(), "", "aws")
	if err != nil || region != "ap-northeast-1" {
		t.Errorf("region %q, %v", region, err)
	}
	creds, err := sdk.Credentials.Retrieve(t.Context())
	if err != nil || creds.AccessKeyID != "AKIAROLE" || creds.SessionToken != "t" || !creds.CanExpire {
		t.Errorf("key %s, error %v", creds.AccessKeyID, err)
	}
}
