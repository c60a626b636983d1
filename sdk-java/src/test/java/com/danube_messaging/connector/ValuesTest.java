package com.danube_messaging.connector;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Addresses, settings, records and texts. */
class ValuesTest {
    @ParameterizedTest
    @ValueSource(strings = {"http://127.0.0.1:6670", "http://sidecar:1", "http://[::1]:6670", "unix:///run/sidecar.sock"})
    void bothKindsOfAddressAreRead(String text) {
        assertEquals(text, Address.parse(text).toString());
    }

    @Test
    void aUnixAddressMayHaveOneSlash() {
        assertEquals("unix:///run/sidecar.sock", Address.parse("unix:/run/sidecar.sock").toString());
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "", "localhost:6670", "https://host:1", "http://host", "http://host:0", "http://host:1/path", "unix:relative", "unix://host/path", "unix:///",
        "http://a b:1"})
    void otherAddressesAreRefusedWithTheExpectedForm(String text) {
        var options = SinkOptions.builder().connector("x").address(text);

        String message = assertThrows(IllegalArgumentException.class, options::build).getMessage();

        assertTrue(message.contains("\"" + text + "\"") && message.contains("unix:///PATH"), message);
    }

    @Test
    void aTokenThatNoHeaderCanCarryIsRefusedAndNotShown() {
        var options = SinkOptions.builder().connector("x").token("two\nlines");

        String message = assertThrows(IllegalArgumentException.class, options::build).getMessage();

        assertTrue(!message.contains("two"), message);
    }

    @Test
    void settingsAreReadByTheirPath() {
        Settings settings = Settings.parse("{\"a\": {\"word\": \"w\", \"n\": 5}, \"b\": 1.5}");

        assertEquals("w", settings.text("a", "word").orElseThrow());
        assertEquals(5, settings.number("a", "n").orElseThrow());
        assertTrue(settings.text("a", "none").isEmpty());
        assertTrue(settings.text("none", "word").isEmpty());
        assertThrows(IllegalArgumentException.class, () -> settings.number("b"));
        assertThrows(IllegalArgumentException.class, () -> settings.text("b"));
        assertTrue(Settings.parse("").json().isEmpty());
    }

    @Test
    void settingsThatAreNoObjectAreNotShown() {
        String message = assertThrows(IllegalArgumentException.class, () -> Settings.parse("[\"secret\"]")).getMessage();

        assertTrue(!message.contains("secret"), message);
    }

    @ParameterizedTest
    @ValueSource(strings = {"{secret", "secret", "{secret: 1}", "'secret'", "1 secret", ""})
    void aPayloadThatIsNoJsonIsRejectedWithoutShowingIt(String payload) {
        Record record = Record.builder("/default/t").payload(payload).build();

        RejectException rejected = assertThrows(RejectException.class, record::json);

        assertEquals("NOT_JSON", rejected.code());
        assertTrue(!rejected.getMessage().contains("secret"), rejected.getMessage());
    }

    @Test
    void aPayloadThatIsNoTextIsRejected() {
        Record record = Record.builder("/default/t").payload(new byte[] {(byte) 0xff}).build();

        assertEquals("NOT_UTF8", assertThrows(RejectException.class, record::text).code());
    }

    @Test
    void longTextsAreCutBetweenCharacters() {
        String text = "é".repeat(1000);

        assertEquals("short", Frames.shortened("short"));
        assertEquals(1024, Frames.shortened(text).getBytes(StandardCharsets.UTF_8).length);
        assertEquals(1023, Frames.shortened("a" + text).getBytes(StandardCharsets.UTF_8).length);
    }

    @Test
    void theMemoryForHeldLanesIsBounded() {
        HeldLanes lanes = new HeldLanes();
        for (int key = 0; key <= HeldLanes.MOST; key++) {
            lanes.hold(Record.builder("/default/t").key("k" + key).build(), 1);
        }

        assertTrue(lanes.size() <= HeldLanes.MOST);
    }

    @Test
    void whatWasInHandWhenALaneWasHeldDoesNotOpenIt() {
        HeldLanes lanes = new HeldLanes();
        lanes.hold(new Record(SinkScript.keyed(3, "k", 2, ""), 1, null), 5);

        assertFalse(lanes.admit(new Record(SinkScript.keyed(5, "k", 2, ""), 1, null)));
        assertTrue(lanes.admit(new Record(SinkScript.keyed(6, "k", 3, ""), 1, null)));
    }

    @Test
    void aPauseIsNeverShortenedAndSaysWhatIsLeftOfIt() {
        Pause pause = new Pause();
        assertNull(pause.left());
        pause.begin(Outcome.busy("LIMIT", "later", Duration.ofHours(2)));
        pause.begin(Outcome.busy("SOONER", "sooner"));

        Outcome left = pause.left();
        assertEquals("LIMIT later", left.code() + " " + left.message());
        assertTrue(left.retryAfter().compareTo(Duration.ofHours(2)) <= 0, left::toString);
        assertTrue(left.retryAfter().compareTo(Duration.ofHours(1)) > 0, left::toString);
    }

    @Test
    void aPauseWithoutATimeIsASecondAndOneOfNoTimeIsNone() {
        Pause pause = new Pause();
        pause.begin(Outcome.busy("NONE", "at once", Duration.ZERO));
        assertNull(pause.left());

        pause.begin(Outcome.busy("LIMIT", "for now"));
        assertTrue(pause.left().retryAfter().compareTo(Pause.DEFAULT) <= 0);
    }

    @Test
    void theVersionIsThatOfThePackage() throws Exception {
        String pom = Files.readString(Path.of("pom.xml"));
        String version = Frames.SDK.substring(Frames.SDK.indexOf('/') + 1);

        assertTrue(pom.contains("<artifactId>danube-connector</artifactId>\n  <version>" + version + "</version>"), version);
    }
}
