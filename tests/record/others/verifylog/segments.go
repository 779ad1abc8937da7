package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// reading is one pass over the segments of an origin.
type reading struct {
	log
	key       epoch
	published []byte    // the checkpoint file
	stated    tlog.Tree // what it says, believed when its commit is met
	met       bool
	open      int // records since the last commit
	commits   int
	turn      *keyRecord // the replacement of a key since the last commit
}

func verifySegments(trusted keys, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "seg", "*.jsonl"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no segments in %s", dir)
	}
	sort.Slice(files, func(i, j int) bool { return number(files[i]) < number(files[j]) })
	r := reading{key: epoch{trusted: trusted}}
	if r.published, err = os.ReadFile(filepath.Join(dir, "checkpoint")); err != nil {
		return err
	}
	text, _, _ := strings.Cut(string(r.published), "\n\n")
	if r.stated, _, err = parse(text + "\n"); err != nil {
		return err
	}
	for i, file := range files {
		if number(file) != int64(i) {
			return fmt.Errorf("segment %d is missing", i)
		}
		if err := r.segment(file); err != nil {
			return err
		}
	}
	if !r.met {
		return fmt.Errorf("the checkpoint file (%d records) is none of the log's commits", r.stated.N)
	}
	fmt.Printf("VERIFIED: %s: %d records, %d commits, checkpoint of %d records\n",
		r.key.origin, r.size, r.commits, r.stated.N)
	if r.key.replaced > 0 {
		fmt.Printf("The key was replaced %d times; now it is\n%s\n", r.key.replaced, r.key.text)
	}
	return nil
}

func number(file string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(file), ".jsonl"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func (r *reading) segment(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewReaderSize(file, 1<<20)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		if err == io.EOF {
			err = errors.New("broken off")
		}
		if err == nil {
			err = r.line(line[:len(line)-1])
		}
		if err != nil {
			return fmt.Errorf("%s line %d: %w", filepath.Base(path), n, err)
		}
	}
	if r.open > 0 {
		return fmt.Errorf("%s: %d records after the last commit", filepath.Base(path), r.open)
	}
	return nil
}

func (r *reading) line(line []byte) error {
	if bytes.HasPrefix(line, []byte(`{"commit":`)) {
		return r.commit(line)
	}
	if bytes.Contains(line, []byte(`"kind":"key"`)) {
		var record keyRecord
		if err := json.Unmarshal(line, &record); err != nil {
			return err
		}
		if record.Kind == "key" && record.Event == "replaced" {
			if r.turn != nil {
				return errors.New("two keys under one commit")
			}
			r.turn = &record
		}
	}
	r.open++
	return r.append(line)
}

func (r *reading) commit(line []byte) error {
	var commit struct{ Commit string }
	if err := json.Unmarshal(line, &commit); err != nil {
		return err
	}
	tree, err := r.key.read([]byte(commit.Commit))
	if err != nil {
		return err
	}
	if err := r.check(tree); err != nil {
		return err
	}
	if tree == r.stated {
		if _, err := r.key.read(r.published); err != nil {
			return fmt.Errorf("the checkpoint file: %w", err)
		}
		r.met = true
	}
	if r.turn != nil {
		if err := r.key.replace(r.turn); err != nil {
			return err
		}
	}
	r.commits, r.open, r.turn = r.commits+1, 0, nil
	return nil
}
