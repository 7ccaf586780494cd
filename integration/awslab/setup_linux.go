package awslab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// base is Debian 12, whose Python runs all of it.
const base = "bookworm"

// packages are moto and what it imports. Debian 12 has no moto; Debian 13's is
// pure Python and content with the libraries of Debian 12. So nothing of it is
// installed. What python3-moto depends on for other services than ours (antlr4,
// cryptography) is there because moto imports it all the same.
var packages = []string{
	"python3-moto/trixie",
	"python3-antlr4", "python3-boto3", "python3-botocore", "python3-certifi", "python3-cffi-backend", "python3-chardet",
	"python3-charset-normalizer", "python3-click", "python3-colorama", "python3-cryptography", "python3-dateutil",
	"python3-flask", "python3-flask-cors", "python3-idna", "python3-itsdangerous", "python3-jinja2", "python3-jmespath",
	"python3-markupsafe", "python3-pkg-resources", "python3-requests", "python3-responses", "python3-s3transfer",
	"python3-six", "python3-urllib3", "python3-werkzeug", "python3-xmltodict", "python3-yaml",
}

// interpreter is installed: it is a program of this machine.
const interpreter = "python3"

// The double of the metadata service, built from its published module.
const (
	metadataProgram = "github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock"
	metadataVersion = "v1.13.0"
)

func metadataBinary() string {
	return lab.Cache("aws", metadataVersion+"-"+runtime.Version(), "ec2-metadata-mock")
}

// motoRoot is where the packages are unpacked, named after which they are.
func motoRoot() string {
	sum := sha256.Sum256([]byte(base + " " + strings.Join(packages, " ")))
	return lab.Cache("aws", "moto-"+hex.EncodeToString(sum[:])[:12])
}

func modules() string { return filepath.Join(motoRoot(), "usr", "lib", "python3", "dist-packages") }

// Setup downloads and unpacks moto, and builds the metadata service's double,
// where they are missing: half a minute, 130 MB in the cache.
func Setup(ctx context.Context, report lab.Reporter) error {
	err := lab.Packages(ctx, report, "", interpreter)
	if err == nil {
		err = lab.Unpack(ctx, report, motoRoot(), base, packages...)
	}
	if err == nil {
		err = loads(ctx)
	}
	if err == nil {
		err = lab.GoInstall(ctx, report, metadataBinary(), metadataProgram, metadataVersion)
	}
	if err != nil {
		return fmt.Errorf("set up the AWS lab: %w", err)
	}
	return nil
}

// python is moto's interpreter with arguments. It sees the unpacked packages and
// none that this machine happens to have: what is missing is missing everywhere.
func python(args ...string) (path string, all, env []string) {
	return "/usr/bin/python3", append([]string{"-s", "-S"}, args...), []string{"PYTHONPATH=" + modules()}
}

// loads has moto import the services that are used, which it does no earlier
// than at their first request.
func loads(ctx context.Context) error {
	path, args, env := python("-c", "import moto.server, moto.secretsmanager.responses, moto.ssm.responses, moto.sts.responses")
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("moto does not load: %w: %s", err, out)
	}
	return nil
}

// Ready says why the lab cannot be started; nil when it can.
func Ready() error {
	if len(lab.Missing(interpreter)) > 0 {
		return fmt.Errorf("package %s is not installed: run `make lab-aws`", interpreter)
	}
	if _, err := os.Stat(motoRoot()); err != nil {
		return fmt.Errorf("moto is not unpacked: run `make lab-aws`")
	}
	if _, err := os.Stat(metadataBinary()); err != nil {
		return fmt.Errorf("ec2-metadata-mock %s is not built: run `make lab-aws`", metadataVersion)
	}
	return nil
}
