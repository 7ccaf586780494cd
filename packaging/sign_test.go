package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// throwAway is a certificate to sign code with, and its key, that nobody trusts.
func throwAway(t *testing.T, name string) (cert, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: der},
		key:  {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// packageToSign is a package with one of each kind of file that is signed. The
// images are small ones, in C.
func packageToSign(t *testing.T) namedPackage {
	t.Helper()
	needs(t, signTool, mingw)
	dir := t.TempDir()
	source := filepath.Join(dir, "x.c")
	if err := os.WriteFile(source, []byte("int main(void) { return 0; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	image := func(name string, args ...string) string {
		file := filepath.Join(dir, name)
		args = append(args, "-s", "-Wl,--no-insert-timestamp", "-o", file, source)
		if _, err := output(t.Context(), "", nil, mingw, args...); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := setChecksum(content); err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	script, err := os.ReadFile("windows/install.ps1")
	if err != nil {
		t.Fatal(err)
	}
	return somePackage(t, map[string]string{
		"gmsa-agent.exe": image("x.exe"), "ccg-plugin.dll": image("x.dll", "-shared"),
		"install.ps1": strings.ReplaceAll(string(script), "\n", "\r\n"), "LICENSE": "words",
	})
}

func TestASignedPackageIsTheSamePackageWithSignatures(t *testing.T) {
	unsigned := packageToSign(t)
	cert, key := throwAway(t, "signer")
	plain := writePackage(t, unsigned)
	list := filepath.Join(filepath.Dir(plain), sumsName)
	if err := os.WriteFile(list, []byte(strings.Repeat("0", 64)+"  zzz\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var file string
	for range 2 { // a second time replaces the first
		var err error
		if file, err = (signer{cert: cert, key: key}).sign(t.Context(), plain); err != nil {
			t.Fatal(err)
		}
	}
	archive, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := string(sumsOf(map[string][]byte{filepath.Base(file): archive})) + strings.Repeat("0", 64) + "  zzz\n"
	if got, err := os.ReadFile(list); err != nil || string(got) != want {
		t.Errorf("the folder's list is %q (%v), want %q", got, err, want)
	}
	signed, err := readPackage(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := signed.verifySums(); err != nil {
		t.Error(err)
	}
	names, err := verifySignatures(t.Context(), signed, cert)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names, " "); got != "ccg-plugin.dll gmsa-agent.exe install.ps1" {
		t.Errorf("signed: %s", got)
	}
	if !bytes.Equal(signed.files["LICENSE"].content, unsigned.files["LICENSE"].content) {
		t.Error("a file that is not signed was changed")
	}
	// What the signing itself checks is checked here with what was published.
	dir := t.TempDir()
	for _, name := range names {
		in, out := filepath.Join(dir, "in-"+name), filepath.Join(dir, "out-"+name)
		if err := os.WriteFile(in, signed.files[name].content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := output(t.Context(), "", nil, signTool, "remove-signature", "-in", in, "-out", out); err != nil {
			t.Fatal(err)
		}
		bare, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bare, unsigned.files[name].content) {
			t.Errorf("%s without its signature is not what the unsigned package has", name)
		}
	}
}

func TestTamperingWithASignedPackageIsNoticed(t *testing.T) {
	unsigned := packageToSign(t)
	cert, key := throwAway(t, "signer")
	other, _ := throwAway(t, "another")
	file, err := signer{cert: cert, key: key}.sign(t.Context(), writePackage(t, unsigned))
	if err != nil {
		t.Fatal(err)
	}
	changed := func(name string, change func([]byte) []byte) *namedPackage {
		p, err := readPackage(file)
		if err != nil {
			t.Fatal(err)
		}
		p.files[name] = packedFile{content: change(bytes.Clone(p.files[name].content)), executable: true}
		return p
	}
	flip := func(b []byte) []byte { b[0x1000] ^= 1; return b }
	replace := func(b []byte) []byte { return bytes.Replace(b, []byte("17763"), []byte("10240"), 1) }
	for name, change := range map[string]func([]byte) []byte{"gmsa-agent.exe": flip, "ccg-plugin.dll": flip, "install.ps1": replace} {
		p := changed(name, change)
		if err := p.verifySums(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s was changed, and the checksums say %v", name, err)
		}
		// Whoever changes a file can change its checksum, too, but cannot sign.
		p.sum()
		if err := p.verifySums(); err != nil {
			t.Fatal(err)
		}
		if _, err := verifySignatures(t.Context(), p, cert); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s was changed, and the signatures say %v", name, err)
		}
	}
	p := changed("gmsa-agent.exe", func([]byte) []byte { return unsigned.files["gmsa-agent.exe"].content })
	if _, err := verifySignatures(t.Context(), p, cert); err == nil || !strings.Contains(err.Error(), "gmsa-agent.exe") {
		t.Errorf("a signature was taken off: %v", err)
	}
	whole, err := readPackage(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifySignatures(t.Context(), whole, other); err == nil {
		t.Error("a package that somebody else has signed was taken")
	}
}

func TestOnlyAWholePackageIsSigned(t *testing.T) {
	needs(t, signTool)
	p := somePackage(t, map[string]string{"gmsa-agent.exe": "program"})
	p.files["gmsa-agent.exe"] = packedFile{content: []byte("another")}
	s := signer{cert: "unused", key: "unused"}
	if _, err := s.sign(context.Background(), writePackage(t, p)); err == nil || !strings.Contains(err.Error(), "not what was packaged") {
		t.Errorf("got %v, want that the package is not whole", err)
	}
	if _, err := s.sign(context.Background(), writePackage(t, somePackage(t, map[string]string{"LICENSE": "words"}))); err == nil {
		t.Error("a package without programs was signed")
	}
}
