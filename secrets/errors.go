package secrets

// Error says what was being done with which secret when it failed. It unwraps
// to one of the kinds that [Store] lists.
type Error struct {
	Op  string // "fetch", "put", "remove", "list"
	Ref Ref    // zero if the operation is not about one secret
	Err error
}

func (e *Error) Error() string {
	if e.Ref.Scheme == "" {
		return e.Op + " secrets: " + e.Err.Error()
	}
	return e.Op + " " + e.Ref.String() + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }
