package credential

import (
	"testing"

	"github.com/zalando/go-keyring"
)

// The items of the keyring as released versions have written them, under the name that they gave them.
func TestTheKeyringItemsOfEveryReleasedVersionAreRead(t *testing.T) {
	for _, tt := range []struct{ version, user, value, host, scheme, secret, prefix string }{
		{"0.1.0", "upload.example.org/secret", `{"scheme":"v2","secret":"a shared secret","prefix":"/upload/"}`, "upload.example.org", "v2", "a shared secret", "/upload/"},
		{"0.1.0", "files.example.net:8443/secret", `{"scheme":"jwt","secret":"\"quotes\" and ü","prefix":"/"}`, "Files.example.net:8443", "jwt", `"quotes" and ü`, "/"},
	} {
		t.Run(tt.version+" "+tt.host, func(t *testing.T) {
			keyring.MockInit()
			if err := keyring.Set("holdfast", tt.user, tt.value); err != nil {
				t.Fatal(err)
			}
			key, err := newStore(desktop{}, always).Key(t.Context(), tt.host)
			if err != nil || string(key.Scheme) != tt.scheme || string(key.Secret) != tt.secret || key.Prefix != tt.prefix {
				t.Errorf("%v %q: %v", key.Scheme, key.Prefix, err)
			}
		})
	}
}
