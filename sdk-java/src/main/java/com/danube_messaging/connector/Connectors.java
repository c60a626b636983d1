package com.danube_messaging.connector;

/**
 * Runs connectors: the way in.
 *
 * <p>Each {@code run} returns when the connector was asked to stop (SIGTERM, SIGINT, an interrupt of the calling thread) and
 * has finished what it had in hand, or when a source has ended and everything of it is committed. The sidecar may come and go
 * meanwhile: it is waited for without end. To stop a connector by a call, make a {@link Runner} first.
 *
 * <p>Each throws {@link FatalException} if the connector cannot go on, and {@link SidecarException} if the sidecar refuses it
 * for good.
 */
public final class Connectors {
    private Connectors() {}

    /**
     * Runs a sink that writes one record at a time.
     *
     * @param sink the sink
     * @param options how it runs
     */
    public static void run(Sink sink, SinkOptions options) {
        runner(sink, options).run();
    }

    /**
     * Runs a sink that writes batches.
     *
     * @param sink the sink
     * @param options how it runs
     */
    public static void run(BatchSink sink, SinkOptions options) {
        runner(sink, options).run();
    }

    /**
     * Runs a source that is polled.
     *
     * @param source the source
     * @param options how it runs
     */
    public static void run(PollingSource source, SourceOptions options) {
        runner(source, options).run();
    }

    /**
     * Runs a source that pushes.
     *
     * @param source the source
     * @param options how it runs
     */
    public static void run(StreamingSource source, SourceOptions options) {
        runner(source, options).run();
    }

    /**
     * Prepares a sink that writes one record at a time.
     *
     * @param sink the sink
     * @param options how it runs
     * @return what runs and stops it
     */
    public static Runner runner(Sink sink, SinkOptions options) {
        return sink(sink, options, answers -> new OneByOne(sink, answers));
    }

    /**
     * Prepares a sink that writes batches.
     *
     * @param sink the sink
     * @param options how it runs
     * @return what runs and stops it
     */
    public static Runner runner(BatchSink sink, SinkOptions options) {
        return sink(sink, options, answers -> new WholeBatch(sink, answers));
    }

    /**
     * Prepares a source that is polled.
     *
     * @param source the source
     * @param options how it runs
     * @return what runs and stops it
     */
    public static Runner runner(PollingSource source, SourceOptions options) {
        Run run = new Run(source, options);
        Outbox outbox = new Outbox(run.wakeup());
        return new Runner(run, new SourceDriver(run, source, options, outbox, new PollIntake(run, source, options, outbox)));
    }

    /**
     * Prepares a source that pushes.
     *
     * @param source the source
     * @param options how it runs
     * @return what runs and stops it
     */
    public static Runner runner(StreamingSource source, SourceOptions options) {
        Run run = new Run(source, options);
        Outbox outbox = new Outbox(run.wakeup());
        return new Runner(run, new SourceDriver(run, source, options, outbox, new StreamIntake(run, source, outbox)));
    }

    private static Runner sink(Connector sink, SinkOptions options, Writer.Factory writers) {
        Run run = new Run(sink, options);
        return new Runner(run, new SinkDriver(run, options, writers));
    }
}
