package main

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// null is the ceiling: what net/http alone can do. PUT reads and drops, GET /N sends N bytes from memory.
func null(args []string) error {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<20)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(http.StatusCreated)
			return
		}
		n, _ := strconv.Atoi(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
		w.Header().Set("Content-Length", strconv.Itoa(n))
		for ; n > 0; n -= len(zeros) {
			_, _ = w.Write(zeros[:min(n, len(zeros))])
		}
	})}
	return srv.Serve(l)
}
