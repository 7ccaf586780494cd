package azurekeyvault

// maxPool bounds what is kept for references to come. A reference can name any
// identity: without a bound, who writes many of them would fill the memory.
const maxPool = 64

// pool keeps what is expensive to make. The oldest goes first; who uses it may
// go on doing so.
type pool[K comparable, V any] struct {
	kept  map[K]V
	order []K
}

// get returns what is kept, or makes it. The caller holds the lock.
func (p *pool[K, V]) get(k K, make_ func() (V, error)) (V, error) {
	if v, ok := p.kept[k]; ok {
		return v, nil
	}
	v, err := make_()
	if err != nil {
		return v, err
	}
	if p.kept == nil {
		p.kept = map[K]V{}
	}
	if len(p.order) == maxPool {
		delete(p.kept, p.order[0])
		p.order = append(p.order[:0], p.order[1:]...)
	}
	p.kept[k] = v
	p.order = append(p.order, k)
	return v, nil
}
