import static java.nio.file.StandardOpenOption.CREATE;
import static java.nio.file.StandardOpenOption.DSYNC;
import static java.nio.file.StandardOpenOption.TRUNCATE_EXISTING;
import static java.nio.file.StandardOpenOption.WRITE;

import com.danube_messaging.connector.v1.*;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.StatusException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;

/** A Danube sink on nothing but generated stubs: each record becomes a file, named after its identity. */
class Sink {
    // Writes a batch, and acks it once its files are on disk. A file is whole or not there, as in a bucket, and
    // has the record's identity for its name: a record that is offered again changes nothing.
    static SinkResults write(Path folder, List<SinkRecord> records) throws IOException {
        for (SinkRecord record : records) {
            Path part = folder.resolve(record.getDedupId() + ".part");
            Files.write(part, record.getPayload().toByteArray(), CREATE, TRUNCATE_EXISTING, WRITE, DSYNC);
            Files.move(part, folder.resolve(record.getDedupId()), StandardCopyOption.ATOMIC_MOVE);
        }
        try (FileChannel directory = FileChannel.open(folder)) {
            directory.force(true);
        }
        long first = records.get(0).getDeliveryId(), last = records.get(records.size() - 1).getDeliveryId();
        return SinkResults.newBuilder().addAcked(DeliveryRange.newBuilder().setFirst(first).setLast(last)).build();
    }

    static String env(String name, String otherwise) {
        return System.getenv().getOrDefault(name, otherwise);
    }

    public static void main(String[] args) throws IOException, InterruptedException {
        Path folder = Files.createDirectories(Path.of(env("PLAIN_SINK_OUT", "records")));
        String address = env("DANUBE_SIDECAR_ADDRESS", "http://127.0.0.1:6670").replaceFirst("^http://", "");
        var channel = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create())
            .overrideAuthority("localhost").build();
        var call = SinkServiceGrpc.newBlockingV2Stub(channel).run();
        try {
            call.write(SinkServiceRunRequest.newBuilder().setOpen(SinkOpen.newBuilder()
                .setConnector(env("CONNECTOR_NAME", "plain-sink"))
                .addSubscriptions(Subscription.newBuilder().setTopic(env("PLAIN_SINK_TOPIC", "/default/events")))
                .addCapabilities(Capability.CAPABILITY_DRAIN).addCapabilities(Capability.CAPABILITY_PROBE)).build());
            for (var response = call.read(); response != null; response = call.read()) {
                if (response.hasBatch()) {
                    var results = write(folder, response.getBatch().getRecordsList());
                    call.write(SinkServiceRunRequest.newBuilder().setResults(results).build());
                } else if (response.hasProbe()) {
                    var health = Health.newBuilder().setProbeId(response.getProbe().getProbeId());
                    call.write(SinkServiceRunRequest.newBuilder().setHealth(health.setStatus(Health.Status.STATUS_HEALTHY)).build());
                } else if (response.hasDrain()) {
                    call.write(SinkServiceRunRequest.newBuilder().setDrained(Drained.getDefaultInstance()).build());
                    call.halfClose();
                }
            }
        } catch (StatusException e) {
            System.err.println("sink: the stream to " + address + " ended: " + e.getMessage());
            System.exit(1);
        }
        channel.shutdownNow();
    }
}
