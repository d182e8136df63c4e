package release

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"aead.dev/minisign"
)

var testComment = TrustedComment{App: "hello", Version: MustParseVersion("1.4.0"), Platform: Platform{OS: "linux", Arch: "amd64"}}

func TestSignAndVerify(t *testing.T) {
	t.Parallel() // minisign's own key derivation takes seconds
	passwords := []string{"", "correct horse"}
	if testing.Short() {
		passwords = passwords[:1]
	}
	for _, password := range passwords {
		pub, priv, err := GenerateMinisign(password)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := SignMinisign(priv, password, strings.NewReader("hello"), testComment)
		if err != nil {
			t.Fatal(err)
		}
		if id := MinisignKeyID(pub); !strings.Contains(pub, id) || len(id) != 16 || MinisignKeyID("x") != "" {
			t.Errorf("MinisignKeyID(%q) = %q", pub, id)
		}
		early, err := AuthenticateComment(pub, sig)
		if err != nil || early.SHA256.String() != helloDigest || early.Version.Compare(testComment.Version) != 0 {
			t.Errorf("AuthenticateComment = %v, %v", early, err)
		}
		got, err := VerifyMinisign(pub, sig, iotest.OneByteReader(strings.NewReader("hello")))
		if err != nil || got.String() != early.String() {
			t.Errorf("VerifyMinisign = %v, %v", got, err)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	pub, priv, err := GenerateMinisign("")
	if err != nil {
		t.Fatal(err)
	}
	otherPub, otherPriv, err := GenerateMinisign("")
	if err != nil {
		t.Fatal(err)
	}
	var key minisign.PrivateKey
	if err := key.UnmarshalText([]byte(priv)); err != nil {
		t.Fatal(err)
	}
	sign := func(priv, file string) []byte {
		b, err := SignMinisign(priv, "", strings.NewReader(file), testComment)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	withComment := func(c string) []byte {
		r := minisign.NewReader(strings.NewReader("hello"))
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
		return r.SignWithComments(key, c, "x")
	}
	good := sign(priv, "hello")
	c, err := AuthenticateComment(pub, good)
	if err != nil {
		t.Fatal(err)
	}
	full := c.String()
	flipped := func(line int) []byte {
		lines := strings.Split(string(good), "\n")
		b, err := base64.StdEncoding.DecodeString(lines[line])
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)-1] ^= 1
		lines[line] = base64.StdEncoding.EncodeToString(b)
		return []byte(strings.Join(lines, "\n"))
	}
	cases := []struct {
		name      string
		pub       string
		sig       []byte
		file      string
		want      error
		authentic bool // the comment alone passes: only the file shows it
	}{
		{"good", pub, good, "hello", nil, true},
		{"other bytes", pub, good, "jello", ErrBadSignature, true},
		{"truncated file", pub, good, "hell", ErrBadSignature, true},
		{"signature broken", pub, flipped(1), "hello", ErrBadSignature, false},
		{"comment signature broken", pub, flipped(3), "hello", ErrBadSignature, false},
		{"comment changed", pub, bytes.Replace(good, []byte("1.4.0"), []byte("1.5.0"), 1), "hello", ErrBadSignature, false},
		{"another key", pub, sign(otherPriv, "hello"), "hello", ErrBadSignature, false},
		{"another public key", otherPub, good, "hello", ErrBadSignature, false},
		{"comment of another file's signature", pub, spliceComment(good, sign(priv, "other")), "hello", ErrBadSignature, false},
		{"legacy", pub, minisign.SignWithComments(key, []byte("hello"), full, "x"), "hello", ErrBadSignature, false},
		{"empty", pub, nil, "hello", ErrBadSignature, false},
		{"too long", pub, append(bytes.Clone(good), make([]byte, MaxSignatureSize)...), "hello", ErrBadSignature, false},
		{"default comment", pub, withComment("timestamp:1"), "hello", ErrBadComment, false},
		{"no comment", pub, withComment(""), "hello", ErrBadComment, false},
		{"comment names another digest", pub, withComment(strings.Replace(full, helloDigest, strings.Repeat("ab", 32), 1)), "hello", ErrBadComment, true},
	}
	for _, tc := range cases {
		if _, err := VerifyMinisign(tc.pub, tc.sig, strings.NewReader(tc.file)); !errors.Is(err, tc.want) {
			t.Errorf("%s: VerifyMinisign = %v, want %v", tc.name, err, tc.want)
		}
		_, err := AuthenticateComment(tc.pub, tc.sig)
		if (err == nil) != tc.authentic {
			t.Errorf("%s: AuthenticateComment = %v", tc.name, err)
		}
	}
	broken := errors.New("broken disk")
	if _, err := VerifyMinisign(pub, good, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("unreadable file: %v", err)
	}
	for _, p := range []string{"", "not a key", strings.Repeat("A", MaxSignatureSize+1)} {
		if _, err := AuthenticateComment(p, good); err == nil {
			t.Errorf("public key %.20q passes", p)
		}
	}
}

// spliceComment gives a the comment lines of b.
func spliceComment(a, b []byte) []byte {
	la, lb := strings.SplitN(string(a), "\n", 3), strings.SplitN(string(b), "\n", 3)
	return []byte(la[0] + "\n" + la[1] + "\n" + lb[2])
}

// TestChecksums: a signature of a file of checksums says for which program and version they are, and neither kind passes for the other.
func TestChecksums(t *testing.T) {
	pub, priv, err := GenerateMinisign("")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := SignChecksums(priv, "", strings.NewReader("hello"), ChecksumsComment{App: "hello", Version: testComment.Version})
	if err != nil {
		t.Fatal(err)
	}
	c, err := VerifyChecksums(pub, sums, strings.NewReader("hello"))
	if want := "app:hello version:1.4.0 sha256:" + helloDigest; err != nil || c.String() != want {
		t.Errorf("%v, %v, want %s", c, err, want)
	}
	if _, err := VerifyChecksums(pub, sums, strings.NewReader("jello")); !errors.Is(err, ErrBadSignature) {
		t.Errorf("other bytes: %v", err)
	}
	if _, err := VerifyMinisign(pub, sums, strings.NewReader("hello")); !errors.Is(err, ErrBadComment) {
		t.Errorf("checksums for an executable: %v", err)
	}
	one, err := SignMinisign(priv, "", strings.NewReader("hello"), testComment)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyChecksums(pub, one, strings.NewReader("hello")); !errors.Is(err, ErrBadComment) {
		t.Errorf("an executable for checksums: %v", err)
	}
	if _, err := SignChecksums(priv, "", strings.NewReader("hello"), ChecksumsComment{App: "hello"}); !errors.Is(err, ErrBadComment) {
		t.Errorf("no version: %v", err)
	}
}

func TestParseChecksumsComment(t *testing.T) {
	full := "app:hello version:1.4.0 sha256:" + helloDigest
	if c, err := ParseChecksumsComment(full); err != nil || c.String() != full {
		t.Fatalf("got %v, %v", c, err)
	}
	for _, s := range []string{"", full + " platform:linux/amd64", full + " app:hello", strings.Replace(full, "version:1.4.0 ", "", 1), full + " "} {
		if c, err := ParseChecksumsComment(s); !errors.Is(err, ErrBadComment) || c != (ChecksumsComment{}) {
			t.Errorf("%q: %v, %v", s, c, err)
		}
	}
}

func TestSignRefusesAnIncompleteComment(t *testing.T) {
	_, priv, err := GenerateMinisign("")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []TrustedComment{{}, {App: "hello"}, {App: "a b", Version: testComment.Version, Platform: testComment.Platform}} {
		if _, err := SignMinisign(priv, "", strings.NewReader("hello"), c); !errors.Is(err, ErrBadComment) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestParseTrustedComment(t *testing.T) {
	full := "app:hello version:1.4.0 platform:linux/amd64 sha256:" + helloDigest
	c, err := ParseTrustedComment(full)
	if err != nil || c.String() != full {
		t.Fatalf("got %v, %v", c, err)
	}
	if _, err := ParseTrustedComment("sha256:" + helloDigest + " platform:linux/amd64 version:1.4.0 app:hello"); err != nil {
		t.Errorf("another order: %v", err)
	}
	for _, s := range []string{
		"", " ", "hello", full + " ", " " + full, full + "\n", full + "\t", full + " app:hello", full + " extra:1", full + " x", full + " :",
		strings.Replace(full, " ", "  ", 1), strings.Replace(full, "app:hello ", "", 1), strings.Replace(full, "app:hello", "app:", 1),
		strings.Replace(full, "1.4.0", "v1.4.0", 1), strings.Replace(full, "1.4.0", "1.4", 1), strings.Replace(full, "linux/amd64", "linux", 1),
		strings.Replace(full, "app:hello", "App:hello", 1), strings.ToUpper(full), full + strings.Repeat(" app:hello", 200),
		strings.Replace(full, "app:hello", "app:../x", 1),
	} {
		if c, err := ParseTrustedComment(s); !errors.Is(err, ErrBadComment) {
			t.Errorf("%q: %v, %v", s, c, err)
		}
	}
}

func FuzzParseTrustedComment(f *testing.F) {
	f.Add("app:hello version:1.4.0 platform:linux/amd64 sha256:" + helloDigest)
	f.Add("app:hello version:1.4.0 sha256:" + helloDigest)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseTrustedComment(s)
		sums, errSums := ParseChecksumsComment(s)
		if err == nil && errSums == nil {
			t.Fatalf("%q passes for both kinds: %v, %v", s, c, sums)
		}
		if err == nil {
			again, err := ParseTrustedComment(c.String())
			if err != nil || again.String() != c.String() {
				t.Fatalf("%q reads as %q, then %q, %v", s, c, again, err)
			}
		}
		if errSums == nil {
			if again, err := ParseChecksumsComment(sums.String()); err != nil || again.String() != sums.String() {
				t.Fatalf("%q reads as %q, then %q, %v", s, sums, again, err)
			}
		}
	})
}

// A throwaway key pair. Fuzzing runs in several processes, which must all have the same one: under another key no seed would verify, and
// the target could not fail.
const (
	fuzzPublic  = "untrusted comment: minisign public key: FE40D62C73636A1\nRWShNjbHYg3kD98bexRqcFhZKQGSKeHLiaLlhbnhENQ+b3d+M2y+AxcK\n"
	fuzzPrivate = "untrusted comment: minisign encrypted secret key\nRWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAoTY2x2IN5A91WLZto5Vo4Y/vnJGeXgiPQwuS9TQNInn/City7imOt98bexRqcFhZKQGSKeHLiaLlhbnhENQ+b3d+M2y+AxcKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
)

func FuzzAuthenticateComment(f *testing.F) {
	pub := fuzzPublic
	sig, err := SignMinisign(fuzzPrivate, "", strings.NewReader("hello"), testComment)
	if err != nil {
		f.Fatal(err)
	}
	want, err := AuthenticateComment(pub, sig)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sig)
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := AuthenticateComment(pub, b); err == nil && c.String() != want.String() {
			t.Fatalf("forged: %v", c)
		}
	})
}

// FuzzVerifyMinisign: with another key, another file or another signature, nothing verifies.
func FuzzVerifyMinisign(f *testing.F) {
	pub := fuzzPublic
	sig, err := SignMinisign(fuzzPrivate, "", strings.NewReader("hello"), testComment)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pub, sig, []byte("hello"))
	f.Add("untrusted comment: x\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3", sig, []byte("hello"))
	f.Add(strings.TrimSpace(pub), sig[:len(sig)/2], []byte("hallo"))
	f.Fuzz(func(t *testing.T, key string, signature, file []byte) {
		c, err := VerifyMinisign(key, signature, bytes.NewReader(file))
		if err != nil {
			return
		}
		// Spaces and comments of a key are nobody's: its last line is the key.
		lines := strings.Fields(key)
		if len(lines) == 0 || !strings.HasSuffix(strings.TrimSpace(pub), lines[len(lines)-1]) || string(file) != "hello" || c.App != testComment.App {
			t.Errorf("key %q, signature %q, file %q: %v", key, signature, file, c)
		}
	})
}
