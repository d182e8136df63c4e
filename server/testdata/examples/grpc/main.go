// A gRPC server that replaces itself without a call failing: its clients are told to go by GOAWAY, and streams to begin anew.
package main

import (
	"context"
	"flag"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/moult-go/moult/server"
)

func main() {
	listen := flag.String("listen", "localhost:50051", "address")
	flag.Parse()
	err := server.Run(context.Background(), server.Service{
		Name:         "greeter",
		Version:      "1.0.0",
		Listeners:    []server.Listener{{Name: "grpc", Address: *listen, Serve: serve}},
		DrainTimeout: 20 * time.Second,
		Probation:    time.Second,
	})
	if err != nil {
		slog.Error("greeter", "err", err)
	}
}

// serve is what a Service needs to speak gRPC.
func serve(ctx context.Context, ln net.Listener) error {
	s := grpc.NewServer()
	s.RegisterService(&greeter, &greeterServer{server.Generation(ctx), server.Draining(ctx)})
	go func() {
		<-server.Draining(ctx)
		s.GracefulStop() // sends GOAWAY, and waits for the calls under way
	}()
	return s.Serve(ln)
}

type greeterServer struct {
	generation int
	draining   <-chan struct{}
}

// which answers with the generation that answers.
func (g *greeterServer) which(context.Context, *emptypb.Empty) (*wrapperspb.Int64Value, error) {
	time.Sleep(2 * time.Millisecond) // some work
	return wrapperspb.Int64(int64(g.generation)), nil
}

// watch sends the generation every 10 ms. GracefulStop would wait for it until the drain deadline: so it ends when the drain begins,
// with the status that says "again, elsewhere".
func (g *greeterServer) watch(_ *emptypb.Empty, stream grpc.ServerStreamingServer[wrapperspb.Int64Value]) error {
	for tick := time.Tick(10 * time.Millisecond); ; {
		select {
		case <-tick:
			if err := stream.Send(wrapperspb.Int64(int64(g.generation))); err != nil {
				return err
			}
		case <-g.draining:
			return status.Error(codes.Unavailable, "this process drains: open the stream again")
		case <-stream.Context().Done():
			return nil
		}
	}
}

// greeter is what protoc-gen-go-grpc would write.
var greeter = grpc.ServiceDesc{
	ServiceName: "Greeter",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Which", Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var in emptypb.Empty
		if err := decode(&in); err != nil {
			return nil, err
		}
		return srv.(*greeterServer).which(ctx, &in)
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Watch", ServerStreams: true, Handler: func(srv any, stream grpc.ServerStream) error {
		var in emptypb.Empty
		if err := stream.RecvMsg(&in); err != nil {
			return err
		}
		return srv.(*greeterServer).watch(&in, &grpc.GenericServerStream[emptypb.Empty, wrapperspb.Int64Value]{ServerStream: stream})
	}}},
}
