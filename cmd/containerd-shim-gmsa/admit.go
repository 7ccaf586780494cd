package main

import (
	"context"
	"os"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/hook/bundle"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

// admitTimeout bounds how long a container that asks waits for its admission.
// The kubelet gives a runtime two minutes for a container (its
// runtimeRequestTimeout); a quarter of them leaves the real shim its time, lets
// a slow credential-spec source answer, and has the error reach the kubelet
// before it gives up without one.
const admitTimeout = 30 * time.Second

// imageAnnotation is the annotation in which containerd's CRI plugin names the image.
const imageAnnotation = "io.kubernetes.cri.image-name"

// An admitter has the agent admit the container of one start.
type admitter struct {
	call     call
	endpoint string
	ask      func(ctx context.Context, endpoint string, facts hook.Facts) (hook.Admission, error)
}

// admit returns nil if the container does not ask, or asks and its bundle now
// holds the admitted document. The two errors are what went wrong before: they
// stop a container that asks, and it only, before the agent makes it a grant.
func (a admitter) admit(ctx context.Context, settingsErr, shimErr error) error {
	folder, err := os.Getwd()
	if err != nil {
		return nil // there is no bundle that the real shim could read either
	}
	// What cannot be opened or decoded here cannot be by the real shim, which
	// fails by itself. So no spelling that it takes passes for "does not ask".
	file, err := bundle.Open(folder)
	if err != nil {
		return nil
	}
	facts := hook.Facts{
		Key:            hook.Key{Runtime: "containerd", Namespace: a.call.namespace, ID: a.call.id},
		Image:          file.Annotations[imageAnnotation],
		Annotations:    file.Annotations,
		Bundle:         folder,
		CredentialSpec: file.CredentialSpec,
	}
	ref, asks := facts.Ask()
	if !asks {
		return nil
	}
	refused := func(err error, next string) error {
		return &refusal{key: facts.Key, ref: ref, cause: err, next: next}
	}
	if settingsErr != nil {
		return refused(settingsErr, "correct the shim wrapper's settings")
	}
	if shimErr != nil {
		return refused(shimErr, "install the real shim or set its path")
	}
	ctx, cancel := context.WithTimeout(ctx, admitTimeout)
	defer cancel()
	admission, err := a.ask(ctx, a.endpoint, facts)
	if err != nil {
		return refused(err, nextStep(err, facts.ID))
	}
	if err := file.SetCredentialSpec(admission.Document); err != nil {
		return refused(err, "gmsa-agent containers inspect "+facts.ID)
	}
	return nil
}

// askAgent asks the agent at endpoint, the default one if that is empty.
func askAgent(ctx context.Context, endpoint string, facts hook.Facts) (hook.Admission, error) {
	conn, err := channel.Dial(ctx, channel.Control, endpoint)
	if err != nil {
		return hook.Admission{}, &unreachable{err}
	}
	defer conn.Close() //nolint:errcheck // the answer is there, or the error
	var admission hook.Admission
	err = control.Call(ctx, conn, "admit", facts, &admission)
	return admission, err
}
