package page

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"strings"
)

//go:embed style.css script.js icon.svg page.html
var files embed.FS

// asset is a file that a browser may keep for ever: its name changes with its content.
type asset struct {
	name    string // style-0123456789ab.css
	kind    string
	content []byte
}

var (
	style  = newAsset("style.css", "text/css; charset=utf-8")
	script = newAsset("script.js", "text/javascript; charset=utf-8")
	icon   = newAsset("icon.svg", "image/svg+xml")
	// edition names what a page needs: one that was loaded from another edition loads itself again.
	edition = style.name + " " + script.name
)

func newAsset(file, kind string) asset {
	b, err := files.ReadFile(file)
	if err != nil {
		panic("page: " + err.Error()) // it is compiled in
	}
	sum := sha256.Sum256(b)
	base, ext, _ := strings.Cut(file, ".")
	return asset{base + "-" + hex.EncodeToString(sum[:6]) + "." + ext, kind, b}
}

func (a asset) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Write(a.content)
}
