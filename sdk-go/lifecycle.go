package connector

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const defaultStopTimeout = 10 * time.Second

// lifecycle says how long a connector runs: until it is asked to stop, and then a while longer for what is in hand.
type lifecycle struct {
	// Done when the connector is asked to stop.
	stopping context.Context
	stop     context.CancelFunc
	// Done when the time to finish is over. The connector's calls get it.
	calls  context.Context
	giveUp context.CancelFunc
	grace  time.Duration
	log    *slog.Logger
}

func newLifecycle(ctx context.Context, options RuntimeOptions, log *slog.Logger) *lifecycle {
	l := &lifecycle{grace: options.StopTimeout, log: log}
	if l.grace <= 0 {
		l.grace = defaultStopTimeout
	}
	l.stopping, l.stop = context.WithCancel(ctx)
	l.calls, l.giveUp = context.WithCancel(context.WithoutCancel(ctx))
	go l.limit()
	if !options.NoSignals {
		l.onSignals()
	}
	return l
}

// limit ends the time to finish, a while after the connector was asked to stop.
func (l *lifecycle) limit() {
	<-l.stopping.Done()
	over := time.NewTimer(l.grace)
	defer over.Stop()
	select {
	case <-over.C:
		l.giveUp()
	case <-l.calls.Done():
	}
}

// onSignals lets the first signal ask for the stop, and leaves a second one its default: to end the process.
func (l *lifecycle) onSignals() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			signal.Stop(signals)
			l.log.Info("asked to stop: finishing what is in hand")
			l.stop()
		case <-l.calls.Done():
			signal.Stop(signals)
		}
	}()
}

// release ends everything that the lifecycle has running.
func (l *lifecycle) release() {
	l.stop()
	l.giveUp()
}
