// Verifylog checks a policy-guard log with the Go project's own code for signed notes and transparency logs
// (golang.org/x/mod/sumdb/note and tlog), the code behind sum.golang.org. None of ours takes part.
//
//	verifylog seg   VKEYS DIR            the segments of one origin: every commit's signature, size and root
//	verifylog tiles VKEYS DIR            an exported tlog-tiles tree: every entry, every tile, the checkpoint
//	verifylog proof VKEYS FILE [RECORD]  a tlog-proof of one record; RECORD is its line, if the proof lacks it
//
// VKEYS is a file of verifier keys that the caller trusts, one a line. Exit codes: 0 verified, 1 not, 3 usage.
// It needs Go 1.19 and Debian's golang-golang-x-mod-dev: GO111MODULE=off GOPATH=/usr/share/gocode go build *.go
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if len(os.Args) < 4 || len(os.Args) > 5 {
		usage()
	}
	var err error
	keys, err := readKeys(os.Args[2])
	if err != nil {
		fail(err)
	}
	switch {
	case os.Args[1] == "seg" && len(os.Args) == 4:
		err = verifySegments(keys, os.Args[3])
	case os.Args[1] == "tiles" && len(os.Args) == 4:
		err = verifyTiles(keys, os.Args[3])
	case os.Args[1] == "proof":
		err = verifyProof(keys, os.Args[3], os.Args[4:])
	default:
		usage()
	}
	if err != nil {
		fail(err)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: verifylog seg VKEYS DIR | tiles VKEYS DIR | proof VKEYS FILE [RECORD]")
	os.Exit(3)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "NOT VERIFIED:", err)
	os.Exit(1)
}

// keys are the verifiers that the caller trusts, and how they are written, by name and key id.
type keys struct {
	note.Verifiers
	text map[string]string
}

func readKeys(file string) (keys, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return keys{}, err
	}
	return parseKeys(strings.Split(string(data), "\n")...)
}

func parseKeys(lines ...string) (keys, error) {
	var list []note.Verifier
	text := map[string]string{}
	for _, line := range lines {
		if line == "" {
			continue
		}
		verifier, err := note.NewVerifier(line)
		if err != nil {
			return keys{}, err
		}
		list = append(list, verifier)
		text[id(verifier.Name(), verifier.KeyHash())] = line
	}
	return keys{note.VerifierList(list...), text}, nil
}

func id(name string, hash uint32) string { return fmt.Sprintf("%s+%08x", name, hash) }

// open returns the tree of a signed checkpoint, its origin, and the trusted key of that name that signed it.
func (k keys) open(msg []byte) (tlog.Tree, string, string, error) {
	opened, err := note.Open(msg, k)
	if err != nil {
		return tlog.Tree{}, "", "", fmt.Errorf("checkpoint: %w", err)
	}
	tree, origin, err := parse(opened.Text)
	if err != nil {
		return tlog.Tree{}, "", "", err
	}
	for _, signature := range opened.Sigs {
		if signature.Name == origin {
			return tree, origin, k.text[id(origin, signature.Hash)], nil
		}
	}
	return tlog.Tree{}, "", "", fmt.Errorf("checkpoint: %s did not sign it itself", origin)
}

// parse reads the text of a checkpoint: origin, size and root.
func parse(text string) (tree tlog.Tree, origin string, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return tree, "", errors.New("checkpoint: not origin, size and root")
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil || tree.N < 0 {
		return tree, "", errors.New("checkpoint: no size")
	}
	if tree.Hash, err = tlog.ParseHash(lines[2]); err != nil {
		return tree, "", fmt.Errorf("checkpoint: %w", err)
	}
	return tree, lines[0], nil
}

// log is a tree that grows by records. It computes every hash anew.
type log struct {
	size   int64
	hashes []tlog.Hash
}

func (l *log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(l.hashes)) {
			return nil, fmt.Errorf("no hash %d", index)
		}
		found[i] = l.hashes[index]
	}
	return found, nil
}

func (l *log) append(record []byte) error {
	hashes, err := tlog.StoredHashes(l.size, record, l)
	if err != nil {
		return err
	}
	l.hashes = append(l.hashes, hashes...)
	l.size++
	return nil
}

// check compares the log with what was signed.
func (l *log) check(tree tlog.Tree) error {
	if l.size != tree.N {
		return fmt.Errorf("there are %d records, %d are signed", l.size, tree.N)
	}
	root, err := tlog.TreeHash(l.size, l)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return fmt.Errorf("the root over %d records is %v, signed is %v", l.size, root, tree.Hash)
	}
	return nil
}
