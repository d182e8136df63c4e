package updater

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"aead.dev/minisign"

	"github.com/moult-go/moult/release"
)

func signed(t *testing.T, payload []byte) *Minisign {
	t.Helper()
	pub, priv, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := pub.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	r := minisign.NewReader(bytes.NewReader(payload))
	if _, err := bytes.NewBuffer(nil).ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return &Minisign{PublicKey: string(key), Signature: string(r.SignWithComments(priv, "trusted", "untrusted"))}
}

// stageOne fetches and stages payload, and returns the staged file.
func stageOne(t *testing.T, b *bench, payload []byte, m *Minisign) (string, error) {
	t.Helper()
	c := b.source.offer("1.1.0", payload)
	c.Minisign = m
	b.lock()
	file, err := b.fetch(t.Context(), Request{}, c, way{Payload: c.Full})
	if err != nil {
		t.Fatal(err)
	}
	target := b.versionFile(build{c.Version.String(), c.Digest})
	_, err = b.stage(t.Context(), c, way{Payload: c.Full}, file, target)
	return target, err
}

func TestStageVerifiesMinisign(t *testing.T) {
	payload := bytes.Repeat([]byte("payload"), 1000)
	good := signed(t, payload)
	tests := []struct {
		name string
		m    *Minisign
		ok   bool
	}{
		{"none asked for", nil, true},
		{"good", good, true},
		{"of other bytes", signed(t, []byte("other")), false},
		{"by another key", &Minisign{signed(t, payload).PublicKey, good.Signature}, false},
		{"garbage", &Minisign{good.PublicKey, "untrusted comment: x\n"}, false},
		{"no key", &Minisign{"?", good.Signature}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, nil)
			target, err := stageOne(t, b, payload, test.m)
			if test.ok {
				if err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, payload) {
					t.Errorf("staged %d bytes, %v", len(got), err)
				}
				return
			}
			wantError(t, err, Verification, "bad-signature")
			if _, err := os.Stat(target); !errors.Is(err, os.ErrNotExist) {
				t.Error("it was staged")
			}
		})
	}
}

func TestStageTakesNoPlantedDirectory(t *testing.T) {
	b := newBench(t, nil)
	payload := []byte("payload")
	d, _, _ := release.DigestReader(bytes.NewReader(payload))
	elsewhere := t.TempDir()
	if err := os.WriteFile(filepath.Join(elsewhere, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// Settle first: the sweep at the lock would remove it.
	b.lock()
	if err := os.Symlink(elsewhere, b.versionDir(build{"1.1.0", d})); err != nil {
		t.Fatal(err)
	}
	b.Unlock()
	if _, err := stageOne(t, b, payload, nil); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(elsewhere); len(left) != 1 {
		t.Errorf("a planted link was followed: %v", left)
	}
}

func TestStageEndsWithItsContext(t *testing.T) {
	b := newBench(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	c := b.source.offer("1.1.0", []byte("payload"))
	_, err := b.stage(ctx, c, way{Payload: c.Full}, os.DevNull, b.versionFile(build{"1.1.0", c.Digest}))
	wantError(t, err, Failed, "interrupted")
}

// FuzzStageAnswer: a child that unpacked hostile bytes may say anything. It is a success, a refusal for one of the known reasons, or a failure, and
// nothing that it says can move a terminal's cursor.
func FuzzStageAnswer(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"failed":"no space left"}`))
	f.Add([]byte(`{"refused":"it is \u001b[2J another","reason":"digest-mismatch"}`))
	f.Add([]byte(`{"refused":"x","reason":"expired"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var a stageAnswer
		if json.Unmarshal(b, &a) != nil {
			return
		}
		err := stageJob{}.refusal(a)
		if err == nil {
			if a.Failed != "" || a.Refused != "" {
				t.Errorf("%+v is a success", a)
			}
			return
		}
		if strings.ContainsFunc(err.Error(), func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) || len(err.Error()) > maxWords+100 {
			t.Errorf("it says %q", err)
		}
		var e *Error
		if errors.As(err, &e) && (e.Class != Verification || !slices.Contains(refusals, e.Reason)) {
			t.Errorf("class %s, reason %q", e.Class, e.Reason)
		}
	})
}
