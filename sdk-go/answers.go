package connector

import (
	"errors"
	"log/slog"
	"sync"

	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

// mostFailures is how many failures go into one frame, which bounds its size.
const mostFailures = 1000

var errHeld = errors.New("an earlier record of the same key has to be written first")

// answers are on their way to the sidecar. The connector's goroutine adds them, the session's takes them.
type answers struct {
	// Told when the first answer since the last take was added.
	begun chan struct{}

	mutex    sync.Mutex
	acked    []*pb.DeliveryRange
	failures []*pb.SinkFailure
}

func newAnswers() answers {
	return answers{begun: make(chan struct{}, 1)}
}

// add notes what became of a record; nil for written.
func (a *answers) add(deliveryID uint64, failed *Error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if len(a.acked) == 0 && len(a.failures) == 0 {
		select {
		case a.begun <- struct{}{}:
		default:
		}
	}
	if failed != nil {
		a.failures = append(a.failures, wireFailure(deliveryID, failed))
		return
	}
	// Only what follows without a gap joins a range: what is between was not ours, or failed.
	if last := len(a.acked) - 1; last >= 0 && a.acked[last].Last+1 == deliveryID {
		a.acked[last].Last = deliveryID
		return
	}
	a.acked = append(a.acked, &pb.DeliveryRange{First: deliveryID, Last: deliveryID})
}

// take gives the frames to send.
func (a *answers) take() []*pb.SinkResults {
	a.mutex.Lock()
	acked, failures := a.acked, a.failures
	a.acked, a.failures = nil, nil
	a.mutex.Unlock()

	var frames []*pb.SinkResults
	for len(failures) > mostFailures {
		frames = append(frames, &pb.SinkResults{Failures: failures[:mostFailures]})
		failures = failures[mostFailures:]
	}
	if len(acked) > 0 || len(failures) > 0 {
		frames = append(frames, &pb.SinkResults{Acked: acked, Failures: failures})
	}
	return frames
}

// failureLog names the first record of a call that was not written, and counts the others.
type failureLog struct {
	log   *slog.Logger
	first *Error
	count int
}

func (f *failureLog) note(failed *Error) {
	if failed.Outcome == OutcomeFiltered {
		return
	}
	if f.first == nil {
		f.first = failed
	}
	f.count++
}

func (f *failureLog) tell() {
	if f.first != nil {
		f.log.Warn("a record was not written",
			"code", f.first.Code, "reason", shortened(f.first.Error()), "others", f.count-1)
	}
	f.first, f.count = nil, 0
}
