//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// screen is where the demo tells its story. Times are seconds since the start.
type screen struct {
	w     io.Writer
	start time.Time
}

func newScreen(w io.Writer) *screen { return &screen{w, time.Now()} }

func (s *screen) printf(format string, args ...any) { _, _ = fmt.Fprintf(s.w, format, args...) }

// chapter begins a part of the story.
func (s *screen) chapter(format string, args ...any) {
	s.printf("\n── %s\n", fmt.Sprintf(format, args...))
}

// hop tells one hop: who did what. A zero time leaves the column empty.
func (s *screen) hop(at time.Time, who, format string, args ...any) {
	stamp := "         "
	if !at.IsZero() {
		stamp = fmt.Sprintf("%8.2fs", at.Sub(s.start).Seconds())
	}
	s.printf("%s  %-13s %s\n", stamp, who, fmt.Sprintf(format, args...))
}

func (s *screen) now(who, format string, args ...any) { s.hop(time.Now(), who, format, args...) }

// table prints rows under a header, each column as wide as it must be.
func (s *screen) table(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	for n, r := range rows {
		for i, c := range r {
			s.printf("%s%s  ", c, strings.Repeat(" ", widths[i]-len([]rune(c))))
		}
		s.printf("\n")
		if n == 0 {
			for _, w := range widths {
				s.printf("%s  ", strings.Repeat("─", w))
			}
			s.printf("\n")
		}
	}
}
