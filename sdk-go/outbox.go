package connector

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

const (
	// A frame is closed at this size, in bytes, to keep records moving.
	goodFrame = 1 << 20
	// What a frame needs around its records, and a record inside its frame, at most.
	frameOverhead  = 64
	recordOverhead = 16
	// The frame limit of a sidecar that names none: that of every gRPC library, less the contract's reserve.
	defaultFrameLimit = 4<<20 - 64<<10
	// How many positions may wait for the commit hook until no more records are taken.
	mostUntold = 10_000
)

var errUnsent = errors.New("it committed a record that was not sent")

// outbox keeps the records that were read and are not committed yet, so that a lost session costs nothing: the next
// one gets them again, numbered from one. What is here is bounded by the sidecar's demand, plus one poll.
//
// The session's goroutine, polls, emitters and the hooks' goroutine share it.
type outbox struct {
	// Told when the session should look again.
	wake chan struct{}
	// Told when there is something for the hooks.
	noticed chan struct{}
	// Whether the connector has these hooks.
	commits, rejects bool

	mutex   sync.Mutex
	entries []*entry
	// How many of the entries this session was sent, and how many bytes the others have.
	sent        int
	unsentBytes uint64
	// The number up to which this session has committed.
	committed uint64
	demand    demand
	// By source partition, the last offset that is known to be committed.
	known map[string]uint64
	limit int
	// Whether nothing more is taken from emitters.
	closed bool
	// Closed, and made anew, when there may be room for an emitter.
	room chan struct{}
	// What the hooks were not told yet, and how many positions that is.
	untold    []notice
	positions int
}

// notice is for the hooks: positions that are committed, or a rejection.
type notice struct {
	positions []Position
	rejection *Rejection
}

func newOutbox(commits, rejects bool) *outbox {
	return &outbox{
		wake:    make(chan struct{}, 1),
		noticed: make(chan struct{}, 1),
		commits: commits,
		rejects: rejects,
		limit:   defaultFrameLimit,
		known:   map[string]uint64{},
		room:    make(chan struct{}),
	}
}

// wakeUp has the session look again.
func (o *outbox) wakeUp() {
	signalOnce(o.wake)
}

func signalOnce(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

// push keeps the records of a poll. The error says which of them could never be sent.
func (o *outbox) push(records []SourceRecord) error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for i := range records {
		entry, err := newEntry(records[i])
		if err != nil {
			return err
		}
		o.keep(entry)
	}
	return nil
}

// offer keeps the record of an emitter, if there is room. If not, and without an error, it tells where to wait.
func (o *outbox) offer(entry *entry) (wait <-chan struct{}, err error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.closed {
		return nil, ErrStopped
	}
	if o.positions >= mostUntold || !o.demand.isOpen(uint64(len(o.entries)-o.sent), o.unsentBytes) {
		return o.room, nil
	}
	if err := o.fits(entry); err != nil {
		return nil, err
	}
	o.keep(entry)
	o.wakeUp()
	return nil, nil
}

func (o *outbox) keep(entry *entry) {
	o.entries = append(o.entries, entry)
	o.unsentBytes += uint64(entry.bytes)
}

// fits finds records that no frame can carry.
func (o *outbox) fits(entry *entry) error {
	if frameOverhead+entry.bytes+recordOverhead <= o.limit {
		return nil
	}
	return Fatal(fmt.Errorf("connector: a record for %q has %d bytes, and the sidecar accepts frames of at most %d: "+
		"split it, or skip it", entry.wire.GetTopic(), entry.bytes, o.limit)).WithCode("TOO_LARGE")
}

// refuse takes nothing more from emitters.
func (o *outbox) refuse() {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if !o.closed {
		o.closed = true
		o.tellRoom()
	}
}

// reopen begins a session: everything is sent again, but for what these positions show to be committed.
func (o *outbox) reopen(limit uint64, committed []Position) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.limit = defaultFrameLimit
	if limit > 0 {
		o.limit = int(limit)
	}
	o.demand, o.sent, o.committed, o.unsentBytes = demand{}, 0, 0, 0
	for _, position := range committed {
		o.settlePartition(position)
	}
	for _, entry := range o.entries {
		o.unsentBytes += uint64(entry.bytes)
	}
}

// settlePartition forgets the first record that has this position, and all earlier ones of its source partition.
// Later ones may share the position without being committed, and all of them where it was known before.
func (o *outbox) settlePartition(position Position) {
	known, isKnown := o.known[position.SourcePartition]
	o.known[position.SourcePartition] = position.Offset
	if isKnown && known == position.Offset {
		return
	}
	last := slices.IndexFunc(o.entries, func(e *entry) bool {
		return e.isOf(position.SourcePartition) && e.record.Position.Offset == position.Offset
	})
	if last < 0 {
		return
	}
	rest := make([]*entry, 0, len(o.entries))
	for i, entry := range o.entries {
		if i <= last && entry.isOf(position.SourcePartition) {
			o.settle(entry)
		} else {
			rest = append(rest, entry)
		}
	}
	o.entries = rest
}

// update takes the sidecar's demand.
func (o *outbox) update(latest *pb.SourceDemand) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.demand.update(latest)
	o.tellRoom()
}

func (o *outbox) tellRoom() {
	close(o.room)
	o.room = make(chan struct{})
}

// wantsMore tells whether it is time for a poll: nothing waits to be sent or told, and more could be sent.
func (o *outbox) wantsMore() bool {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.sent == len(o.entries) && len(o.untold) == 0 && o.demand.isOpen(0, 0)
}

// isSent tells whether nothing waits to be sent.
func (o *outbox) isSent() bool {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.sent == len(o.entries)
}

// isEmpty tells whether everything is committed.
func (o *outbox) isEmpty() bool {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return len(o.entries) == 0
}

// nextFrame gives the next frame, if records wait and demand allows it.
func (o *outbox) nextFrame() (*pb.SourceRecords, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	frame := &pb.SourceRecords{FirstNumber: o.demand.sentRecords + 1}
	size := frameOverhead
	for o.sent < len(o.entries) && o.demand.isOpen(0, 0) {
		entry := o.entries[o.sent]
		size += entry.bytes + recordOverhead
		if size > min(goodFrame, o.limit) && len(frame.Records) > 0 {
			break
		}
		if err := o.fits(entry); err != nil {
			return nil, err
		}
		frame.Records = append(frame.Records, entry.wire)
		o.demand.spend(entry.bytes)
		o.sent++
		o.unsentBytes -= uint64(entry.bytes)
	}
	if len(frame.Records) == 0 {
		return nil, nil
	}
	return frame, nil
}

// commit forgets everything up to a number: it is safe.
func (o *outbox) commit(number uint64) error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if number > o.demand.sentRecords {
		return errUnsent
	}
	for ; o.committed < number; o.committed++ {
		if position := o.entries[0].record.Position; position != nil {
			o.known[position.SourcePartition] = position.Offset
		}
		o.settle(o.entries[0])
		o.entries[0] = nil
		o.entries = o.entries[1:]
		o.sent--
	}
	return nil
}

// reject notes that a record can never be published. Nil, when the number is none of a record in hand.
func (o *outbox) reject(rejected *pb.SourceRejected) *Rejection {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	number := rejected.GetNumber()
	if number <= o.committed || number > o.demand.sentRecords {
		return nil
	}
	entry := o.entries[number-o.committed-1]
	rejection := &Rejection{Record: entry.record, Code: rejected.GetCode(), Message: rejected.GetMessage()}
	entry.pending.resolve(rejection)
	if o.rejects {
		o.untold = append(o.untold, notice{rejection: rejection})
		signalOnce(o.noticed)
	}
	return rejection
}

// settle resolves a record that is committed, and has the hook told of it.
func (o *outbox) settle(entry *entry) {
	entry.pending.resolve(nil)
	if !o.commits || entry.record.Position == nil {
		return
	}
	if last := len(o.untold) - 1; last < 0 || o.untold[last].rejection != nil {
		o.untold = append(o.untold, notice{})
	}
	last := &o.untold[len(o.untold)-1]
	last.positions = append(last.positions, *entry.record.Position)
	o.positions++
	signalOnce(o.noticed)
}

// takeNotices gives what the hooks were not told yet.
func (o *outbox) takeNotices() []notice {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	untold := o.untold
	o.untold, o.positions = nil, 0
	o.tellRoom()
	return untold
}

// hasNotices tells whether there is something for the hooks.
func (o *outbox) hasNotices() bool {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return len(o.untold) > 0
}

// abandon gives up what is not committed, and tells how many records that are.
func (o *outbox) abandon() int {
	o.refuse()
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for _, entry := range o.entries {
		entry.pending.resolve(ErrStopped)
	}
	left := len(o.entries)
	o.entries, o.sent = nil, 0
	return left
}
