package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/moult-go/moult/server/admin"
)

// rejoin is how long Events waits before it asks again after the end of a stream.
const rejoin = 100 * time.Millisecond

// Events returns what happens in the server from now on, or after the event with the ID after, in this process and its successors. It ends with
// ctx, or with an error when nobody answers for [Patience].
func (c *Client) Events(ctx context.Context, after string) iter.Seq2[admin.Event, error] {
	return func(yield func(admin.Event, error) bool) {
		for {
			more, err := c.someEvents(ctx, &after, yield)
			switch {
			case !more || ctx.Err() != nil:
				return
			case err != nil:
				yield(admin.Event{}, err)
				return
			}
			select {
			case <-time.After(rejoin):
			case <-ctx.Done():
				return
			}
		}
	}
}

// someEvents reads one stream to its end. It reports false if yield wants no more.
func (c *Client) someEvents(ctx context.Context, after *string, yield func(admin.Event, error) bool) (more bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://admin/v1/events", nil)
	if err != nil {
		return true, err
	}
	if *after != "" {
		req.Header.Set("Last-Event-ID", *after)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return true, fmt.Errorf("ask the server for events: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return true, refusal("events", resp.Status, json.NewDecoder(resp.Body))
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxAnswer)
	for kind := ""; lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event":
			kind = value
		case name == "data" && kind != "status" && kind != "bye":
			var e admin.Event
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				return true, fmt.Errorf("ask the server for events: read one: %w", err)
			}
			*after = e.ID
			if !yield(e, nil) {
				return false, nil
			}
		}
	}
	return true, nil // the process has let go, or died: whoever owns the socket now is asked
}
