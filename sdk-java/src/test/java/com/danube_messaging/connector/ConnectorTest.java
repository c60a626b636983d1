package com.danube_messaging.connector;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;

/** What tests with a played sidecar have in common. */
@Timeout(60)
abstract class ConnectorTest {
    private final List<Background> runs = new ArrayList<>();
    ScriptedSidecar sidecar;

    @BeforeEach
    void startSidecar() throws Exception {
        sidecar = ScriptedSidecar.onTcp();
    }

    @AfterEach
    void stopAll() {
        runs.forEach(Background::close);
        sidecar.close();
    }

    Background start(Runner runner) {
        Background run = new Background(runner);
        runs.add(run);
        return run;
    }

    Background start(Sink sink) {
        return start(Connectors.runner(sink, sinkOptions().build()));
    }

    Background start(BatchSink sink) {
        return start(Connectors.runner(sink, sinkOptions().build()));
    }

    Background start(PollingSource source) {
        return start(Connectors.runner(source, sourceOptions().build()));
    }

    Background start(StreamingSource source) {
        return start(Connectors.runner(source, sourceOptions().build()));
    }

    SinkOptions.Builder sinkOptions() {
        return SinkOptions.builder().connector("under-test").address(sidecar.address()).stopOnSignals(false);
    }

    SourceOptions.Builder sourceOptions() {
        return SourceOptions.builder().connector("under-test").address(sidecar.address()).stopOnSignals(false);
    }
}
