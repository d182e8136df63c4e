package transfer

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter is the longest wait that a server is granted.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads seconds or a date; what it cannot read is 0, what is unreasonable is cut to a day. A date is measured by the server's
// own clock, if it shows it: this host's may be wrong.
func retryAfter(h http.Header, now time.Time) time.Duration {
	s := strings.TrimSpace(h.Get("Retry-After"))
	if s != "" && strings.Trim(s, "0123456789") == "" {
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			return maxRetryAfter // the only way to fail is to be too large
		}
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	t, err := http.ParseTime(s)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(t.Sub(now), 0), maxRetryAfter)
}

// contentRange reads "bytes FIRST-LAST/TOTAL"; total is -1 where the server does not know it ("*").
func contentRange(s string) (first, last, total int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	span, all, ok2 := strings.Cut(s, "/")
	from, to, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, 0, false
	}
	first, ok = position(from)
	last, ok2 = position(to)
	total, ok3 = position(all)
	if all == "*" {
		total, ok3 = -1, true
	}
	return first, last, total, ok && ok2 && ok3 && first <= last && (total < 0 || last < total)
}

// position reads an unsigned number, without the sign that strconv would take.
func position(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// strongETag returns the answer's ETag if it vouches for every byte, else "". Weak ones (W/) and dates do not: RFC 9110 8.8.1.
func strongETag(h http.Header) string {
	s := h.Get("ETag")
	if len(s) < 2 || len(s) > maxETag || s[0] != '"' || strings.IndexByte(s[1:], '"') != len(s)-2 {
		return ""
	}
	return s
}
