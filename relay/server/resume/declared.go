package resume

// Declared returns how many bytes the unfinished resources of source declared, and those of everybody.
func (c *Core) Declared(source string) (mine, all int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.perSource[source].bytes, c.bytes
}
