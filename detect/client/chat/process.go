package chat

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// familyOf finds the process that has the end peer of a connection to local, and the process that started it: newer
// Gajims upload in a process of its own. Only processes of the same person are looked at. nil: not found.
func familyOf(all []socket, peer, local netip.AddrPort) []int {
	for _, s := range all {
		if s.local != peer || s.remote != local {
			continue
		}
		for _, pid := range ownProcesses() {
			if socketsOf(pid)[s.inode] {
				if parent := parentOf(pid); parent > 1 {
					return []int{pid, parent}
				}
				return []int{pid}
			}
		}
	}
	return nil
}

// ownProcesses lists the processes of this user.
func ownProcesses() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		fi, err := e.Info()
		if err != nil {
			continue
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); ok && int(st.Uid) == os.Getuid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// socketsOf lists the sockets that a process has open, by inode.
func socketsOf(pid int) map[uint32]bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	inodes := map[uint32]bool{}
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		digits, ok := strings.CutPrefix(to, "socket:[")
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimSuffix(digits, "]"), 10, 32); err == nil {
			inodes[uint32(n)] = true
		}
	}
	return inodes
}

// parentOf reads the parent of a process; 0: not known.
func parentOf(pid int) int {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// The name stands in brackets and may hold anything, brackets too.
	_, rest, ok := strings.Cut(string(b[max(0, strings.LastIndexByte(string(b), ')')):]), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 2 {
		return 0
	}
	n, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return n
}
