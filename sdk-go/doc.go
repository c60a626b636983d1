// Package connector writes Danube connectors: programs that move data between Danube and an
// external system. It is a thin client of the Danube sidecar, which owns the consumers, producers,
// acks, retries, order, dead letters and positions.
//
// A sink implements [Sink] or [BatchSink], and is run by [RunSink] or [RunBatchSink]. A source
// implements [Poller] or [Streamer], and is run by [RunSource] or [RunStreamer]. All of them may
// implement [Opener], [HealthChecker] and [Closer] too; sources also [Restorer], [Committer] and
// [Rejecter].
//
// The sidecar is looked for at the address in DANUBE_SIDECAR_ADDRESS, by default
// http://127.0.0.1:6670; it may come and go. A connector's methods are called one at a time, but
// for HealthCheck and Stream. A panic in one of them ends the process, as everywhere in Go; the
// sidecar offers again what was not answered.
package connector
