package server

import (
	"encoding/json"
)

// problem is an error whose refusal has a body for programs (RFC 9457) instead of the sentence for people.
type problem struct {
	error
	kind, title string
	members     map[string]int64
}

func (p problem) Unwrap() error { return p.error }

// The problem types of draft-ietf-httpbis-resumable-upload.
const problemTypes = "https://iana.org/assignments/http-problem-types#"

func offsetProblem(err error, expected, provided int64) error {
	return problem{err, "mismatching-upload-offset", "offset from request does not match offset of resource",
		map[string]int64{"expected-offset": expected, "provided-offset": provided}}
}

func lengthProblem(err error) error {
	return problem{err, "inconsistent-upload-length", "inconsistent length values for upload", nil}
}

func completedProblem(err error) error {
	return problem{err, "completed-upload", "upload is already completed", nil}
}

// body is the document.
func (p problem) body(ref *Refusal) []byte {
	doc := map[string]any{"type": problemTypes + p.kind, "title": p.title, "status": ref.Status}
	for k, v := range p.members {
		doc[k] = v
	}
	b, err := json.Marshal(doc)
	if err != nil { // strings and numbers always can be written
		return []byte("{}\n")
	}
	return append(b, '\n')
}
