package token

import (
	"fmt"
	"log/slog"
)

const redacted = "***"

// Secret is key material that never prints itself: not with fmt, not with slog, not as JSON or text.
type Secret []byte

// String returns "***".
func (Secret) String() string { return redacted }

// GoString returns "***".
func (Secret) GoString() string { return redacted }

// Format prints "***" for every verb, so that %x and %d are no way around String.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue is what slog prints.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText is what encoding/json and configuration writers print.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
