package grace

import (
	"context"
	"fmt"
	"time"
)

// bounded runs f, a function of the application, and waits for it until limit or the end of ctx. A panic becomes an error: the
// functions that run here are asked for hints or favours, and cost the service nothing when they fail. One that never
// returns keeps its goroutine: nothing can end it.
func bounded[T any](ctx context.Context, limit time.Duration, f func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.err = fmt.Errorf("panic: %v", p)
			}
			done <- r
		}()
		r.value, r.err = f(ctx)
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("no answer: %w", context.Cause(ctx))
	}
}
