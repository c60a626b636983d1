package connector

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc"
)

const (
	// The sidecar settles the last session before it answers.
	openTimeout = 60 * time.Second
	// A sidecar that does not read for so long is as good as gone.
	sendTimeout = 60 * time.Second
	// How long the end of the stream is waited for, after the last frame.
	leaveTimeout = 5 * time.Second
)

// call starts the stream of a sink or a source.
type call[Up, Down any] func(context.Context, grpc.ClientConnInterface) (grpc.BidiStreamingClient[Up, Down], error)

// wire is one stream to the sidecar: frames in both directions. Its methods are for one goroutine.
type wire[Up, Down any] struct {
	stream grpc.BidiStreamingClient[Up, Down]
	conn   *grpc.ClientConn
	// Frames of the sidecar, in order; closed when the stream has ended.
	frames chan *Down
	// What the stream ended with. Valid once frames is closed.
	err      error
	isSource bool
	// Done when the wire is closed.
	closed context.Context
	cancel context.CancelCauseFunc
}

// openWire opens a stream, unless it is time to give up first. The error is a *lostError or a *RefusedError.
func openWire[Up, Down any](giveUp context.Context, s *sidecar, start call[Up, Down], isSource bool) (*wire[Up, Down], error) {
	conn, err := s.connect()
	if err != nil {
		return nil, lost("%w", err)
	}
	closed, cancel := context.WithCancelCause(context.WithoutCancel(giveUp))
	slow := time.AfterFunc(connectTimeout, func() { cancel(lost("it was not reached within %v", connectTimeout)) })
	defer slow.Stop()
	unhook := context.AfterFunc(giveUp, func() { cancel(lost("asked to stop")) })
	defer unhook()
	stream, err := start(s.authorized(closed), conn)
	if err != nil {
		defer conn.Close()
		defer cancel(nil)
		if closed.Err() != nil {
			return nil, context.Cause(closed)
		}
		return nil, meaning(err, isSource)
	}
	w := &wire[Up, Down]{
		stream: stream, conn: conn, frames: make(chan *Down), isSource: isSource, closed: closed, cancel: cancel,
	}
	go w.read()
	return w, nil
}

func (w *wire[Up, Down]) read() {
	defer close(w.frames)
	for {
		frame, err := w.stream.Recv()
		if err != nil {
			w.err = err
			return
		}
		select {
		case w.frames <- frame:
		case <-w.closed.Done():
			w.err = w.closed.Err()
			return
		}
	}
}

// lost says why the stream ended. To be called only once frames is closed.
func (w *wire[Up, Down]) lost() error {
	// When we broke it off, only we know why.
	var cause *lostError
	if errors.As(context.Cause(w.closed), &cause) {
		return cause
	}
	return meaning(w.err, w.isSource)
}

// first waits for the frame that has to come first, unless it is time to give up.
func (w *wire[Up, Down]) first(giveUp context.Context) (*Down, error) {
	slow := time.NewTimer(openTimeout)
	defer slow.Stop()
	select {
	case frame, ok := <-w.frames:
		if !ok {
			return nil, w.lost()
		}
		return frame, nil
	case <-slow.C:
		return nil, lost("it did not answer `open` within %v", openTimeout)
	case <-giveUp.Done():
		return nil, lost("asked to stop")
	}
}

// send sends a frame. Where the stream has ended, the reason comes from lost, behind the last of the frames.
func (w *wire[Up, Down]) send(frame *Up) {
	slow := time.AfterFunc(sendTimeout, func() { w.cancel(lost("it did not read a frame within %v", sendTimeout)) })
	defer slow.Stop()
	if err := w.stream.Send(frame); err != nil && !errors.Is(err, io.EOF) {
		w.cancel(lost("a frame could not be sent: %w", err))
	}
}

// leave says a last word, if there is one, and waits a moment until the sidecar has read everything and ends the stream.
func (w *wire[Up, Down]) leave(log *slog.Logger, last *Up) {
	if last != nil {
		w.send(last)
	}
	if err := w.stream.CloseSend(); err != nil {
		return
	}
	slow := time.NewTimer(leaveTimeout)
	defer slow.Stop()
	for {
		select {
		case _, ok := <-w.frames:
			if !ok {
				return
			}
		case <-slow.C:
			log.Warn("the sidecar did not end the session in time", "limit", leaveTimeout)
			return
		}
	}
}

// close lets go of the stream and its connection.
func (w *wire[Up, Down]) close() {
	w.cancel(nil)
	// All that it can say is that it was closed before.
	_ = w.conn.Close()
}
