package connector

// mostLanes is how many held lanes are remembered. Beyond it all are forgotten, which gives up no more than the order
// of records that are under way.
const mostLanes = 10_000

// heldLanes are the keys whose last record has to be offered again.
//
// The sidecar holds back what follows a record that is retried; but what it had already sent when it heard of that is
// still under way, and must not overtake. Lanes are of one session, and for one goroutine at a time.
type heldLanes struct {
	lanes map[lane]hold
}

// lane is what the records of a topic's key have in common.
type lane struct {
	topic string
	key   string
}

type hold struct {
	// The record that is to be offered again.
	dedupID string
	// The last delivery that was in hand when it failed.
	inHand uint64
}

func newHeldLanes() heldLanes {
	return heldLanes{lanes: make(map[lane]hold)}
}

// hold keeps back what follows a record that is to be retried. inHand is the last delivery that was received.
func (h *heldLanes) hold(record *Record, inHand uint64) {
	if record.Key == nil {
		return
	}
	if len(h.lanes) >= mostLanes {
		clear(h.lanes)
	}
	lane := lane{record.Topic, *record.Key}
	if _, held := h.lanes[lane]; !held {
		h.lanes[lane] = hold{dedupID: record.DedupID, inHand: inHand}
	}
}

// admits tells whether a record may be processed. One that is offered again opens its lane: the sidecar decides what
// comes first. What had been in hand before is no such offer, but for the failed record itself.
func (h *heldLanes) admits(record *Record) bool {
	if len(h.lanes) == 0 || record.Key == nil {
		return true
	}
	lane := lane{record.Topic, *record.Key}
	held, ok := h.lanes[lane]
	if !ok {
		return true
	}
	if record.Attempt > 1 && (record.DedupID == held.dedupID || record.deliveryID > held.inHand) {
		delete(h.lanes, lane)
		return true
	}
	return false
}
