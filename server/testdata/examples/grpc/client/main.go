// A client of the gRPC server: unary calls one after the other, and a stream that is opened again when the server asks for it. It needs no retry
// policy. When its standard input ends it waits for one more answer to each, and says what it saw.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// seen is what the clients saw.
type seen struct {
	mu          sync.Mutex
	ending      context.CancelFunc // called when every client has had an answer; nil: not yet asked to end
	Calls       int                // answered, and messages of streams
	Moved       int                // streams that were told to begin anew
	Generations []int              // of the last answer to each client
	Failed      []string
}

func main() {
	conn, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(context.Background())

	const each = 4
	s := seen{Generations: make([]int, 2*each), Failed: []string{}}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		s.end(cancel)
	}()
	var wg sync.WaitGroup
	for i := range each {
		wg.Go(func() {
			for ctx.Err() == nil {
				s.note(ctx, i, func() (int, error) { return which(ctx, conn) })
			}
		})
		wg.Go(func() {
			for ctx.Err() == nil {
				s.watch(ctx, each+i, conn)
			}
		})
	}
	wg.Wait()
	json.NewEncoder(os.Stdout).Encode(&s)
}

func which(ctx context.Context, conn *grpc.ClientConn) (int, error) {
	var out wrapperspb.Int64Value
	err := conn.Invoke(ctx, "/Greeter/Which", &emptypb.Empty{}, &out)
	return int(out.Value), err
}

// watch reads one stream to its end.
func (s *seen) watch(ctx context.Context, i int, conn *grpc.ClientConn) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/Greeter/Watch")
	if err == nil {
		err = stream.SendMsg(&emptypb.Empty{})
	}
	if err == nil {
		err = stream.CloseSend()
	}
	for err == nil {
		var m wrapperspb.Int64Value
		if err = stream.RecvMsg(&m); status.Code(err) == codes.Unavailable && status.Convert(err).Message() == "this process drains: open the stream again" {
			s.mu.Lock()
			s.Moved++
			s.mu.Unlock()
			return
		}
		s.note(ctx, i, func() (int, error) { return int(m.Value), err })
	}
}

// note counts what call returns, unless the client has ended it.
func (s *seen) note(ctx context.Context, i int, call func() (int, error)) {
	generation, err := call()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.answered(i, generation)
	case ctx.Err() == nil:
		s.Failed = append(s.Failed, err.Error())
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
