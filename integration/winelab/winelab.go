// Package winelab runs the project's Windows programs on Linux, under Wine.
//
// A lab is a Wine prefix of its own (registry, drive C:, processes), made from
// a template in a second. What is needed so that Go programs, go-winio pipes
// and COM surrogates work under Debian 12's Wine 8 is done here, once, and said
// why; nothing of it reaches the project's own code.
//
// What Wine does not have cannot be shown with it: access lists of pipes are
// stored but not enforced, there is one user, who is an administrator and never
// SYSTEM, the first-instance check of pipes is missing, event logs swallow what
// is written, and COM permissions are ignored. Suites must not claim those.
//
// The package knows Wine. It knows nothing of CCG, HCS or containerd.
package winelab
