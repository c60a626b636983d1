package com.example;

import com.danube_messaging.connector.*;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Publishes numbered records. */
public class NumberSource implements PollingSource {
    private static final String PARTITION = "numbers";
    private static final int AT_ONCE = 10;

    private long count;
    private long next = 1;

    /** Called once, first. An exception here ends the connector with its message. */
    @Override
    public void open(Settings settings) {
        count = settings.number("count").orElse(1000L);
    }

    /** Called once, before the first poll: everything up to these positions is safe in Danube. The sidecar keeps them. */
    @Override
    public void restore(List<Position> positions) {
        for (Position position : positions) {
            if (position.sourcePartition().equals(PARTITION)) {
                next = position.offset() + 1;
            }
        }
    }

    /** Called while Danube wants records. An empty list: nothing new, ask again soon. `Optional.empty()` would end the source. */
    @Override
    public Optional<List<SourceRecord>> poll() {
        List<SourceRecord> records = new ArrayList<>();
        while (next <= count && records.size() < AT_ONCE) {
            records.add(record(next++));
        }
        return Optional.of(records);
    }

    /** Records of one key stay in order. The position is where to go on when everything up to this record is safe. */
    private static SourceRecord record(long number) {
        return SourceRecord.builder()
            .key("key-" + number % 4)
            .payload("number " + number)
            .position(new Position(PARTITION, number))
            .build();
    }

    public static void main(String[] args) {
        String name = System.getenv().getOrDefault("CONNECTOR_NAME", "{{name}}");
        Connectors.run(new NumberSource(), SourceOptions.builder().connector(name).topics("/default/{{name}}").build());
    }
}
