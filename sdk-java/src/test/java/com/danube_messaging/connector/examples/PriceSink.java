package com.danube_messaging.connector.examples;

import com.danube_messaging.connector.FatalException;
import com.danube_messaging.connector.FilteredException;
import com.danube_messaging.connector.Record;
import com.danube_messaging.connector.RejectException;
import com.danube_messaging.connector.Schema;
import com.danube_messaging.connector.Settings;
import com.danube_messaging.connector.Sink;
import java.util.ArrayList;
import java.util.List;

/** A sink with settings of its own, which takes records of one schema only. */
public class PriceSink implements Sink {
    /** {@code [connectors.NAME.settings]}: its keys are these names. */
    record Options(String subject, int least) {}

    /** A price as it comes, in JSON. */
    record Price(String item, int cents) {}

    final List<Price> prices = new ArrayList<>();
    private Options options;

    @Override
    public void open(Settings settings) {
        options = settings.as(Options.class);
        if (options.subject() == null) {
            throw new FatalException("NO_SUBJECT", "the setting subject is missing");
        }
    }

    @Override
    public void process(Record record) {
        String subject = record.schema().map(Schema::subject).orElse("none");
        if (!subject.equals(options.subject())) {
            throw new RejectException("OTHER_SCHEMA", "the record's schema is " + subject + ", not " + options.subject());
        }
        Price price = record.json(Price.class);
        if (price.cents() < options.least()) {
            throw new FilteredException("CHEAP", "it costs less than " + options.least());
        }
        prices.add(price);
    }
}
