package credspec

import (
	"fmt"
	"strings"
)

// plugin says whose the CLSID is that a document names.
func (r *reader) plugin(path string, at int, guid string) {
	if guid == "" || !bareGUID(canonicalGUID(guid)) {
		return // has been reported
	}
	if canonicalGUID(guid) == sampleGUID {
		r.warn(path, at, fmt.Sprintf("is %s, the CLSID of the sample in Microsoft's documentation; a plugin of that sample takes a password in its input, for everybody to read", show(guid)),
			"this project's plugin is "+PluginGUID)
		return
	}
	name, known := KnownPlugin(guid)
	switch {
	case known:
		if canonicalGUID(guid) != canonicalGUID(PluginGUID) && !r.plugins[canonicalGUID(guid)].Served {
			r.warn(path, at, fmt.Sprintf("is %s, the CLSID of %s's plugin, to which the agent leaves the document", show(guid), name),
				fmt.Sprintf("to have the agent serve it, write %s here or list this one under adopt in the configuration", PluginGUID))
		}
	default:
		for other, name := range knownPlugins {
			if _, ok := nearest(canonicalGUID(guid), other); ok {
				r.warn(path, at, fmt.Sprintf("is %s, which is almost the CLSID of %s's plugin", show(guid), name), fmt.Sprintf("write {%s}", other))
			}
		}
	}
}

// input judges what the plugin is told. Its messages do not repeat it.
func (r *reader) input(path string, at int, h HostAccountConfig) {
	plugin := r.plugins[canonicalGUID(h.PluginGUID)]
	ours := canonicalGUID(h.PluginGUID) == canonicalGUID(PluginGUID)
	text := h.PluginInput
	useless := r.warn
	if plugin.Served {
		useless = r.fail
	}
	switch {
	case strings.ContainsRune(text, 0):
		r.refuse(path, at, "has a NUL character; the plugin would see only what is before it", "remove it")
	case strings.HasPrefix(strings.TrimSpace(text), grantPrefix):
		useless(path, at, "is a grant, which the agent has put into the document of a container; it is good for that container only, and as good as its password while that lives",
			"use the document that this one was made from")
	case strings.TrimSpace(text) == "":
		hint := "tell the plugin which secret to take"
		if ours {
			hint = "name the secret, such as local://NAME; without one the agent takes the one that serves the domain"
		}
		r.warn(path, at, "is empty", hint)
	case unfilled(text):
		useless(path, at, "has a placeholder in it, such as <NAME>", "put the value in its place")
	case plugin.Input != nil:
		if err := plugin.Input(text); err != nil {
			r.notUnderstood(path, at, plugin, err)
			return
		}
		fallthrough
	default:
		if strings.TrimRight(text, " \t\r\n") != text && !ours && !plugin.Served {
			r.warn(path, at, "has white space at its end, which the plugin gets with it", "remove it")
		}
	}
}

func (r *reader) notUnderstood(path string, at int, plugin Plugin, err error) {
	if plugin.Served {
		r.fail(path, at, fmt.Sprintf("is no reference to a secret: %v", err), "name the plugin user's secret, such as local://NAME; a password itself has no place here")
		return
	}
	name, _ := KnownPlugin(plugin.GUID)
	r.warn(path, at, fmt.Sprintf("is probably nothing that %s's plugin understands: %v", name, err), "see that plugin's documentation")
}

// unfilled reports whether a part of an input is a placeholder in angle
// brackets.
func unfilled(s string) bool {
	for {
		_, rest, found := strings.Cut(s, "<")
		if !found {
			return false
		}
		name, after, closed := strings.Cut(rest, ">")
		if closed && name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_- ") == "" {
			return true
		}
		if s = rest; closed {
			s = after
		}
	}
}
