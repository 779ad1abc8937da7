package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// keyRecord is what of a record of the kind "key" is needed here.
type keyRecord struct {
	Kind, Event, Key, Before string
	Endorsements             []string
}

// epoch is the key that signs, from the first commit on: a trusted one, then each that the one before endorsed.
type epoch struct {
	trusted  keys
	origin   string
	text     string
	current  keys
	retired  []string
	replaced int
}

// read opens a checkpoint that the present key signed.
func (e *epoch) read(msg []byte) (tlog.Tree, error) {
	if e.origin == "" {
		tree, origin, text, err := e.trusted.open(msg)
		if err != nil {
			return tree, err
		}
		e.origin, e.text = origin, text
		e.current, err = parseKeys(text)
		return tree, err
	}
	tree, origin, _, err := e.current.open(msg)
	if err == nil && origin != e.origin {
		err = fmt.Errorf("it belongs to %s, the log to %s", origin, e.origin)
	}
	return tree, err
}

// replace goes on to the key of a record that the present key has signed and endorsed.
func (e *epoch) replace(record *keyRecord) error {
	if record.Before != e.text {
		return errors.New("the key record replaces another key than the one that signs")
	}
	for _, old := range append(e.retired, e.text) {
		if record.Key == old {
			return errors.New("the key record brings back a key")
		}
	}
	next, err := parseKeys(record.Key)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(record.Key, e.origin+"+") {
		return errors.New("the key record names a key of another origin")
	}
	for _, endorsement := range record.Endorsements {
		if endorsed(endorsement, e.origin, record.Key, e.text) == nil {
			e.retired = append(e.retired, e.text)
			e.text, e.current = record.Key, next
			e.replaced++
			return nil
		}
	}
	return errors.New("the key before has not endorsed the new key")
}

// endorsed checks that the key before signed "key follows before" for this origin, or for all origins of its name.
func endorsed(msg, origin, key, before string) error {
	public, err := base64.StdEncoding.DecodeString(encoded(before))
	if err != nil || len(public) != 1+ed25519.PublicKeySize {
		return errors.New("no Ed25519 key")
	}
	scopes := []string{origin}
	if dash := strings.LastIndex(origin, "-"); dash > 0 {
		scopes = append(scopes, origin[:dash])
	}
	for _, scope := range scopes {
		text, err := note.NewEd25519VerifierKey(scope, ed25519.PublicKey(public[1:]))
		if err != nil {
			return err
		}
		verifier, err := note.NewVerifier(text)
		if err != nil {
			return err
		}
		opened, err := note.Open([]byte(msg), note.VerifierList(verifier))
		if err != nil {
			continue
		}
		want := []string{"policy-guard/key/v1", scope, encoded(key), encoded(before), ""}
		if opened.Text == strings.Join(want, "\n") {
			return nil
		}
	}
	return errors.New("no endorsement")
}

// encoded is the part of a verifier key that holds the key itself.
func encoded(key string) string {
	parts := strings.SplitN(key, "+", 3)
	return parts[len(parts)-1]
}
