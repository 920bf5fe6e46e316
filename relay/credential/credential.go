// Package credential keeps what re-signing needs in the keyring, and never waits for it without a limit.
package credential
