package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// palette is how words are coloured on one stream; all empty, the zero value,
// where that is not a terminal.
type palette struct{ good, bad, dim, bold, off string }

func paletteFor(w io.Writer) palette {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(f.Fd())) || !showsColour(f) {
		return palette{}
	}
	return palette{good: "\x1b[32m", bad: "\x1b[31m", dim: "\x1b[2m", bold: "\x1b[1m", off: "\x1b[0m"}
}
