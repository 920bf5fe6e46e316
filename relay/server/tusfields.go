package server

import (
	"crypto/sha1" // the protocol's own algorithm: it finds accidents, not attacks
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"net/http"
	"strings"

	"holdfast/relay/server/resume"
)

// The header fields of tus 1.0.

// tusMetadataLimit is how much metadata is kept with an upload.
const tusMetadataLimit = 4 << 10

// tusNumber reads Upload-Length or Upload-Offset. there is false where it is not sent.
func tusNumber(h http.Header, name string) (n int64, there bool, err error) {
	v, err := one(h, name)
	if v == "" || err != nil {
		return 0, false, err
	}
	n, ok := decimal(v)
	if !ok {
		return 0, false, fmt.Errorf("%w: %s is not a number", ErrBadRequest, strings.ToLower(name))
	}
	return n, true, nil
}

// tusMetadata reads Upload-Metadata: pairs of a key and a base64 value, the value may be left out.
func tusMetadata(v string) (map[string]string, error) {
	bad := func(what string) error { return fmt.Errorf("%w: upload-metadata: %s", ErrBadRequest, what) }
	if len(v) > tusMetadataLimit {
		return nil, bad("too long")
	}
	m := make(map[string]string)
	if v == "" {
		return m, nil
	}
	for pair := range strings.SplitSeq(v, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), " ")
		if key == "" || !visible(key) {
			return nil, bad("a key is empty or not ascii")
		}
		if _, twice := m[key]; twice {
			return nil, bad("a key comes twice")
		}
		b, err := base64.StdEncoding.Strict().DecodeString(value)
		if err != nil {
			return nil, bad("a value is not base64")
		}
		m[key] = string(b)
	}
	return m, nil
}

// The algorithms of Upload-Checksum, as Tus-Checksum-Algorithm lists them.
const tusAlgorithms = "sha1,sha256"

// tusChecksum reads Upload-Checksum; nil: none was sent.
func tusChecksum(h http.Header) (*resume.Check, error) {
	v, err := one(h, "Upload-Checksum")
	if v == "" || err != nil {
		return nil, err
	}
	name, sum, _ := strings.Cut(v, " ")
	var algorithm hash.Hash
	switch name {
	case "sha1":
		algorithm = sha1.New()
	case "sha256":
		algorithm = sha256.New()
	default:
		return nil, fmt.Errorf("%w: checksum algorithm is none of %s", ErrBadRequest, tusAlgorithms)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(sum)
	if err != nil || len(b) != algorithm.Size() {
		return nil, fmt.Errorf("%w: upload-checksum is not a %s sum", ErrBadRequest, name)
	}
	return &resume.Check{Hash: algorithm, Sum: b}, nil
}
