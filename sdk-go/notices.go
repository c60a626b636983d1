package connector

// notices tells the hooks of a source what is committed and rejected, between its polls, in order. It goes on while
// there is no session.
type notices struct {
	source   *sourceRun
	finished chan struct{}
	ended    chan struct{}
}

func (s *sourceRun) startNotices() *notices {
	n := &notices{source: s, finished: make(chan struct{}), ended: make(chan struct{})}
	go n.run()
	return n
}

// finish waits until the hooks were told everything, as long as there is time.
func (n *notices) finish() {
	close(n.finished)
	select {
	case <-n.ended:
	case <-afterDone(n.source.life.calls, lastMoment):
	}
}

func (n *notices) run() {
	defer close(n.ended)
	for n.tellAll() {
		select {
		case <-n.source.outbox.noticed:
		case <-n.finished:
			n.tellAll()
			return
		}
	}
}

// tellAll calls the hooks until there is nothing left to tell. False, when they must not be called any more.
func (n *notices) tellAll() bool {
	s := n.source
	for s.outbox.hasNotices() {
		select {
		case <-s.turn:
		case <-s.life.calls.Done():
			return false
		}
		if !s.mayCall() {
			return false
		}
		s.call(n.tell)
		s.outbox.wakeUp()
	}
	return true
}

func (n *notices) tell() error {
	for _, notice := range n.source.outbox.takeNotices() {
		if err := n.hook(notice); fatal(err) != nil {
			return err
		} else if err != nil {
			n.source.log.Warn("a hook failed; the records are settled in Danube all the same",
				"reason", shortened(err.Error()))
		}
	}
	return nil
}

func (n *notices) hook(notice notice) error {
	ctx := n.source.life.calls
	if notice.rejection != nil {
		return n.source.connector.(Rejecter).Reject(ctx, notice.rejection)
	}
	return n.source.connector.(Committer).Commit(ctx, notice.positions)
}
