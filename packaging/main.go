// Command packaging makes the packages that are given to users, and checks them:
//
//	go run ./packaging build        what make dist calls
//	go run ./packaging twice        builds in two places and compares, make dist-check
//	go run ./packaging sign FILE    signs what is in a package for Windows
//	go run ./packaging verify FILE  checks a package's checksums and signatures
//
// A package is made of a commit, in a clone of its own, by compilers of known
// versions; nothing of the machine that makes it is in it. So the same commit
// gives the same bytes everywhere, and whoever doubts a package builds it again.
// A signature is added afterwards and can be taken off again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

const usage = "usage: packaging build|twice|sign FILE|verify FILE... (packaging VERB -h lists the flags)"

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	verb := map[string]func(context.Context, []string) error{
		"build":  runBuild,
		"twice":  runTwice,
		"sign":   runSign,
		"verify": runVerify,
	}[args[0]]
	if verb == nil {
		return fmt.Errorf("there is no verb %q; %s", args[0], usage)
	}
	return verb(ctx, args[1:])
}

// reporter says what is being done, with the seconds since the start.
type reporter func(format string, args ...any)

func newReporter() reporter {
	start := time.Now()
	return func(format string, args ...any) {
		fmt.Printf("%5.0fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
}

func runBuild(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	out := flags.String("out", "dist", "`folder` that the packages are written to")
	commit := flags.String("commit", "", "`revision` to package (default: HEAD, if the work tree is the same)")
	anyCompiler := flags.Bool("any-compiler", false, "go on when a compiler is not the pinned one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	b := builder{report: newReporter(), anyCompiler: *anyCompiler, commit: *commit, out: *out, targets: targets}
	made, err := b.build(ctx)
	if err != nil {
		return err
	}
	for _, file := range made {
		fmt.Println(file)
	}
	return nil
}

func runSign(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("sign", flag.ContinueOnError)
	var s signer
	flags.StringVar(&s.cert, "cert", "", "`file` with the signing certificate and those above it (PEM or SPC)")
	flags.StringVar(&s.key, "key", "", "`file` with the private key (PEM, DER or PVK)")
	flags.StringVar(&s.passwordFile, "password-file", "", "`file` with the key's password")
	flags.StringVar(&s.timestamp, "timestamp", "", "`address` of an RFC 3161 time-stamp server; without one a signature ends with its certificate")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || s.cert == "" || s.key == "" {
		return errors.New("usage: packaging sign -cert FILE -key FILE [flags] PACKAGE.zip")
	}
	signed, err := s.sign(ctx, flags.Arg(0))
	if err != nil {
		return err
	}
	fmt.Println(signed)
	return nil
}

func runVerify(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	ca := flags.String("ca", "", "`file` with the certificates that signatures must lead to (PEM); without it signatures are not looked at")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("usage: packaging verify [-ca FILE] PACKAGE [PACKAGE]")
	}
	for _, file := range flags.Args() {
		p, err := readPackage(file)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := p.verifySums(); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		said := fmt.Sprintf("%d files are what %s says", len(p.files)-1, sumsName)
		if *ca != "" {
			names, err := verifySignatures(ctx, p, *ca)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			said += "; signed: " + strings.Join(names, ", ")
		}
		fmt.Printf("%s: %s\n", file, said)
	}
	return nil
}
