package grace_test

import (
	"context"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/moult-go/moult/grace"
)

// A cron does a job again and again, between start and pause.
type cron struct {
	every time.Duration
	job   func()

	mu   sync.Mutex
	quit chan struct{} // nil while paused
	done chan struct{}
}

func (c *cron) start(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.quit != nil {
		return nil
	}
	before, quit, done := c.done, make(chan struct{}), make(chan struct{})
	c.quit, c.done = quit, done
	go func() {
		defer close(done)
		if before != nil {
			<-before // a job that pause did not wait for
		}
		tick := time.NewTicker(c.every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.job()
			case <-quit:
				return
			}
		}
	}()
	return nil
}

// pause waits for the job under way. If that takes longer than ctx, the handover is undone: nobody else may begin.
func (c *cron) pause(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.quit == nil {
		return nil
	}
	close(c.quit)
	c.quit = nil
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A server with a job that must not run twice at the same time. It begins when this process is active: then the predecessor has
// paused its own, for good.
func Example_cron() {
	c := &cron{every: time.Minute, job: func() { log.Print("send the letters that are due") }}
	p, err := grace.New(grace.Options{OnStandby: c.pause, OnResume: c.start, ReleaseTimeout: 30 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	ln, err := p.Listen("tcp", "localhost:8080")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		if err := p.Serve(&http.Server{Handler: http.NotFoundHandler()}, ln); err != nil {
			log.Print(err)
		}
	}()
	if err := p.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	select {
	case <-p.Active():
		c.start(ctx)
	case <-p.Draining(): // stopped on probation
	}
	if err := p.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	c.pause(ctx)
}
