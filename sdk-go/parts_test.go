package connector

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

func TestBothKindsOfAddressAreRead(t *testing.T) {
	for text, expected := range map[string]string{
		"http://127.0.0.1:6670":     "http://127.0.0.1:6670",
		"http://[::1]:6670/":        "http://[::1]:6670",
		"unix:///run/sidecar.sock":  "unix:///run/sidecar.sock",
		"unix:/run/sidecar.sock":    "unix:///run/sidecar.sock",
		"http://sidecar.local:6670": "http://sidecar.local:6670",
	} {
		if found, err := parseAddress(text); err != nil || found.String() != expected {
			t.Errorf("%s: %v %v", text, found, err)
		}
	}
}

func TestOtherAddressesAreRefusedWithTheExpectedForm(t *testing.T) {
	for _, text := range []string{
		"", "localhost:6670", "https://host:1", "http://host", "http://:1", "http://h:port", "http://h:1/path", "unix:relative",
	} {
		_, err := parseAddress(text)
		if err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "unix:///PATH") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestOnlyConsecutiveAnswersBecomeARange(t *testing.T) {
	answers := newAnswers()
	for _, id := range []uint64{1, 2, 5, 6} {
		answers.add(id, nil)
	}
	answers.add(7, Retry(errors.New("busy")))
	answers.add(8, nil)

	frames := answers.take()
	var ranges string
	for _, acked := range frames[0].GetAcked() {
		ranges += fmt.Sprintf(" %d-%d", acked.GetFirst(), acked.GetLast())
	}
	if len(frames) != 1 || ranges != " 1-2 5-6 8-8" || frames[0].GetFailures()[0].GetDeliveryId() != 7 {
		t.Fatalf("unexpected: %v", frames)
	}
	if answers.take() != nil {
		t.Fatal("they are given twice")
	}
}

func TestManyFailuresAreSpreadOverFrames(t *testing.T) {
	answers := newAnswers()
	for id := range uint64(2500) {
		answers.add(id, Retry(errors.New("busy")))
	}
	var sizes string
	for _, frame := range answers.take() {
		sizes += fmt.Sprintf(" %d", len(frame.GetFailures()))
	}
	if sizes != " 1000 1000 500" {
		t.Fatalf("unexpected:%s", sizes)
	}
}

func TestTextsForTheOperatorAreShortAndUTF8(t *testing.T) {
	for _, text := range []string{"short", strings.Repeat("é", 1024), "a" + strings.Repeat("é", 1024), "\xff\xfe"} {
		if found := shortened(text); len(found) > longestText || !utf8.ValidString(found) || len(found) < min(len(text), longestText-1) {
			t.Errorf("%d bytes became %d", len(text), len(found))
		}
	}
}

func laneRecord(deliveryID uint64, key string, attempt uint32) *Record {
	return &Record{Topic: "/default/t", Key: Key(key), Attempt: attempt, deliveryID: deliveryID, DedupID: fmt.Sprint(deliveryID)}
}

func TestWhatWasInHandAtARetryDoesNotOpenItsLane(t *testing.T) {
	lanes := newHeldLanes()
	lanes.hold(laneRecord(3, "a", 2), 5)

	if lanes.admits(laneRecord(4, "a", 2)) || lanes.admits(laneRecord(6, "a", 1)) {
		t.Fatal("a record overtook")
	}
	if !lanes.admits(laneRecord(6, "b", 1)) || !lanes.admits(&Record{}) {
		t.Fatal("a record of another lane is held")
	}
	if !lanes.admits(laneRecord(7, "a", 3)) || !lanes.admits(laneRecord(8, "a", 1)) {
		t.Fatal("the lane is not open")
	}
}

func TestTheFailedRecordItselfOpensItsLane(t *testing.T) {
	lanes := newHeldLanes()
	failed := laneRecord(3, "a", 1)
	lanes.hold(failed, 9)
	retried := *failed
	retried.Attempt, retried.deliveryID = 2, 5

	if !lanes.admits(&retried) || !lanes.admits(laneRecord(6, "a", 1)) {
		t.Fatal("the lane is not open")
	}
}

func TestTheMemoryOfLanesIsBounded(t *testing.T) {
	lanes := newHeldLanes()
	for n := range 2*mostLanes + 1 {
		lanes.hold(laneRecord(1, fmt.Sprint(n), 1), 1)
	}
	if len(lanes.lanes) > mostLanes {
		t.Fatalf("%d lanes", len(lanes.lanes))
	}
}

func TestAPauseIsNeverShortenedAndSaysWhatIsLeftOfIt(t *testing.T) {
	var pause pause
	start := time.Now()
	if pause.left(start) != nil {
		t.Fatal("nobody was busy")
	}
	pause.begin(start, Busy(errors.New("later")).WithCode("LIMIT").After(2*time.Second))
	pause.begin(start, Busy(errors.New("sooner")).After(time.Second))
	left := pause.left(start.Add(500 * time.Millisecond))
	if left == nil || left.Code != "LIMIT" || left.Error() != "later" || left.RetryAfter != 1500*time.Millisecond {
		t.Fatalf("unexpected: %v", left)
	}
	over := start.Add(2 * time.Second)
	if pause.left(over) != nil {
		t.Fatal("the time is over")
	}
	pause.begin(over, Busy(errors.New("for now")))
	if left := pause.left(over); left == nil || left.RetryAfter != time.Second {
		t.Fatalf("unexpected: %v", left)
	}
}

func testPace() (*pace, *bytes.Buffer) {
	var log bytes.Buffer
	return &pace{log: slog.New(slog.NewTextHandler(&log, nil)), address: "http://here:1"}, &log
}

func TestBackoffsGrowToTheirLimitAndAGoodSessionStartsThemAnew(t *testing.T) {
	pace, _ := testPace()
	now, longest := time.Now(), time.Duration(0)
	for range 200 {
		longest = max(longest, pace.failed(now, lost("gone")))
	}
	if longest > longestBackoff || longest < longestBackoff/2 {
		t.Fatalf("the longest is %v", longest)
	}
	pace.isOpen(now, "s")
	if wait := pace.failed(now.Add(goodSession), lost("gone")); wait > firstBackoff {
		t.Fatalf("the first is %v", wait)
	}
}

func TestASidecarThatStaysAwayIsComplainedOfNowAndThen(t *testing.T) {
	pace, log := testPace()
	start := time.Now()
	for second := range 61 {
		pace.failed(start.Add(time.Duration(second)*time.Second), lost("gone"))
	}
	if complaints := strings.Count(log.String(), "no session"); complaints != 3 {
		t.Fatalf("%d complaints in a minute: %s", complaints, log)
	}
}

func TestASidecarThatShutsDownSaysWhenToComeBack(t *testing.T) {
	answer, err := status.New(codes.Unavailable, "shutting down").
		WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	pace, _ := testPace()
	if wait := pace.failed(time.Now(), meaning(answer.Err(), false)); wait != time.Minute {
		t.Fatalf("it waits %v", wait)
	}
}

func TestAbortedEndsASourceOnly(t *testing.T) {
	var refused *RefusedError
	aborted := status.Error(codes.Aborted, "epoch 4")
	if !errors.As(meaning(aborted, true), &refused) || errors.As(meaning(aborted, false), &refused) {
		t.Fatal("unexpected")
	}
}

func TestDemandIsSpentToTheLastByteAndNeverShrinks(t *testing.T) {
	var demand demand
	demand.update(&pb.SourceDemand{Records: 3, Bytes: 100})
	demand.update(&pb.SourceDemand{Records: 1, Bytes: 1})
	demand.spend(99)
	if !demand.isOpen(0, 0) || demand.isOpen(0, 1) || demand.isOpen(2, 0) {
		t.Fatal("there is a byte left, and two records")
	}
	demand.spend(1)
	if demand.isOpen(0, 0) {
		t.Fatal("nothing is left")
	}
}

func TestTheSizeOfARecordIsTheSidecars(t *testing.T) {
	plain := encodedSize(&pb.SourceRecord{Attributes: map[string]string{"a": "b"}})
	if empty := encodedSize(&pb.SourceRecord{Attributes: map[string]string{"a": ""}}); empty != plain-3 {
		t.Errorf("without a value it is %d, with one of a byte %d", empty, plain)
	}
	long := strings.Repeat("x", 123)
	// Its entry takes 128 bytes in Go's encoding and 126 in the sidecar's: one byte less of length too.
	if size := encodedSize(&pb.SourceRecord{Attributes: map[string]string{long + "y": ""}}); size != 1+1+126 {
		t.Errorf("it is %d", size)
	}
}

func entries(t *testing.T, outbox *outbox, positions ...string) {
	t.Helper()
	for _, position := range positions {
		partition, offset, _ := strings.Cut(position, ":")
		record := SourceRecord{Payload: []byte(position), Position: &Position{SourcePartition: partition, Offset: uint64(offset[0] - '0')}}
		if err := outbox.push([]SourceRecord{record}); err != nil {
			t.Fatal(err)
		}
	}
}

func payloads(outbox *outbox) string {
	outbox.update(&pb.SourceDemand{Records: 100, Bytes: 1 << 40})
	frame, err := outbox.nextFrame()
	if err != nil {
		return err.Error()
	}
	var text string
	for _, record := range frame.GetRecords() {
		text += " " + string(record.GetPayload())
	}
	return text
}

func TestPositionsSettleOnlyWhatIsCertainlyCommitted(t *testing.T) {
	outbox := newOutbox(true, false)
	entries(t, outbox, "a:1", "b:1", "a:2", "a:2", "b:2")
	outbox.reopen(0, []Position{{SourcePartition: "a", Offset: 2}, {SourcePartition: "b", Offset: 7}})

	if left := payloads(outbox); left != " b:1 a:2 b:2" {
		t.Fatalf("left is%s", left)
	}
	if notices := outbox.takeNotices(); len(notices) != 1 || len(notices[0].positions) != 2 {
		t.Fatalf("unexpected: %v", notices)
	}
}

func TestFramesAreClosedAtAboutAMebibyteAndBelowTheLimit(t *testing.T) {
	outbox := newOutbox(false, false)
	record := SourceRecord{Payload: make([]byte, 400<<10)}
	if err := outbox.push([]SourceRecord{record, record, record, record}); err != nil {
		t.Fatal(err)
	}
	outbox.reopen(500<<10, nil)
	outbox.update(&pb.SourceDemand{Records: 100, Bytes: 1 << 40})
	for _, expected := range []int{1, 1} {
		if frame, err := outbox.nextFrame(); err != nil || len(frame.GetRecords()) != expected {
			t.Fatalf("unexpected: %d %v", len(frame.GetRecords()), err)
		}
	}
	outbox.reopen(0, nil)
	outbox.update(&pb.SourceDemand{Records: 100, Bytes: 1 << 40})
	for _, expected := range []int{2, 2} {
		if frame, err := outbox.nextFrame(); err != nil || len(frame.GetRecords()) != expected {
			t.Fatalf("unexpected: %d %v", len(frame.GetRecords()), err)
		}
	}
}

func TestErrorsOfPayloadsDoNotQuoteThem(t *testing.T) {
	var target struct{ Count uint8 }
	for _, payload := range []string{"secret", `{"count": 987654}`} {
		record := Record{Payload: []byte(payload)}
		if err := record.JSON(&target); err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "987654") {
			t.Errorf("unexpected: %v", err)
		}
	}
}
