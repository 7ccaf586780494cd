package docker

// optionPasses checks that the gate lets a container with the option pass. Docker
// refuses it then, in its own words: the option is none on Linux.
func (h *host) optionPasses(value string) {
	h.Helper()
	line := h.refused(args("run", "--detach", "--security-opt", "credentialspec="+value, h.run())...)
	if want := `docker: Error response from daemon: invalid --security-opt 2: "credentialspec=` + value + `".`; line != want {
		h.Errorf("the user reads\n%s\nand not\n%s", line, want)
	}
}
