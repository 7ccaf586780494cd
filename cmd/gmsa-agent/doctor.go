package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin/activation"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/daemon"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
	"github.com/gmsa-agent/gmsa-agent/internal/doctor"
	"github.com/gmsa-agent/gmsa-agent/internal/eventlog"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
	"github.com/gmsa-agent/gmsa-agent/internal/service"
)

func (s *session) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "check every link of the chain on this host, from the configuration to the domain controllers",
		Description: "Changes nothing and logs on nowhere. Secrets are fetched as the user who runs the command, and are not shown.\n" +
			"Each finding that is not well says what to do. Exit code 1: something failed.",
		Flags: []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			h, err := s.doctorsHost(c)
			if err != nil {
				return err
			}
			found := doctor.Run(c.Context, h.Checks())
			if err := s.answer(c, found, func(w io.Writer) error { return s.findingsText(w, found) }); err != nil {
				return err
			}
			if !doctor.Healthy(found) {
				return errNotValid
			}
			return nil
		},
	}
}

// doctorsHost is this host as the doctor is to see it. A configuration that is
// wrong is a finding; a flag that is wrong is an error.
func (s *session) doctorsHost(c *cli.Context) (*doctor.Host, error) {
	installed, notInstalled := s.host(c) // which also finds the service's configuration
	cfg, err := s.config(c)
	if _, usage := errors.AsType[*usageError](err); usage {
		return nil, err
	}
	endpoints := config.Channels{Control: config.Control{Endpoint: global(c, flagEndpoint)}}
	if err == nil {
		endpoints = cfg.Channels
	}
	return &doctor.Host{
		Version: thisBuild().Version,
		Windows: runtime.GOOS == "windows",
		Config:  cfg, ConfigError: err,
		Trusted: func() error { return daemon.Trustworthy(cfg) },
		Folder: func(path string) error {
			if _, err := os.Lstat(path); err != nil {
				return err
			}
			return private.Folder(path)
		},
		Service: func(ctx context.Context) (*service.Status, error) {
			if notInstalled != nil {
				return nil, notInstalled
			}
			status, err := installed.Status(ctx)
			if err != nil {
				return nil, &serviceError{err}
			}
			return status, nil
		},
		Agent: func(ctx context.Context) (status agent.Status, err error) {
			return status, askAgent(ctx, endpoints.Control.Endpoint, agent.VerbStatus, nil, &status)
		},
		PluginChannel: func(ctx context.Context) error { return reachPluginChannel(ctx, endpoints.Plugin.Endpoint) },
		Plugin:        registeredPlugin,
		PluginCall:    probePlugin,
		CCG:           hcs.Supported,
		EventSource: func() ([]string, error) {
			_, problems, err := eventlog.Inspect()
			return problems, err
		},
		Joined: func() (bool, error) { return daemon.DomainJoined(cfg.DomainJoined) },
		Secrets: func() (doctor.Secrets, error) {
			stores, err := openStores(cfg)
			if err != nil {
				return nil, err
			}
			return stores, nil
		},
		Domain: func(dns string) (doctor.Domain, error) {
			d := cfg.Directory.Domains[dns]
			client, err := directory.New(directory.Config{DNS: d.DNS, Controllers: d.Controllers, CAFile: d.CAFile, Timeout: doctorsExchange}, dns)
			if err != nil {
				return nil, err
			}
			return client, nil
		},
		Again: s.again,
		Hint:  s.hint,
		DomainHint: func(domain string, err error) string {
			return s.hint(&verifyError{domain: domain, err: err})
		},
	}, nil
}

// doctorsExchange is how long a domain controller may take for one answer: a
// person waits, and two of them are within a check's time.
const doctorsExchange = 5 * time.Second

// reachPluginChannel connects and goes away: nothing is asked.
func reachPluginChannel(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	conn, err := channel.Dial(ctx, channel.Plugin, endpoint)
	if err != nil {
		return &agentError{err}
	}
	return conn.Close()
}

// registeredPlugin is what `plugin status` finds.
func registeredPlugin() (doctor.Plugin, error) {
	reg, err := localMachine()
	if err != nil {
		return doctor.Plugin{}, err
	}
	own, err := ownDLL()
	if err != nil {
		return doctor.Plugin{}, &pluginError{err}
	}
	status, err := lookAtPlugin(reg, own, agentBuild())
	if err != nil {
		return doctor.Plugin{}, &pluginError{err}
	}
	p := doctor.Plugin{DLL: status.DLL, Nothing: status.nothing}
	for _, d := range status.Differences {
		at := d.Place
		if d.Value != "" {
			at += ": " + d.Value
		}
		p.Differences = append(p.Differences, doctor.Difference{
			Broken: d.Severity == string(ccgplugin.Broken), Problem: at + " " + d.Problem + "; effect: " + d.Effect, Remedy: d.Remedy,
		})
	}
	return p, nil
}

// probePlugin is what `plugin call` does without a grant.
func probePlugin(ctx context.Context) (doctor.PluginCall, error) {
	start := time.Now()
	answer, err := activation.Call(ctx, activation.Probe)
	if err != nil {
		return doctor.PluginCall{}, &pluginError{err}
	}
	call := pluginCallOf(answer, true)
	return doctor.PluginCall{
		Reached: call.ok(), Result: strings.TrimSpace(call.Name + " " + call.Result), Meaning: call.Meaning, Remedy: call.Remedy, Took: time.Since(start),
	}, nil
}

// findingsText has a line for each finding and one below it for what to do.
func (s *session) findingsText(w io.Writer, found []doctor.Finding) error {
	width := 0
	for _, f := range found {
		width = max(width, len(printable(f.Check)))
	}
	counts := map[doctor.State]int{}
	for _, f := range found {
		counts[f.State]++
		mark, colour := string(f.State), s.colour.dim
		switch f.State {
		case doctor.OK:
			colour = s.colour.good
		case doctor.Failed:
			mark, colour = "FAILED", s.colour.bad
		case doctor.Warning:
			colour = s.colour.bold
		}
		line := fmt.Sprintf("%s%-7s%s  %-*s  %s", colour, mark, s.colour.off, width, printable(f.Check), printable(f.Message))
		if f.Hint != "" {
			line += "\n         hint: " + printable(f.Hint)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d ok, %s, %d failed, %d skipped\n", counts[doctor.OK], counted(counts[doctor.Warning], "warning"), counts[doctor.Failed], counts[doctor.Skipped])
	return err
}
