package config

import "testing"

func TestPatternMatches(t *testing.T) {
	for _, c := range []struct {
		pattern Pattern
		text    string
		want    bool
	}{
		{"web", "web", true},
		{"web", "webapp", false},
		{"web*", "web", true},
		{"web*", "webapp01", true},
		{"*app", "webapp", true},
		{"*app", "webapp01", false},
		{"a*b*c", "a1b2c", true},
		{"a*b*c", "acb", false},
		{"a*ab", "ab", false},
		{"*a*a*", "a", false},
		{"*", "", true},
		{"**", "x", true},
		{"reg/*:1", "reg/a/b:1", true},
		{"we?", "web", false},
		{"[a]", "a", false},
	} {
		if got := c.pattern.Match(c.text); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.pattern, c.text, got, c.want)
		}
	}
	if !Pattern("Web*").MatchFold("WEBAPP") {
		t.Error("MatchFold minds case")
	}
	if Pattern("Web*").Match("WEBAPP") {
		t.Error("Match does not mind case")
	}
}

func TestSizeIsReadAsItIsWritten(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1000": 1000, "1KiB": 1024, "64KiB": 64 << 10, "1536KiB": 1536 << 10, "32MiB": 32 << 20, "2GiB": 2 << 30,
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: got %d, %v, want %d", text, s, err, want)
			continue
		}
		if back, _ := s.MarshalText(); string(back) != text {
			t.Errorf("%s is written as %s", text, back)
		}
	}
	for _, text := range []string{"", "-1", "1.5MiB", "MiB", "1 TiB", "99999999999999999999", "9007199254740992GiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted as %d", text, s)
		}
	}
}

func TestCanonicalGUID(t *testing.T) {
	const want = "{CCC2A336-D7F3-4818-A213-272B7924213E}"
	for _, s := range []string{want, "ccc2a336-d7f3-4818-a213-272b7924213e"} {
		if got, ok := CanonicalGUID(s); !ok || got != want {
			t.Errorf("%s: got %s, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "{}", "{ccc2a336-d7f3-4818-a213-272b7924213e", "ccc2a336d7f34818a213272b7924213e", "gcc2a336-d7f3-4818-a213-272b7924213e", "ccc2a336-d7f3-4818-a213-272b7924213é"} {
		if got, ok := CanonicalGUID(s); ok {
			t.Errorf("%q is accepted as %s", s, got)
		}
	}
}
