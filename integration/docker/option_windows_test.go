package docker

// optionPasses checks that the gate lets a container with the option pass.
func (h *host) optionPasses(value string) {
	h.Helper()
	h.Docker("rm", "--force", h.Docker(args("create", "--security-opt", "credentialspec="+value, h.run())...))
}
