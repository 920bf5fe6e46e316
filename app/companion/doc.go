// Package companion assembles a companion from its parts and runs it: relay, agent, network watcher, history,
// control. It owns config.toml. The headless command and the tray use the same Run.
//
// # Invariants
//   - Exactly one companion per person: the process that holds the lock in the runtime folder.
//   - The relay listens on an address of this computer only.
//   - The running companion is the only writer of config.toml; a write changes the bytes of one key. A hand edit is
//     loaded within 2 s; one with a mistake is shown with its line, and the last good values stay.
//   - Without a session bus, a keyring, NetworkManager or an upload server it runs on, and says what is missing.
//   - Nothing here starts, quits or reroutes a client unless a person asked for it.
//   - The environment is read once, by DefaultPaths and through Options.Getenv.
//
// # On disk
//
// `$XDG_CONFIG_HOME/holdfast/config.toml` (and config.toml.lock), `$XDG_RUNTIME_DIR/holdfast/{lock,control.sock}`,
// `$XDG_STATE_HOME/holdfast/{uploads.jsonl,port.json,undo/}`, `$XDG_DATA_HOME/holdfast/authority/`, and
// `$XDG_CACHE_HOME/holdfast/` for unnamed copies of running uploads.
package companion
