package com.danube_messaging.connector.examples;

import com.danube_messaging.connector.Connectors;
import com.danube_messaging.connector.PollingSource;
import com.danube_messaging.connector.Position;
import com.danube_messaging.connector.SourceOptions;
import com.danube_messaging.connector.SourceRecord;
import java.util.List;
import java.util.Optional;

/** The smallest source that resumes where it was: counts to ten, and ends. */
public class CountingSource implements PollingSource {
    private long next = 1;

    @Override
    public void restore(List<Position> positions) {
        positions.forEach(position -> next = position.offset() + 1);
    }

    @Override
    public Optional<List<SourceRecord>> poll() {
        if (next > 10) {
            return Optional.empty();
        }
        SourceRecord record = SourceRecord.builder()
            .payload("number " + next)
            .position(new Position("numbers", next++))
            .build();
        return Optional.of(List.of(record));
    }

    public static void main(String[] args) {
        Connectors.run(new CountingSource(), SourceOptions.builder().connector("count").topics("/default/hello").build());
    }
}
