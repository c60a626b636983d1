// A Danube sink on nothing but generated stubs: each record becomes a file, named after its identity.
package main

import (
	"cmp"
	"context"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	pb "github.com/danube-messaging/danube-sidecar/examples/plain-sink-go/gen"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Writes a batch, and acks it once its files are on disk. A file is whole or not there, as in a bucket, and
// has the record's identity for its name: a record that is offered again changes nothing.
func write(folder *os.File, records []*pb.SinkRecord) *pb.SinkResults {
	for _, record := range records {
		path := filepath.Join(folder.Name(), record.DedupId)
		file := must(os.OpenFile(path+".part", os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_SYNC, 0o644))
		must(file.Write(record.Payload))
		must(0, file.Close())
		must(0, os.Rename(path+".part", path))
	}
	must(0, folder.Sync())
	return &pb.SinkResults{Acked: []*pb.DeliveryRange{{First: records[0].DeliveryId, Last: records[len(records)-1].DeliveryId}}}
}

func main() {
	out := cmp.Or(os.Getenv("PLAIN_SINK_OUT"), "records")
	must(0, os.MkdirAll(out, 0o755))
	folder := must(os.Open(out))
	address := strings.TrimPrefix(cmp.Or(os.Getenv("DANUBE_SIDECAR_ADDRESS"), "http://127.0.0.1:6670"), "http://")
	channel := must(grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost")))
	stream := must(pb.NewSinkServiceClient(channel).Run(context.Background()))
	// No Send is checked: when the stream has ended, Recv says why.
	stream.Send(&pb.SinkServiceRunRequest{Frame: &pb.SinkServiceRunRequest_Open{Open: &pb.SinkOpen{
		Connector:     cmp.Or(os.Getenv("CONNECTOR_NAME"), "plain-sink"),
		Subscriptions: []*pb.Subscription{{Topic: cmp.Or(os.Getenv("PLAIN_SINK_TOPIC"), "/default/events")}},
		Capabilities:  []pb.Capability{pb.Capability_CAPABILITY_DRAIN, pb.Capability_CAPABILITY_PROBE},
	}}})
	for {
		response, err := stream.Recv()
		if err == io.EOF {
			return
		}
		switch frame := must(response, err).Frame.(type) {
		case *pb.SinkServiceRunResponse_Batch:
			results := write(folder, frame.Batch.Records)
			stream.Send(&pb.SinkServiceRunRequest{Frame: &pb.SinkServiceRunRequest_Results{Results: results}})
		case *pb.SinkServiceRunResponse_Probe:
			health := &pb.Health{ProbeId: frame.Probe.ProbeId, Status: pb.Health_STATUS_HEALTHY}
			stream.Send(&pb.SinkServiceRunRequest{Frame: &pb.SinkServiceRunRequest_Health{Health: health}})
		case *pb.SinkServiceRunResponse_Drain:
			stream.Send(&pb.SinkServiceRunRequest{Frame: &pb.SinkServiceRunRequest_Drained{Drained: &pb.Drained{}}})
			stream.CloseSend()
		}
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatalln("sink:", err)
	}
	return value
}
