package resume

// Declared returns how many bytes the unfinished resources of source declared, and those of everybody.
func (c *Core) Declared(source string) (mine, all int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.byKey {
		if !r.status.Done && !r.status.Piece && r.status.Source == source {
			mine += r.status.Size
		}
	}
	return mine, c.bytes
}
