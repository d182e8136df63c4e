// The tests of the status page in a real browser. A module of its own, so that nothing of it is among our dependencies:
//
//	MOULT_TEST_SCREENSHOTS=/tmp/shots go test -C server/page/testdata/browser
//
// They want chromium in the path, and skip without it.
module browser

go 1.26.0

require (
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
	github.com/moult-go/moult v0.0.0
)

require (
	aead.dev/minisign v0.3.0 // indirect
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	github.com/gofrs/flock v0.13.1 // indirect
	github.com/hashicorp/go-version v1.9.0 // indirect
	github.com/minio/selfupdate v0.6.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/moult-go/moult => ../../../..
