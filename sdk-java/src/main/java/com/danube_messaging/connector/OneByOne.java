package com.danube_messaging.connector;

import java.util.List;

/** Hands over one record at a time. */
final class OneByOne implements Writer {
    private final Sink sink;
    private final Answers answers;

    OneByOne(Sink sink, Answers answers) {
        this.sink = sink;
        this.answers = answers;
    }

    @Override
    public void write(List<Record> batch) {
        for (Record record : batch) {
            if (answers.areUnwanted()) {
                return;
            }
            if (answers.admits(record)) {
                answers.add(record, process(record));
            }
        }
    }

    private Outcome process(Record record) {
        try {
            sink.process(record);
            return Outcome.written();
        } catch (FatalException fatal) {
            throw fatal;
        } catch (Exception e) {
            answers.complain(e);
            return Outcome.of(e);
        }
    }
}
