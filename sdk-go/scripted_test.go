package connector_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

// patience is longer than anything takes that works.
const patience = 20 * time.Second

// scripted is a sidecar that does what a test tells it: it accepts sessions and hands each to the test, which plays the
// sidecar's part frame by frame.
type scripted struct {
	pb.UnimplementedSinkServiceServer
	address string
	server  *grpc.Server
	sinks   chan *sinkScript
	sources *sourceSessions
}

// sourceSessions is the source's service: both have a method Run.
type sourceSessions struct {
	pb.UnimplementedSourceServiceServer
	accepted chan *sourceScript
}

type (
	sinkScript   = script[pb.SinkServiceRunRequest, pb.SinkServiceRunResponse]
	sourceScript = script[pb.SourceServiceRunRequest, pb.SourceServiceRunResponse]
)

// script is a session, seen from the sidecar's side.
type script[Up, Down any] struct {
	stream grpc.BidiStreamingServer[Up, Down]
	// The connector's frames; closed when it has ended its side.
	up chan *Up
	// What the session is to end with.
	end chan error
}

// newSidecar listens on a socket of its own: a port may be given to another test, while a connector of this one still
// looks for its sidecar there.
func newSidecar(t *testing.T) *scripted {
	t.Helper()
	return onUnix(t, socketPath(t))
}

func onTCP(t *testing.T) *scripted {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, listener, "http://"+listener.Addr().String())
}

// socketPath is short: Unix socket paths have 108 bytes.
func socketPath(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "danube-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return filepath.Join(folder, "s.sock")
}

func onUnix(t *testing.T, path string) *scripted {
	t.Helper()
	_ = os.Remove(path)
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, listener, "unix://"+path)
}

func serve(t *testing.T, listener net.Listener, address string) *scripted {
	s := &scripted{
		address: address,
		server:  grpc.NewServer(),
		sinks:   make(chan *sinkScript, 100),
		sources: &sourceSessions{accepted: make(chan *sourceScript, 100)},
	}
	pb.RegisterSinkServiceServer(s.server, s)
	pb.RegisterSourceServiceServer(s.server, s.sources)
	go func() { _ = s.server.Serve(listener) }()
	t.Cleanup(s.kill)
	return s
}

// kill ends the sidecar like a killed process: all connections break.
func (s *scripted) kill() {
	s.server.Stop()
}

func (s *scripted) Run(stream grpc.BidiStreamingServer[pb.SinkServiceRunRequest, pb.SinkServiceRunResponse]) error {
	return accept(stream, s.sinks)
}

func (s *sourceSessions) Run(stream grpc.BidiStreamingServer[pb.SourceServiceRunRequest, pb.SourceServiceRunResponse]) error {
	return accept(stream, s.accepted)
}

func accept[Up, Down any](stream grpc.BidiStreamingServer[Up, Down], accepted chan *script[Up, Down]) error {
	session := &script[Up, Down]{stream: stream, up: make(chan *Up, 10_000), end: make(chan error, 1)}
	go func() {
		defer close(session.up)
		for {
			frame, err := stream.Recv()
			if err != nil {
				return
			}
			session.up <- frame
		}
	}()
	accepted <- session
	select {
	case err := <-session.end:
		return err
	case <-stream.Context().Done():
		return stream.Context().Err()
	}
}

// sink is the next sink session, with its `open`.
func (s *scripted) sink(t *testing.T) (*sinkScript, *pb.SinkOpen) {
	t.Helper()
	session := receive(t, s.sinks)
	open := session.next(t).GetOpen()
	if open == nil {
		t.Fatal("the first frame is not `open`")
	}
	return session, open
}

// openedSink is the next sink session, after `opened`.
func (s *scripted) openedSink(t *testing.T) *sinkScript {
	t.Helper()
	session, _ := s.sink(t)
	sinkOpened(t, session, "")
	return session
}

func sinkOpened(t *testing.T, session *sinkScript, settings string) {
	t.Helper()
	opened := &pb.SinkOpened{SessionId: "session", Epoch: 7, ProtocolVersion: 1, SettingsJson: settings, WorkerId: "w"}
	session.send(t, &pb.SinkServiceRunResponse{Frame: &pb.SinkServiceRunResponse_Opened{Opened: opened}})
}

// source is the next source session, with its `open`.
func (s *scripted) source(t *testing.T) (*sourceScript, *pb.SourceOpen) {
	t.Helper()
	session := receive(t, s.sources.accepted)
	open := session.next(t).GetOpen()
	if open == nil {
		t.Fatal("the first frame is not `open`")
	}
	return session, open
}

// openedSource is the next source session, after `opened`.
func (s *scripted) openedSource(t *testing.T, positions ...*pb.Position) *sourceScript {
	t.Helper()
	session, _ := s.source(t)
	opened := &pb.SourceOpened{SessionId: "session", Epoch: 7, ProtocolVersion: 1, Positions: positions}
	session.send(t, &pb.SourceServiceRunResponse{Frame: &pb.SourceServiceRunResponse_Opened{Opened: opened}})
	return session
}

func (s *script[Up, Down]) send(t *testing.T, frame *Down) {
	t.Helper()
	if err := s.stream.Send(frame); err != nil {
		t.Fatalf("the stream is not open: %v", err)
	}
}

// next is the connector's next frame; nil when it has ended its side.
func (s *script[Up, Down]) next(t *testing.T) *Up {
	t.Helper()
	return receive(t, s.up)
}

// hangsUp checks that the connector has nothing more to say, and has ended its side.
func (s *script[Up, Down]) hangsUp(t *testing.T) {
	t.Helper()
	if frame := s.next(t); frame != nil {
		t.Fatalf("expected the end, got %v", frame)
	}
}

func (s *script[Up, Down]) metadata() metadata.MD {
	found, _ := metadata.FromIncomingContext(s.stream.Context())
	return found
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatal("it does not happen in time")
		panic("unreachable")
	}
}

// running is a connector that runs beside the test.
type running struct {
	stop  context.CancelFunc
	ended chan error
}

// start runs a connector until the end of the test at the latest.
func start(t *testing.T, run func(ctx context.Context) error) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- run(ctx) }()
	t.Cleanup(stop)
	return r
}

func (r *running) end(t *testing.T) error {
	t.Helper()
	return receive(t, r.ended)
}

func (r *running) endsWell(t *testing.T) {
	t.Helper()
	if err := r.end(t); err != nil {
		t.Fatalf("expected a clean end, got %v", err)
	}
}
