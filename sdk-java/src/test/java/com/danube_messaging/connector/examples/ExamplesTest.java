package com.danube_messaging.connector.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.danube_messaging.connector.FatalException;
import com.danube_messaging.connector.FilteredException;
import com.danube_messaging.connector.Outcome;
import com.danube_messaging.connector.Position;
import com.danube_messaging.connector.Record;
import com.danube_messaging.connector.RejectException;
import com.danube_messaging.connector.Schema;
import com.danube_messaging.connector.Settings;
import com.danube_messaging.connector.SourceRecord;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** The README's code is that of files, and connectors can be tested without a sidecar. */
class ExamplesTest {
    private static final Pattern BLOCK = Pattern.compile("<!-- file: (\\S+) -->\n```java\n(.*?)```\n", Pattern.DOTALL);

    @Test
    void theReadmeShowsTheExamplesAsTheyAre() throws IOException {
        List<MatchResult> blocks = BLOCK.matcher(Files.readString(Path.of("README.md"))).results().toList();

        assertEquals(4, blocks.size());
        for (MatchResult block : blocks) {
            assertEquals(Files.readString(Path.of(block.group(1))), block.group(2), block.group(1));
        }
    }

    // region test
    private static Record order(String key, String json) {
        return Record.builder("/default/orders").key(key).payload(json).build();
    }

    @Test
    void ordersAreWrittenRejectedAndRetriedInTheOrderOfTheirKeys() {
        OrderSink sink = new OrderSink();
        sink.open(Settings.parse("{\"limit\": 1}"));

        List<Outcome> outcomes = sink.processBatch(List.of(
            order("a", "{\"id\": \"1\", \"amount\": 3}"),
            order("b", "{\"id\": \"2\", \"amount\": 4}"),
            order("b", "{\"id\": \"1\", \"amount\": 5}"),
            order("c", "{\"id\": \"1\"}"),
            order("c", "no json")));

        assertEquals(
            List.of("", "FULL", "BEHIND", "INCOMPLETE", "NOT_JSON"), outcomes.stream().map(Outcome::code).toList());
        assertEquals(3, sink.table.get("1").amount());
    }
    // endregion

    @Test
    void anOrderSinkNeedsItsLimit() {
        assertThrows(FatalException.class, () -> new OrderSink().open(Settings.parse("{}")));
    }

    private static Record price(String subject, int cents) {
        Schema schema = Schema.of(subject, "json_schema", "{}".getBytes(StandardCharsets.UTF_8), 1, 7);
        return Record.builder("/default/prices").schema(schema).payload("{\"item\": \"tea\", \"cents\": " + cents + "}").build();
    }

    @Test
    void aPriceHasToBeOfTheSchemaAndHighEnough() {
        PriceSink sink = new PriceSink();
        sink.open(Settings.parse("{\"subject\": \"prices\", \"least\": 10}"));

        sink.process(price("prices", 10));

        assertThrows(FilteredException.class, () -> sink.process(price("prices", 9)));
        assertThrows(RejectException.class, () -> sink.process(price("others", 10)));
        assertThrows(RejectException.class, () -> sink.process(Record.builder("/default/prices").payload("{}").build()));
        assertEquals(List.of(new PriceSink.Price("tea", 10)), sink.prices);
        assertThrows(FatalException.class, () -> new PriceSink().open(Settings.parse("{}")));
    }

    /** Mails in memory. */
    private static final class Mails implements MailSource.Mailbox {
        final List<MailSource.Mail> kept = new ArrayList<>();

        @Override
        public List<MailSource.Mail> after(long id, int most) {
            return kept.stream().filter(mail -> mail.id() > id).limit(most).toList();
        }

        @Override
        public void deleteUpTo(long id) {
            kept.removeIf(mail -> mail.id() <= id);
        }
    }

    @Test
    void aMailIsDeletedWhenItIsSafeAndNotBefore() {
        Mails mails = new Mails();
        List.of(3, 5, 8).forEach(id -> mails.kept.add(new MailSource.Mail(id, "ann", "mail " + id)));
        MailSource source = new MailSource("inbox", mails);
        source.restore(List.of(new Position("inbox", 3), new Position("spam", 9)));

        List<SourceRecord> records = source.poll().orElseThrow();
        List<SourceRecord> none = source.poll().orElseThrow();
        int before = mails.kept.size();
        source.commit(List.of(new Position("inbox", 5)));

        assertEquals(
            List.of(new Position("inbox", 5), new Position("inbox", 8)),
            records.stream().map(record -> record.position().orElseThrow()).toList());
        assertEquals(List.of(), none);
        assertEquals(3, before);
        assertEquals(List.of(8L), mails.kept.stream().map(MailSource.Mail::id).toList());
    }
}
