package main

import "strings"

// The actions that containerd asks a shim for.
const (
	actionStart  = "start"
	actionDelete = "delete"
	actionServe  = "serve" // runhcs starts itself with it
)

// A call is what the wrapper understands of its command line.
type call struct {
	action        string // one of the actions, or empty
	namespace     string
	id            string
	publishBinary string // the containerd that called
}

// parseCall reads the command line as the shims do, with package flag's or
// urfave/cli's rules: the action is the first word that is neither a flag nor a
// flag's value, flags may follow it, and a flag has one hyphen or two.
//
// A flag that is not known here is taken to have no value. If a coming containerd
// passes one that has, its value is not an action, and the action is still found
// behind it: a start must never be overlooked.
func parseCall(args []string) call {
	var c call
	values := map[string]*string{
		"namespace":      &c.namespace,
		"id":             &c.id,
		"publish-binary": &c.publishBinary,
		"address":        new(string),
		"bundle":         new(string),
		"socket":         new(string),
	}
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i], "-")
		if !isFlag {
			if c.action == "" && (args[i] == actionStart || args[i] == actionDelete || args[i] == actionServe) {
				c.action = args[i]
			}
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(name, "-"), "=")
		dest := values[name]
		if dest == nil {
			continue
		}
		if !hasValue && i+1 < len(args) {
			i++
			value = args[i]
		}
		*dest = value
	}
	return c
}
