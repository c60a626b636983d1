package com.danube_messaging.connector;

import java.util.Collections;
import java.util.List;

/** Hands over a batch as a whole. */
final class WholeBatch implements Writer {
    private final BatchSink sink;
    private final Answers answers;

    WholeBatch(BatchSink sink, Answers answers) {
        this.sink = sink;
        this.answers = answers;
    }

    @Override
    public void write(List<Record> batch) {
        List<Record> admitted = batch.stream().filter(answers::admits).toList();
        if (admitted.isEmpty()) {
            return;
        }
        List<Outcome> outcomes = process(admitted);
        if (outcomes == null || outcomes.size() != admitted.size() || outcomes.stream().anyMatch(one -> one == null)) {
            String got = outcomes == null ? "null" : outcomes.size() + " outcomes";
            throw new FatalException("OUTCOMES", "processBatch returned " + got + " for " + admitted.size()
                + " records: it has to return one outcome, not null, for each");
        }
        for (int index = 0; index < outcomes.size(); index++) {
            answers.add(admitted.get(index), outcomes.get(index));
        }
    }

    private List<Outcome> process(List<Record> records) {
        try {
            return sink.processBatch(records);
        } catch (FatalException fatal) {
            throw fatal;
        } catch (Exception e) {
            answers.complain(e);
            return Collections.nCopies(records.size(), Outcome.of(e));
        }
    }
}
