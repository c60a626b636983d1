package com.danube_messaging.connector.examples;

import com.danube_messaging.connector.Connectors;
import com.danube_messaging.connector.Record;
import com.danube_messaging.connector.Sink;
import com.danube_messaging.connector.SinkOptions;

/** The smallest sink: prints each record. */
public class HelloSink implements Sink {
    @Override
    public void process(Record record) {
        System.out.println(record.offset() + " " + record.text());
    }

    public static void main(String[] args) {
        Connectors.run(new HelloSink(), SinkOptions.builder().connector("hello").topics("/default/hello").build());
    }
}
