// A client of the WebSocket server: it says one thing after the other, and comes back when it is told to, beginning with what has not been
// answered. When its standard input ends it waits for one more answer to each, and says what it saw.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// seen is what the clients saw.
type seen struct {
	mu          sync.Mutex
	ending      context.CancelFunc // called when every client has had an answer; nil: not yet asked to end
	Calls       int                // messages that were answered
	Moved       int                // connections that were told to come back
	Generations []int              // of the last answer to each client
	Failed      []string
}

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	const clients = 8
	s := seen{Generations: make([]int, clients), Failed: []string{}}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		s.end(cancel)
	}()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; {
				var err error
				n, err = s.talk(ctx, i, n, os.Args[1])
				s.mu.Lock()
				switch {
				case websocket.CloseStatus(err) == websocket.StatusServiceRestart:
					s.Moved++
				case ctx.Err() == nil:
					s.Failed = append(s.Failed, err.Error())
				}
				s.mu.Unlock()
			}
		})
	}
	wg.Wait()
	json.NewEncoder(os.Stdout).Encode(&s)
}

// talk says n, n+1, … on one connection until it ends, and returns what has not been answered.
func (s *seen) talk(ctx context.Context, i, n int, url string) (int, error) {
	c, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return n, err
	}
	defer c.CloseNow()
	for ; ; n++ {
		sent := c.Write(ctx, websocket.MessageText, fmt.Append(nil, n))
		_, answer, err := c.Read(ctx) // why the connection has ended, it knows better than Write
		if err != nil {
			return n, err
		}
		if sent != nil {
			return n, sent
		}
		var generation, echoed int
		if _, err := fmt.Sscan(string(answer), &generation, &echoed); err != nil || echoed != n {
			return n, fmt.Errorf("said %d, heard %q", n, answer)
		}
		s.mu.Lock()
		s.answered(i, generation)
		s.mu.Unlock()
		time.Sleep(5 * time.Millisecond) // a pause between two messages
	}
}

// answered counts an answer. The caller holds mu.
func (s *seen) answered(i, generation int) {
	s.Calls++
	s.Generations[i] = generation
	if s.ending != nil && !slices.Contains(s.Generations, 0) {
		s.ending()
	}
}

// end calls cancel when every client has had one more answer.
func (s *seen) end(cancel context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.Generations)
	s.ending = cancel
}
