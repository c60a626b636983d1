package connector

import (
	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

// demand is what may be sent in a session, against what was.
type demand struct {
	records, bytes         uint64
	sentRecords, sentBytes uint64
}

// update takes the sidecar's latest word. Its counts only grow.
func (d *demand) update(latest *pb.SourceDemand) {
	d.records = max(d.records, latest.GetRecords())
	d.bytes = max(d.bytes, latest.GetBytes())
}

// isOpen tells whether another record may be sent when these are sent already. The one that reaches the byte count may
// exceed it.
func (d *demand) isOpen(waitingRecords, waitingBytes uint64) bool {
	return d.sentRecords+waitingRecords < d.records && d.sentBytes+waitingBytes < d.bytes
}

// spend notes that a record is sent.
func (d *demand) spend(bytes int) {
	d.sentRecords++
	d.sentBytes += uint64(bytes)
}
