package com.danube_messaging.connector.examples;

import com.danube_messaging.connector.PollingSource;
import com.danube_messaging.connector.Position;
import com.danube_messaging.connector.SourceRecord;
import java.util.List;
import java.util.Optional;

/** A source that resumes where it was, and cleans up behind itself: reads a mailbox, and deletes what is safe in Danube. */
public class MailSource implements PollingSource {
    private static final int AT_ONCE = 100;

    /** The external system. */
    interface Mailbox {
        /** Mails with a higher id than this one, the oldest first. */
        List<Mail> after(long id, int most);

        /** Forgets mails up to this id. */
        void deleteUpTo(long id);
    }

    /** One of its messages. */
    record Mail(long id, String sender, String text) {}

    private final String name;
    private final Mailbox mailbox;
    private long last;

    MailSource(String name, Mailbox mailbox) {
        this.name = name;
        this.mailbox = mailbox;
    }

    @Override
    public void restore(List<Position> positions) {
        positions.stream()
            .filter(position -> position.sourcePartition().equals(name))
            .forEach(position -> last = position.offset());
    }

    @Override
    public Optional<List<SourceRecord>> poll() {
        List<Mail> mails = mailbox.after(last, AT_ONCE);
        if (!mails.isEmpty()) {
            last = mails.get(mails.size() - 1).id();
        }
        return Optional.of(mails.stream().map(this::record).toList());
    }

    private SourceRecord record(Mail mail) {
        return SourceRecord.builder().key(mail.sender()).payload(mail.text()).position(new Position(name, mail.id())).build();
    }

    @Override
    public void commit(List<Position> positions) {
        mailbox.deleteUpTo(positions.get(positions.size() - 1).offset());
    }
}
