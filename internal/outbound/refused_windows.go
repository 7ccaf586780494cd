package outbound

import "golang.org/x/sys/windows"

// errRefused is what a connect that nobody listens for ends with.
const errRefused = windows.WSAECONNREFUSED
